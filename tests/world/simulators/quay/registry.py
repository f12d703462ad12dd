"""Quay's registry API: its token authentication in front of a real distribution registry.

Real: a user's password, a robot's token, and an API token as ``$oauthtoken`` are credentials of ``/v2/auth``; the token that
it gives names what of the scope is granted, which may be nothing. A push makes the repository where its pusher may.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from . import answers, tags
from .database import Row, hashed
from .repositories import valid_name

if TYPE_CHECKING:
    from .server import Quay

_PATH = re.compile(r"/v2/(?P<namespace>[^/]+)/(?P<name>.+)/(?P<what>manifests|blobs|tags)/(?P<rest>.*)")
_SCOPE = re.compile(r"repository:(?:[^/]+\.[^/]*/)?(?P<namespace>[^/:]+)/(?P<name>[^:]+):(?P<actions>[a-z,*]+)")
_ROLES = {"pull": "read", "push": "write", "*": "admin"}
_HOP = {"connection", "keep-alive", "transfer-encoding", "authorization", "host", "content-length", "expect"}
_HEADERS = {"Docker-Distribution-Api-Version": "registry/2.0"}
_LIFE = 3600
#: Where distribution keeps Quay's images, beside those of others.
_PREFIX = "quay/"


class Registry:
    """The registry of one Quay."""

    def __init__(self, quay: Quay, backend: str) -> None:
        self.quay = quay
        self.backend = backend
        self._key = secrets.token_bytes(32)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connections to distribution (inside the running loop)."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        )

    async def stop(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request below /v2/."""
        if request.path == "/v2/auth":
            return self._auth(request)
        access = self._access(request)
        if access is None:
            raise self._unauthorized(request)
        if request.path == "/v2/":
            return web.json_response(True, headers=_HEADERS)
        found = _PATH.fullmatch(request.path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        action = "pull" if request.method in ("GET", "HEAD") and "uploads" not in found["rest"] else "push"
        namespace = self.quay.database.account(found["namespace"], "user", "organization")
        repository = namespace and self.quay.repository(namespace, found["name"])
        public = bool(action == "pull" and repository and repository["is_public"])
        if not public and action not in access.get(f"{found['namespace']}/{found['name']}", ()):
            raise self._unauthorized(request, f"repository:{found['namespace']}/{found['name']}:pull,push")
        if repository is None:
            return _errors(404, "NAME_UNKNOWN", "repository name not known to registry")
        if found["what"] == "tags" and found["rest"] == "list":
            return answers.answer(self._tags(repository, request, found), headers=_HEADERS)
        if found["what"] == "manifests":
            return await self._manifest(request, repository, found)
        return await self._forward(request, request.path)

    # Tokens

    def _auth(self, request: web.BaseRequest) -> web.Response:
        try:
            account, scopes = self._caller(request)
        except PermissionError as error:
            raise self._unauthorized(request, text=str(error)) from None
        access = []
        for text in " ".join(request.query.getall("scope", [])).split():
            found = _SCOPE.fullmatch(text)
            if found:
                actions = self._granted(account, scopes, found["namespace"], found["name"], found["actions"].split(","))
                name = f"{found['namespace']}/{found['name']}"
                access.append({"type": "repository", "name": name, "actions": actions})
        now = int(self.quay.now())
        subject = account["name"] if account else "(anonymous)"
        claims = {"iss": "quay", "aud": request.query.get("service", ""), "nbf": now, "iat": now, "exp": now + _LIFE,
                  "sub": subject, "access": access}  # fmt: skip
        return answers.answer({"token": self._signed(claims)}, headers=_HEADERS)

    def _caller(self, request: web.BaseRequest) -> tuple[Row | None, frozenset[str] | None]:
        """Whose credentials these are, and the scopes of an API token; PermissionError says what Quay says."""
        header = request.headers.get("Authorization", "")
        if not header:
            return None, None
        try:
            name, _colon, password = base64.b64decode(header.partition(" ")[2]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise PermissionError("Invalid basic auth credentials") from None
        if name == "$oauthtoken":
            token = self.quay.token(password)
            if token is None:
                raise PermissionError("OAuth access token could not be validated")
            owner = self.quay.database.one("SELECT * FROM account WHERE id = ?", token["account"])
            return owner, frozenset(token["scope"].split())
        if name == "$app":
            text = "SELECT account.* FROM account JOIN app_token ON app_token.account = account.id WHERE secret = ?"
            owner = self.quay.database.one(text, password)
            if owner is None:
                raise PermissionError("Invalid token")
            return owner, None
        account = self.quay.database.account(name, "user", "robot")
        if "+" in name:
            if account is None or account["token"] != password:
                raise PermissionError(f"Could not find robot with username: {name} and supplied password.")
        elif account is None or account["password"] != hashed(password) or not account["enabled"]:
            raise PermissionError("Invalid Username or Password")
        return account, None

    def _granted(
        self, account: Row | None, scopes: frozenset[str] | None, owner: str, name: str, actions: list[str]
    ) -> list[str]:
        database, quay = self.quay.database, self.quay
        namespace = database.account(owner, "user", "organization")
        if namespace is None:
            return []
        repository = quay.repository(namespace, name)
        needed = {"pull": "repo:read", "push": "repo:write", "*": "repo:admin"}
        wanted = [
            action for action in actions
            if scopes is None or needed[action] in scopes or "repo:admin" in scopes or "repo:write" in scopes
        ]  # fmt: skip
        if repository is None:
            creates = (
                account is not None and "push" in wanted and quay.may_create(account, namespace) and valid_name(name)
            )
            if not creates:
                return []
            quay.create_repository(namespace, name, account)
            repository = quay.repository(namespace, name) or {}
        if repository["state"] != "NORMAL":
            wanted = [action for action in wanted if action == "pull"]
        return [
            action for action in wanted
            if quay.may(account, repository, _ROLES[action]) or (action == "pull" and repository["is_public"])
        ]  # fmt: skip

    def _signed(self, claims: dict[str, Any]) -> str:
        parts = [_encode(json.dumps(item).encode()) for item in ({"alg": "HS256", "typ": "JWT"}, claims)]
        return ".".join([*parts, self._signature(".".join(parts))])

    def _signature(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))

    def _access(self, request: web.BaseRequest) -> dict[str, list[str]] | None:
        """What the bearer token grants; None without a good one."""
        scheme, _blank, token = request.headers.get("Authorization", "").partition(" ")
        text, _dot, signature = token.rpartition(".")
        if scheme.lower() != "bearer" or not hmac.compare_digest(self._signature(text), signature):
            return None
        payload = text.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["exp"] < self.quay.now():
            return None
        return {item["name"]: item["actions"] for item in claims["access"]}

    def _unauthorized(self, request: web.BaseRequest, scope: str = "", text: str = "") -> answers.Refusal:
        host = request.headers.get("Host", "")
        challenge = f'Bearer realm="{request.scheme}://{host}/v2/auth",service="{host}"'
        headers = {**_HEADERS, "WWW-Authenticate": challenge + (f',scope="{scope}"' if scope else "")}
        if request.path == "/v2/":
            body = web.Response(status=401, body=b"true", headers={**headers, "Content-Type": answers.HTML})
            return answers.Refusal(body)
        answer = _errors(401, "UNAUTHORIZED", text or "access to the requested resource is not authorized")
        answer.headers.update(headers)
        return answers.Refusal(answer)

    # Images

    def _tags(self, repository: Row, request: web.BaseRequest, found: re.Match[str]) -> Row:
        """``tags/list``; ``n`` of them after ``last``."""
        names = sorted(tags.alive(self.quay, repository))
        names = [name for name in names if name > request.query.get("last", "")]
        return {
            "name": f"{found['namespace']}/{found['name']}",
            "tags": names[: int(request.query.get("n", len(names)))],
        }

    async def _manifest(self, request: web.BaseRequest, repository: Row, found: re.Match[str]) -> web.StreamResponse:
        """Manifests are distribution's, tags are Quay's: they expire, are deleted and moved by the API."""
        reference, base = found["rest"], f"/v2/{found['namespace']}/{found['name']}/manifests"
        if ":" not in reference:
            current = tags.alive(self.quay, repository).get(reference)
            if request.method == "PUT" and current and current["immutable"]:
                return _errors(409, "TAG_IMMUTABLE", "tag is immutable")
            if request.method != "PUT" and current is None:
                return _errors(404, "MANIFEST_UNKNOWN", "manifest unknown")
            if request.method == "DELETE" and current:
                self.quay.database.update("tag", "id", current["id"], ends=self.quay.now())
                return web.Response(status=202, headers=_HEADERS)
            if request.method != "PUT" and current:
                return await self._forward(request, f"{base}/{current['digest']}")
        if request.method != "PUT":
            return await self._forward(request, request.path)
        content = await request.read()

        async def keep() -> None:
            labels = await self._labels(found, content)
            digest = tags.keep_manifest(self.quay, repository, content, labels)
            if ":" not in reference:
                tags.point(self.quay, repository, reference, digest)

        return await self._forward(request, request.path, content, keep)

    async def _labels(self, found: re.Match[str], manifest: bytes) -> dict[str, str]:
        """The labels of an image's configuration."""
        config = json.loads(manifest).get("config")
        if self._session is None or config is None:
            return {}
        path = f"/v2/{_PREFIX}{found['namespace']}/{found['name']}/blobs/{config['digest']}"
        async with self._session.get(self.backend + path) as answer:
            content = json.loads(await answer.read()) if answer.status == 200 else {}
        return dict((content.get("config") or {}).get("Labels") or {})

    async def _forward(
        self,
        request: web.BaseRequest,
        to: str,
        content: bytes | None = None,
        created: Callable[[], Awaitable[None]] | None = None,
    ) -> web.StreamResponse:
        """The request to distribution, streamed both ways, below a prefix of its own. No blobs are mounted.

        created: what to do before the caller is told that something was created.
        """
        if self._session is None:
            raise RuntimeError("start() comes before handle()")
        headers = CIMultiDict((key, value) for key, value in request.headers.items() if key.lower() not in _HOP)
        headers.update({"Host": request.headers["Host"], "X-Forwarded-Proto": request.scheme})
        data: Any = None
        if content is not None:
            data = content
        elif request.body_exists:
            data = request.content
            if request.content_length is not None:
                headers["Content-Length"] = str(request.content_length)
        query = "" if request.query.get("mount") else request.rel_url.raw_query_string
        path = f"/v2/{_PREFIX}{to.removeprefix('/v2/')}"
        url = URL(f"{self.backend}{path}?{query}" if query else self.backend + path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False
        ) as found:
            if created is not None and found.status == 201:
                await created()
            kept = {key: value for key, value in found.headers.items() if key.lower() not in _HOP}
            response = web.StreamResponse(status=found.status, headers={**kept, **_HEADERS})
            if "Location" in kept:
                response.headers["Location"] = kept["Location"].replace(f"/v2/{_PREFIX}", "/v2/", 1)
            if "Content-Length" in found.headers:
                response.headers["Content-Length"] = found.headers["Content-Length"]
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in found.content.iter_chunked(1 << 16):
                    await response.write(chunk)
            return response


def _errors(status: int, code: str, text: str) -> web.Response:
    return answers.answer({"errors": [{"code": code, "detail": {}, "message": text}]}, status, _HEADERS)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
