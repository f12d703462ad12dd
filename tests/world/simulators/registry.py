"""The integrated registry: the cluster's rules in front of a real distribution registry.

Real: the same distribution code with OpenShift's middleware. Tags live in image streams, not in the registry; a manifest
PUT creates the Image, the tag, and the stream if the pusher may create streams, otherwise it is `denied`, after all blobs
have gone through. Deleting is the API's business (405 here). Blobs and manifests are distribution's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from ..pki import Authority
from .errors import ApiError
from .images import GROUP, LISTS, Images, ImageStreamMappings, ImageStreams, describe
from .kube import Kube
from .projects import allowed
from .registry_access import HEADERS, Access, Refused, error
from .resource import Caller, Object

PATH = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs|tags)/(?P<rest>.+)")
# what X-Registry-Supports-Signatures promises: podman asks for the signatures of what it pulls
SIGNATURES = re.compile(r"/extensions/v2/(?P<name>.+)/signatures/sha256:[0-9a-f]{64}")
SERVICE_HOSTS = [
    "image-registry.openshift-image-registry.svc",
    "image-registry.openshift-image-registry.svc.cluster.local",
]
HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "authorization", "host", "content-length", "expect"}
LARGEST_MANIFEST = 4 << 20


class Registry:
    """One world's registry. `serving` is False while the operator has it removed."""

    def __init__(
        self,
        kube: Kube,
        backend: str,
        streams: ImageStreams,
        images: Images,
        maps: ImageStreamMappings,
        service_ca: Authority,
    ) -> None:
        self.access = Access(kube)
        self.service_ca = service_ca.certificate
        self.certificate = service_ca.server(SERVICE_HOSTS)
        self.kube = kube
        self.backend = backend
        self.streams = streams
        self.images = images
        self.mappings = maps
        self.serving = False
        # Manifests pushed by digest, as the parts of a manifest list are before the list itself.
        self._parts: dict[tuple[str, str], set[str]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connections to distribution (inside the running loop)."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        )

    async def stop(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        try:
            return await self._route(request)
        except Refused as refused:
            return refused.response

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/openshift/token":
            return await self.access.token(request)
        if path in ("/", "/healthz"):
            return web.Response()
        signatures = SIGNATURES.fullmatch(path)
        if signatures:
            await self.access.check(request, signatures["name"])
            return web.json_response({"signatures": []}, headers=HEADERS)
        if not path.startswith("/v2/"):
            return web.Response(status=404, text="404 page not found\n")
        if path == "/v2/":
            await self.access.check(request, "")
            return web.json_response({}, headers=HEADERS)
        if path == "/v2/_catalog":
            await self.access.check(request, "_catalog")
            names = [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in self.streams.store.all()]
            return web.json_response({"repositories": names}, headers=HEADERS)
        found = PATH.fullmatch(path)
        if found is None:
            raise error(404, "NAME_INVALID", "invalid repository name")
        return await self._repository(request, found["name"], found["what"], found["rest"])

    async def _repository(self, request: web.BaseRequest, name: str, what: str, rest: str) -> web.StreamResponse:
        caller, mount = await self.access.check(request, name)
        if len(name.split("/")) != 2:
            raise error(404, "NAME_UNKNOWN", "repository name not known to registry")
        namespace, _separator, stream = name.partition("/")
        if request.method == "DELETE" and not rest.startswith("uploads/"):
            raise error(405, "UNSUPPORTED", "The operation is unsupported.")
        if what == "tags":
            tags = self._stream(namespace, stream)["status"].get("tags") or []
            names = [entry["tag"] for entry in tags if entry["items"]]
            return web.json_response({"name": name, "tags": names}, headers=HEADERS)
        if what == "manifests" and request.method == "PUT":
            return await self._push(request, caller, namespace, stream, rest)
        if what == "manifests":
            rest = self._resolve(namespace, stream, rest)
        return await self._forward(request, f"/v2/{name}/{what}/{rest}", mount=mount)

    def _stream(self, namespace: str, name: str) -> Object:
        stream = self.streams.store.find(namespace, name)
        if stream is None:
            raise error(404, "NAME_UNKNOWN", "repository name not known to registry")
        return stream

    def _resolve(self, namespace: str, name: str, reference: str) -> str:
        """The digest that a tag of the stream means now; a digest must be of an image of this stream."""
        stream = self._stream(namespace, name)
        if ":" not in reference:
            digest = self.streams.digest(namespace, name, reference)
            if digest is None:
                raise error(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": reference})
            return digest
        known = set(self._parts.get((namespace, name), ()))
        for entry in stream["status"].get("tags") or []:
            for item in entry["items"] or []:
                image = self.images.store.find("", item["image"]) or {}
                known.update([item["image"]], (part["digest"] for part in image.get("dockerImageManifests") or []))
        if reference not in known:
            detail = {"Name": f"{namespace}/{name}", "Revision": reference}
            raise error(404, "MANIFEST_UNKNOWN", "manifest unknown", detail)
        return reference

    async def _push(
        self, request: web.BaseRequest, caller: Caller, namespace: str, name: str, reference: str
    ) -> web.StreamResponse:
        body = await _read(request)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if ":" in reference and reference != digest:
            raise error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if self.streams.store.find(namespace, name) is None:
            await self._create_stream(caller, namespace, name)
        assert self._session is not None
        headers = self._headers(request)
        url = f"{self.backend}/v2/{namespace}/{name}/manifests/{digest}"
        async with self._session.put(url, headers=headers, data=body) as answer:
            text = await answer.read()
        # The tag is there before the pusher hears of his success.
        if answer.status == 201:
            image = await self._image(namespace, name, digest, body, request.content_type)
            if ":" in reference:
                if self.images.store.find("", digest) is None:
                    self.images.store.create(image)
                self._parts.setdefault((namespace, name), set()).add(digest)
            else:
                self.mappings.map(namespace, name, reference, image)
        return web.Response(status=answer.status, body=text, headers=_kept(answer.headers))

    async def _create_stream(self, caller: Caller, namespace: str, name: str) -> None:
        denied = error(403, "DENIED", "requested access to the resource is denied")
        if not await allowed(self.kube, caller, "create", GROUP, "imagestreams", namespace):
            raise denied
        found = await self.kube.find(f"/api/v1/namespaces/{namespace}")
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise denied
        try:
            await self.streams.create(caller, namespace, {"metadata": {"name": name, "namespace": namespace}}, False)
        except ApiError as refusal:
            if refusal.code != 409:
                raise denied from None

    async def _image(self, namespace: str, name: str, digest: str, body: bytes, media_type: str) -> Object:
        manifest = json.loads(body)
        media_type = manifest.get("mediaType", media_type)
        config = {} if media_type in LISTS else await self._blob(namespace, name, manifest["config"]["digest"])
        image = describe(f"{self.streams.hosts()[0]}/{namespace}/{name}@{digest}", manifest, media_type, config)
        image["metadata"]["annotations"] |= {
            "image.openshift.io/manifestBlobStored": "true",
            "openshift.io/image.managed": "true",
        }
        return image

    async def _blob(self, namespace: str, name: str, digest: str) -> Object:
        assert self._session is not None
        async with self._session.get(f"{self.backend}/v2/{namespace}/{name}/blobs/{digest}") as response:
            response.raise_for_status()
            blob: Object = json.loads(await response.read())
            return blob

    def _headers(self, request: web.BaseRequest) -> CIMultiDict[str]:
        # podman sends each media type that it accepts in a header of its own
        headers = CIMultiDict((key, value) for key, value in request.headers.items() if key.lower() not in HOP_HEADERS)
        headers.update({"Host": request.headers["Host"], "X-Forwarded-Proto": "https"})
        return headers

    async def _forward(self, request: web.BaseRequest, path: str, *, mount: bool) -> web.StreamResponse:
        """The same request to distribution, streamed both ways; Locations come back with the host of the request."""
        assert self._session is not None
        headers = self._headers(request)
        query = request.rel_url.raw_query_string
        if request.query.get("mount") and not mount:
            query = ""
        data: Any = None
        if request.body_exists:
            data = request.content
            if request.content_length is not None:
                headers["Content-Length"] = str(request.content_length)
        url = URL(f"{self.backend}{path}?{query}" if query else self.backend + path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            if "Content-Length" in answer.headers:
                response.headers["Content-Length"] = answer.headers["Content-Length"]
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in answer.content.iter_chunked(1 << 16):
                    await response.write(chunk)
            return response


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {**{key: value for key, value in headers.items() if key.lower() not in HOP_HEADERS}, **HEADERS}


async def _read(request: web.BaseRequest) -> bytes:
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_MANIFEST:
            raise error(413, "SIZE_INVALID", "manifest too large")
    return body
