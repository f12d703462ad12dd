"""The aggregated API server of OpenShift's own groups.

Real: openshift-apiserver and oauth-apiserver behind APIServices. The API server authenticates and authorizes, then
forwards with X-Remote-User, X-Remote-Group and X-Remote-Extra-* over its proxy-client certificate; nobody else may
connect. What cannot be a CRD lives here, since it computes its answer: projects out of namespaces, image stream tags out
of streams and images, `users/~` out of the caller.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from . import store
from .errors import ApiError, bad_request, forbidden, method_not_allowed, not_found
from .kube import FAULTS, Kube, KubeError
from .resource import Caller, Object, Resource

log = logging.getLogger(__name__)

VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
BOOKMARK_SECONDS = 50.0


class OpenShiftApi:
    """The HTTP side: paths, discovery, watches, patches. `kube` answers whether a namespace exists."""

    def __init__(self, kube: Kube, revision: store.Revision, resources: Iterable[Resource]) -> None:
        self.kube = kube
        self.revision = revision
        self.resources = {(item.group, item.version, item.plural): item for item in resources}
        self.versions = sorted({(group, version) for group, version, _plural in self.resources})

    async def serve(self, address: str, port: int, certificate: Path, key: Path, client_ca: Path) -> web.ServerRunner:
        """Listen for the API server's proxy."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca))
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(certificate, key)
        runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, address, port, ssl_context=tls, backlog=256).start()
        return runner

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        try:
            return await self._route(request)
        except ApiError as error:
            return web.json_response(error.status, status=error.code)
        except KubeError as error:
            return web.json_response(error.body, status=error.status)
        except FAULTS as error:
            failure = ApiError(500, "InternalError", f"Internal error occurred: {error}")
            return web.json_response(failure.status, status=500)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if parts[0] in ("healthz", "readyz", "livez"):
            return web.Response(text="ok")
        if parts[0] != "apis" or len(parts) < 3:
            # No aggregated discovery and no OpenAPI: the API server then reads each version's resource list instead.
            return web.Response(status=404, text="404 page not found\n")
        group, version, *rest = parts[1:]
        if (group, version) not in self.versions:
            return web.Response(status=404, text="404 page not found\n")
        if not rest:
            return web.json_response(self._discovery(group, version))
        namespace = ""
        # /namespaces/NS/PLURAL… ; nothing here is itself called "namespaces".
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource = self.resources.get((group, version, rest[0]))
        if resource is None or len(rest) > 3:
            return web.Response(status=404, text="404 page not found\n")
        name = rest[1] if len(rest) > 1 else ""
        subresource = rest[2] if len(rest) > 2 else ""
        if subresource and subresource not in resource.subresources:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        exchange = Exchange(self, request, resource, namespace, name, subresource)
        return await exchange.answer()

    def _discovery(self, group: str, version: str) -> Object:
        entries = [
            entry
            for (its_group, its_version, _plural), resource in sorted(self.resources.items())
            if (its_group, its_version) == (group, version)
            for entry in resource.discovery()
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}",
                "resources": entries}  # fmt: skip

    async def require_namespace(self, resource: Resource, namespace: str) -> None:
        """Admission's NamespaceLifecycle: nothing new in a namespace that is missing or on its way out."""
        found = await self.kube.find(f"/api/v1/namespaces/{namespace}")
        if found is None:
            raise not_found("namespaces", "", namespace)
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource.plural, resource.group, "", why)


