"""How the cluster reads images of other registries: with the namespace's pull secrets, trusting what the cluster trusts.

Real: the importer in openshift-apiserver. Every Secret of type kubernetes.io/dockerconfigjson or dockercfg of the namespace is
used, linked to an account or not. Trusted are the system's authorities and, per host, the ConfigMap that
images.config.openshift.io/cluster names in spec.additionalTrustedCA (keys HOST or HOST..PORT, in openshift-config).
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import json
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ..sandbox import NAMES
from .images import LISTS, describe
from .kube import Kube
from .store import Object

REFERENCE = re.compile(
    r"(?:(?P<host>localhost(?::\d+)?|[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+)/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    *LISTS,
)
SECRETS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
AT_ONCE = 16
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
UNKNOWN_AUTHORITY = "x509: certificate signed by unknown authority"


@dataclass(frozen=True)
class Source:
    """An image somewhere."""

    name: str  # as it was written
    host: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, name: str) -> Source | None:
        """None where the reference is malformed. What has no host is on the Docker Hub."""
        found = REFERENCE.fullmatch(name)
        if found is None:
            return None
        host, repository = found["host"] or "docker.io", found["repository"]
        if host == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        return cls(name, host, repository, found["tag"] or ("" if found["digest"] else "latest"), found["digest"] or "")


class Failed(Exception):
    """Why an image cannot be had: the Status object inside an ImageStreamImport."""

    def __init__(self, reason: str, message: str, code: int, details: Object | None = None) -> None:
        super().__init__(message)
        self.status: Object = {
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


def not_found(source: Source) -> Failed:
    """No such repository or tag."""
    details = {"name": source.name, "group": "image.openshift.io", "kind": "dockerimage"}
    return Failed("NotFound", f'dockerimage.image.openshift.io "{source.name}" not found', 404, details)


def unauthorized(source: Source) -> Failed:
    """No credential, or one that is not good enough."""
    return Failed("Unauthorized", f'you may not have access to the container image "{source.name}"', 401)


def internal(source: Source, why: str) -> Failed:
    """Anything else."""
    text = f"{source.name}: {why}"
    return Failed("InternalError", f"Internal error occurred: {text}", 500, {"causes": [{"message": text}]})


class _Names(AbstractResolver):
    """The worlds' own hosts, wherever their port 443 is listened on; others as the system knows them."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """One address."""
        known = NAMES.find(host)
        address = known[0] if known else socket.gethostbyname(host)
        at = known[1] if known and port == 443 else port
        return [ResolveResult(hostname=host, host=address, port=at, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


class Importer:
    """Reads manifests. ``public_ca`` (PEM) is an authority that every system trusts."""

    def __init__(self, kube: Kube, public_ca: bytes) -> None:
        self.kube = kube
        self.public_ca = public_ca.decode()
        self._contexts: dict[tuple[bool, str], ssl.SSLContext] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def credentials(self, namespace: str) -> list[Object]:
        """The ``auths`` of all docker configurations of the namespace."""
        found = []
        for secret in (await self.kube.get(f"/api/v1/namespaces/{namespace}/secrets"))["items"]:
            key = SECRETS.get(secret.get("type", ""))
            if key:
                config = json.loads(base64.b64decode((secret.get("data") or {}).get(key, "e30=")))
                found.append(config.get("auths", {}) if key == ".dockerconfigjson" else config)
        return found

    async def image(self, namespace: str, source: Source, *, insecure: bool, mode: str) -> Object:
        """The Image of a source, or Failed. ``mode`` Legacy picks linux/amd64 out of a list."""
        users = [user for auths in await self.credentials(namespace) for user in _users(auths, source)]
        context = await self._trust(source.host, insecure)
        connector = aiohttp.TCPConnector(ssl=context, resolver=_Names(), ttl_dns_cache=0)
        async with self._turns, aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session:
            reading = _Reading(session, source, users)
            await reading.ping(insecure)
            digest, media_type, manifest = await reading.manifest(source.digest or source.tag)
            if media_type in LISTS and mode != "PreserveOriginal":
                parts = manifest["manifests"]
                amd64 = [part for part in parts if (part.get("platform") or {}).get("architecture") == "amd64"]
                digest, media_type, manifest = await reading.manifest((amd64 or parts)[0]["digest"])
            config = {} if media_type in LISTS else await reading.blob(manifest["config"]["digest"])
        host = "" if source.host == "docker.io" else f"{source.host}/"
        return describe(f"{host}{source.repository}@{digest}", manifest, media_type, config)

    async def _trust(self, host: str, insecure: bool) -> ssl.SSLContext:
        certificate = "" if insecure else await self._additional(host)
        context = self._contexts.get((insecure, certificate))
        if context is None:
            context = ssl.create_default_context()
            context.load_verify_locations(cadata=self.public_ca + certificate)
            if insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._contexts[insecure, certificate] = context
        return context

    async def _additional(self, host: str) -> str:
        """What the cluster's image configuration trusts for this host."""
        config = await self.kube.find("/apis/config.openshift.io/v1/images/cluster")
        name = (((config or {}).get("spec") or {}).get("additionalTrustedCA") or {}).get("name")
        if not name:
            return ""
        found = await self.kube.find(f"/api/v1/namespaces/openshift-config/configmaps/{name}")
        return str(((found or {}).get("data") or {}).get(host.replace(":", "..")) or "")


class _Reading:
    """Requests for one image, with each credential in turn until one is accepted."""

    def __init__(self, session: aiohttp.ClientSession, source: Source, users: list[str]) -> None:
        self.session = session
        self.source = source
        self.users = users
        self.host = "registry-1.docker.io" if source.host == "docker.io" else source.host
        self.base = f"https://{self.host}"
        self.authorization: dict[str, str] = {}

    async def ping(self, insecure: bool) -> None:
        """Find out whether and how the registry answers; what is insecure may also speak plain HTTP."""
        failure = await self._ping()
        if failure and insecure:
            secure, self.base = self.base, f"http://{self.host}"
            if await self._ping() is None:
                return
            self.base = secure
        if failure:
            raise failure

    async def _ping(self) -> Failed | None:
        try:
            async with self.session.get(f"{self.base}/v2/"):
                return None
        except (aiohttp.ClientError, OSError) as error:
            return internal(self.source, f'Get "{self.base}/v2/": {_go(error)}')

    async def manifest(self, reference: str) -> tuple[str, str, Object]:
        """Digest, media type and content."""
        body, media_type = await self._get(f"manifests/{reference}", {"Accept": ", ".join(MANIFESTS)})
        manifest: Object = json.loads(body)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return digest, manifest.get("mediaType", media_type), manifest

    async def blob(self, digest: str) -> Object:
        """An image's config."""
        body, _media_type = await self._get(f"blobs/{digest}", {})
        content: Object = json.loads(body)
        return content

    async def _get(self, rest: str, headers: dict[str, str]) -> tuple[bytes, str]:
        url = f"{self.base}/v2/{self.source.repository}/{rest}"
        status, answer, body = await self._send(url, {**headers, **self.authorization})
        for user in [*self.users, ""] if status == 401 else []:
            authorization = await self._answer(answer.get("WWW-Authenticate", ""), user)
            if authorization is None:
                continue
            status, again, body = await self._send(url, {**headers, **authorization})
            if status not in (401, 403):
                self.authorization, answer = authorization, again
                break
        if status in (401, 403):
            raise unauthorized(self.source)
        if status == 404:
            raise not_found(self.source)
        if status != 200:
            raise internal(self.source, f"received unexpected HTTP status: {status}")
        return body, answer.get("Content-Type", "")

    async def _answer(self, challenge: str, user: str) -> dict[str, str] | None:
        """The header that answers a challenge as this user ("": as nobody)."""
        basic = {"Authorization": f"Basic {user}"} if user else {}
        scheme, _blank, rest = challenge.partition(" ")
        if scheme.lower() != "bearer":
            return basic or None
        parameters = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        query = {"service": parameters.get("service", ""), "scope": f"repository:{self.source.repository}:pull"}
        status, _headers, body = await self._send(f"{parameters['realm']}?{urlencode(query)}", basic)
        if status != 200:
            return None
        answer = json.loads(body)
        return {"Authorization": f"Bearer {answer.get('token') or answer.get('access_token')}"}

    async def _send(self, url: str, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        try:
            async with self.session.get(url, headers=headers) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise internal(self.source, f'Get "{url}": {_go(error)}') from None


def _users(auths: Object, source: Source) -> list[str]:
    """The credentials (base64 of USER:PASSWORD) for a source, those for the longest path first."""
    found = []
    for key, entry in auths.items():
        host, _slash, path = key.partition("://")[2].partition("/") if "://" in key else key.partition("/")
        if host == "index.docker.io":
            host = "docker.io"
        path = path.removesuffix("/").removesuffix("v1").removesuffix("v2")
        inside = not path or f"{source.repository}/".startswith(f"{path}/")
        if host == source.host and inside and entry.get("auth"):
            found.append((len(path), entry["auth"]))
    return [auth for _length, auth in sorted(found, reverse=True)]


def _go(error: Exception) -> str:
    """The error as Go's HTTP client words it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        code = getattr(cause, "verify_code", 0)
        if code == 10:
            why = "x509: certificate has expired or is not yet valid"
        elif code in (62, 64):
            why = f"x509: certificate is not valid for any names, but wanted to match {error.host}"
        else:
            why = UNKNOWN_AUTHORITY
        return f"tls: failed to verify certificate: {why}"
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(error.__cause__, socket.gaierror):
        return f"dial tcp: lookup {getattr(error, 'host', '')}: no such host"
    if isinstance(error, aiohttp.ClientSSLError):
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno == errno.ECONNREFUSED:
        address = socket.gethostbyname(error.host)
        return f"dial tcp {address}:{error.port}: connect: connection refused"
    return str(error)
