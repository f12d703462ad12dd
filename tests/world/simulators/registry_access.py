"""Who may do what at the integrated registry.

Real: the password is a cluster token and the user name is ignored; the API server reviews the token, then decides by
SubjectAccessReview on imagestreams/layers of the project: `get` pulls, `update` pushes; the catalog wants `list` of image
streams everywhere, a DELETE wants `delete` of images. A refusal is 401, never 403.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from aiohttp import web

from .images import GROUP
from .kube import Kube
from .projects import allowed
from .resource import Caller

ANONYMOUS = "anonymous"
JSON = {"Content-Type": "application/json"}
HEADERS = {"Docker-Distribution-Api-Version": "registry/2.0", "X-Registry-Supports-Signatures": "1"}
REPOSITORY_ACTIONS = {"GET": ["pull"], "HEAD": ["pull"], "DELETE": ["delete"]}
VERBS = {"pull": "get", "push": "update"}
NOBODY = Caller("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True)
class Record:
    """One thing that a request wants to do; the shape is distribution's."""

    kind: str
    name: str
    action: str

    def detail(self) -> dict[str, str]:
        """As an error body shows it."""
        return {"Type": self.kind, "Class": "", "Name": self.name, "Action": self.action}


class Refused(Exception):
    """An answer instead of what was asked for."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


def error(
    status: int, code: str, message: str, detail: object = None, *, headers: dict[str, str] | None = None
) -> Refused:
    """A registry error; a detail of None is left out, as distribution does, except where the code always has one."""
    entry: dict[str, object] = {"code": code, "message": message}
    if detail is not None or code == "UNAUTHORIZED":
        entry["detail"] = detail
    # Go writes no blanks into JSON, and ends it with a line feed.
    text = json.dumps({"errors": [entry]}, separators=(",", ":")) + "\n"
    return Refused(web.Response(status=status, body=text.encode(), headers={**JSON, **HEADERS, **(headers or {})}))


class Access:
    """Authentication and authorization of registry requests by the API server."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    async def caller(self, token: str) -> Caller | None:
        """Whose token it is."""
        review = await self.kube.create("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
        status = review["status"]
        if not status.get("authenticated"):
            return None
        user = status["user"]
        return Caller(user["username"], tuple(user.get("groups") or ()), user.get("uid", ""), user.get("extra") or {})

    async def token(self, request: web.BaseRequest) -> web.Response:
        """/openshift/token: the very token that came as the password; `anonymous` without credentials."""
        for scope in request.query.getall("scope", []):
            kind, _separator, rest = scope.partition(":")
            name = rest.rpartition(":")[0]
            if kind == "repository" and len(name.split("/")) != 2:
                text = f'repository name "{name}" invalid: it must be of the format <project>/<name>'
                return web.json_response({"details": text}, status=401)
        header = request.headers.get("Authorization", "")
        if not header:
            token = ANONYMOUS
        else:
            found = _credential(header)
            if found is None or await self.caller(found) is None:
                return web.Response(status=401)
            token = found
        headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
        return web.json_response({"access_token": token, "token": token}, headers=headers)

    async def check(self, request: web.BaseRequest, repository: str) -> tuple[Caller, bool]:
        """Who asks, if he may; Refused otherwise. Also whether the blob mount that he asks for is allowed."""
        records = _records(request, repository)
        detail = [record.detail() for record in records] or None
        realm = f'Bearer realm="https://{request.headers.get("Host", "")}/openshift/token"'
        header = request.headers.get("Authorization", "")
        if not header:
            raise error(401, "UNAUTHORIZED", "authentication required", detail, headers={"Www-Authenticate": realm})
        token = _credential(header)
        denied = {"Www-Authenticate": 'Basic realm=openshift,error="access denied"'}
        caller = NOBODY if token == ANONYMOUS else await self.caller(token) if token else None
        if caller is None or (caller is NOBODY and not records):
            raise error(401, "UNAUTHORIZED", "authentication required", detail, headers=denied)
        for record in records:
            if not await self.permits(caller, record):
                raise error(401, "UNAUTHORIZED", "authentication required", detail, headers=denied)
        source = request.query.get("from", "")
        mount = bool(source) and await self.permits(caller, Record("repository", source, "pull"))
        return caller, mount

    async def permits(self, caller: Caller, record: Record) -> bool:
        """What the API server says of one record."""
        if record.kind == "registry":
            return await allowed(self.kube, caller, "list", GROUP, "imagestreams")
        if record.action == "delete":
            return await allowed(self.kube, caller, "delete", GROUP, "images")
        namespace, _separator, name = record.name.partition("/")
        verb = VERBS[record.action]
        return await allowed(self.kube, caller, verb, GROUP, "imagestreams", namespace, "layers", name)


def _records(request: web.BaseRequest, repository: str) -> list[Record]:
    if repository == "_catalog":
        return [Record("registry", "catalog", "*")]
    if not repository:
        return []
    actions = REPOSITORY_ACTIONS.get(request.method, ["pull", "push"])
    return [Record("repository", repository, action) for action in actions]


def _credential(header: str) -> str | None:
    scheme, _separator, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