class Exchange:
    """One request to one resource."""

    def __init__(
        self, api: OpenShiftApi, request: web.BaseRequest, resource: Resource, namespace: str, name: str, sub: str
    ) -> None:
        self.api = api
        self.request = request
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self.subresource = sub
        self.caller = _caller(request)
        self.dry_run = request.query.get("dryRun") == "All"
        self.metadata_only = "as=PartialObjectMetadata" in request.headers.get("Accept", "")

    async def answer(self) -> web.StreamResponse:
        """Dispatch by verb."""
        method = self.request.method
        verb = (VERBS if self.name else COLLECTION_VERBS).get(method, "")
        watching = verb == "list" and self.request.query.get("watch") in ("true", "1")
        if (verb == "get" and self.subresource == "") or verb in self.resource.verbs or self.subresource:
            action: Callable[[], Awaitable[web.StreamResponse]] = getattr(self, f"_{verb}", self._unsupported)
            if watching and "watch" in self.resource.verbs:
                action = self._watch
            return await action()
        return await self._unsupported()

    async def _unsupported(self) -> web.StreamResponse:
        raise method_not_allowed(self.resource.plural, self.resource.group, self.request.method.lower())

    async def _list(self) -> web.StreamResponse:
        if (other := await self.resource.list_answer(self.caller)) is not None:
            return web.json_response(other)
        matches = self._selector()
        # Before the list: a change that happens meanwhile is then told twice rather than never.
        revision = str(self.api.revision.value)
        items = [item for item in await self.resource.list_all(self.caller, self.namespace) if matches(item)]
        body = {
            "kind": f"{self.resource.kind}List",
            "apiVersion": f"{self.resource.group}/{self.resource.version}",
            "metadata": {"resourceVersion": revision},
            "items": [self._partial(item) if self.metadata_only else item for item in items],
        }
        if self.metadata_only:
            body.update(kind="PartialObjectMetadataList", apiVersion="meta.k8s.io/v1")
        return web.json_response(body)

    async def _get(self) -> web.StreamResponse:
        return self._one(await self.resource.get(self.caller, self.namespace, self.name))

    async def _create(self) -> web.StreamResponse:
        item = await self._body()
        self._place(item, item.setdefault("metadata", {}).get("name", ""))
        if self.resource.namespaced:
            await self.api.require_namespace(self.resource, self.namespace)
        return self._one(await self.resource.create(self.caller, self.namespace, item, self.dry_run), 201)

    async def _update(self) -> web.StreamResponse:
        item = await self._body()
        self._place(item, self.name)
        return self._one(await self._replace(item))

    async def _patch(self) -> web.StreamResponse:
        kind = self.request.content_type
        patch = yaml.safe_load(await self.request.text())
        for attempt in range(5):
            try:
                old = await self.resource.get(self.caller, self.namespace, self.name)
            except ApiError:
                if kind != "application/apply-patch+yaml":
                    raise
                self._place(patch, self.name)
                await self.api.require_namespace(self.resource, self.namespace)
                return self._one(await self.resource.create(self.caller, self.namespace, patch, self.dry_run), 201)
            # Strategic merge and apply are taken as merge: of these kinds nobody patches single list entries.
            new = store.json_patch(old, patch) if kind == "application/json-patch+json" else store.merge(old, patch)
            self._place(new, self.name)
            try:
                return self._one(await self._replace(new))
            except ApiError as error:
                if error.code != 409 or attempt == 4 or "resourceVersion" in (patch_metadata(patch)):
                    raise
        raise AssertionError("unreachable")

    async def _delete(self) -> web.StreamResponse:
        answer = await self.resource.delete(self.caller, self.namespace, self.name, self.dry_run)
        return web.json_response(self._typed(answer) if "metadata" in answer and "kind" not in answer else answer)

    async def _deletecollection(self) -> web.StreamResponse:
        matches = self._selector()
        items = [item for item in await self.resource.list_all(self.caller, self.namespace) if matches(item)]
        for item in items:
            namespace = item["metadata"].get("namespace", "")
            await self.resource.delete(self.caller, namespace, item["metadata"]["name"], self.dry_run)
        return web.json_response({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    async def _watch(self) -> web.StreamResponse:
        query = self.request.query
        matches = self._selector()
        version = query.get("resourceVersion") or "0"
        initial = query.get("sendInitialEvents") == "true" or version == "0"
        since = self.api.revision.value if initial else int(version)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        events = self.resource.watch(self.caller, self.namespace, since)
        waiting: asyncio.Future[Any] = asyncio.ensure_future(anext_event(events))
        # The generator must have begun to listen before the list is taken.
        await asyncio.sleep(0)
        items = await self.resource.list_all(self.caller, self.namespace) if initial else []
        await response.prepare(self.request)
        try:
            for item in filter(matches, items):
                await self._tell(response, "ADDED", item)
            if query.get("sendInitialEvents") == "true":
                await self._bookmark(response, {"k8s.io/initial-events-end": "true"})
            deadline = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds") or 3600)
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                done, _rest = await asyncio.wait({waiting}, timeout=min(left, BOOKMARK_SECONDS))
                if done:
                    _revision, kind, item = waiting.result()
                    waiting = asyncio.ensure_future(anext_event(events))
                    if matches(item):
                        await self._tell(response, kind, item)
                elif query.get("allowWatchBookmarks") == "true":
                    await self._bookmark(response, {})
        except (ConnectionError, StopAsyncIteration):
            pass
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await events.aclose()  # type: ignore[attr-defined]
        return response

    async def _bookmark(self, response: web.StreamResponse, annotations: Object) -> None:
        metadata = {"resourceVersion": str(self.api.revision.value), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        await self._tell(response, "BOOKMARK", {"metadata": metadata})

    async def _tell(self, response: web.StreamResponse, kind: str, item: Object) -> None:
        body = self._partial(item) if self.metadata_only else self._typed(item)
        await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")

    async def _replace(self, item: Object) -> Object:
        return await self.resource.update(self.caller, self.namespace, item, self.dry_run, self.subresource)

    async def _body(self) -> Object:
        try:
            body = yaml.safe_load(await self.request.text())
        except yaml.YAMLError as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from None
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type JSON or YAML)")
        return body

    def _place(self, item: Object, name: str) -> None:
        metadata = item["metadata"] = item.get("metadata") or {}
        metadata.setdefault("name", name)
        if name and metadata["name"] != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if self.resource.namespaced:
            if metadata.setdefault("namespace", self.namespace) != self.namespace:
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            metadata.pop("namespace", None)
        item.pop("kind", None)
        item.pop("apiVersion", None)

    def _one(self, item: Object, status: int = 200) -> web.StreamResponse:
        if item.get("kind") == "Status":
            return web.json_response(item, status=status)
        return web.json_response(self._partial(item) if self.metadata_only else self._typed(item), status=status)

    def _typed(self, item: Object) -> Object:
        own = {"kind": self.resource.kind, "apiVersion": f"{self.resource.group}/{self.resource.version}"}
        return {**own, **item}

    def _partial(self, item: Object) -> Object:
        return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}

    def _selector(self) -> Callable[[Object], bool]:
        return store.selector(self.request.query.get("labelSelector", ""), self.request.query.get("fieldSelector", ""))


def patch_metadata(patch: Any) -> Object:
    """The metadata of a merge patch, empty where there is none."""
    return (patch.get("metadata") or {}) if isinstance(patch, dict) else {}


async def anext_event(events: Any) -> Any:
    """The next item of an asynchronous iterator, as a coroutine."""
    return await events.__anext__()


def _caller(request: web.BaseRequest) -> Caller:
    extra: dict[str, list[str]] = {}
    for header, value in request.headers.items():
        if header.lower().startswith("x-remote-extra-"):
            extra.setdefault(header[len("X-Remote-Extra-") :].lower().replace("%2f", "/"), []).append(value)
    return Caller(
        request.headers.get("X-Remote-User", "system:anonymous"),
        tuple(request.headers.getall("X-Remote-Group", [])),
        request.headers.get("X-Remote-Uid", ""),
        extra,
    )
