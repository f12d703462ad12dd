"""One Quay: its configuration, who may do what, and the way of a request to its handler."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from . import (
    answers,
    app_tokens,
    applications,
    default_permissions,
    messages,
    mirrors,
    notifications,
    organization_mirrors,
    organizations,
    policies,
    proxy_cache,
    quotas,
    repositories,
    robots,
    sessions,
    tags,
    teams,
    users,
)
from .call import Call, Route
from .database import Database, Row
from .discovery import document
from .registry import Registry

#: OAuth tokens live for ten years unless they are asked for with an end.
_TOKEN_LIFE = 315576000.0
#: Features that are on unless the configuration says otherwise: those of the recorded Quay.
_ON = {
    "ANONYMOUS_ACCESS", "SUPER_USERS", "QUOTA_MANAGEMENT", "PROXY_CACHE", "REPO_MIRROR", "ORG_MIRROR", "AUTO_PRUNE",
    "IMMUTABLE_TAGS", "APP_SPECIFIC_TOKENS", "REQUIRE_TEAM_INVITE",
}  # fmt: skip
_TOO_MANY = (
    "<html>\n<head><title>429 Too Many Requests</title></head>\n<body>\n<center><h1>429 Too Many Requests</h1></center>\n"
    "<hr><center>nginx</center>\n</body>\n</html>\n"
)
_BROWSERS = ("Mozilla", "Chrome", "Safari")
_FIRST = {"write": ("write", "admin"), "read": ("read", "write", "admin"), "admin": ("admin",)}
_READ_ONLY = "System is currently read-only. Pulls will succeed but all write operations are currently suspended."


@dataclass(frozen=True)
class Costs:
    """Seconds of a request: with an OAuth token (a bcrypt), without one, and to sign in."""

    bearer: float
    session: float
    sign_in: float


#: What the recorded Quay took.
RECORDED_COSTS = Costs(bearer=0.4, session=0.025, sign_in=0.4)


class Quay:
    """A Quay with its database in ``directory``.

    config: keys of its config.yaml; may be changed while it runs. ``named_tokens`` False is an older Quay, without tokens of
    applications by name. ``skew`` moves its clock.
    """

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any] | None = None,
        *,
        backend: str = "http://127.0.0.1:5001",
        named_tokens: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.config = dict(config or {})
        self.database = Database(directory / "quay.sqlite")
        self.registry = Registry(self, backend)
        self.named_tokens = named_tokens
        self.skew = 0.0
        self.token_life = _TOKEN_LIFE
        self.initialize_takes = 0.02
        #: What a request costs the server, in seconds; requests wait for each other. See ``RECORDED_COSTS``.
        self.costs: Costs | None = None
        self._busy = asyncio.Lock()
        #: How many of the next requests its nginx refuses with 429.
        self.too_many = 0
        #: Other registries that a proxy cache can be validated with, and the names and passwords that they take.
        self.upstreams: dict[str, set[tuple[str, str]]] = {}
        #: Who has agreed to get notifications by mail.
        self.authorized_addresses: set[str] = set()
        #: METHOD PATH of the requests to the API, in order.
        self.requests: list[str] = []
        #: What they sent: the operation's name in the discovery document, and the body.
        self.bodies: list[tuple[str, bytes]] = []
        # Those of repositories come last: their names may contain slashes.
        kinds = [
            sessions.routes, users.routes, applications.routes, organizations.routes, robots.routes, teams.routes,
            teams.invitations, teams.syncing, default_permissions.routes, quotas.routes, proxy_cache.routes,
            organization_mirrors.routes, messages.routes, app_tokens.routes, policies.prune, policies.immutability,
            mirrors.routes, notifications.routes, tags.routes, repositories.routes,
        ]  # fmt: skip
        self.routes: list[Route] = [route for kind in kinds for route in kind.all]
        if named_tokens:
            self.routes += applications.named_tokens.all
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Get ready to answer (inside the running loop)."""
        await self.registry.start()

    async def serve(self, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen, without a router."""
        await self.start()
        self._runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port, ssl_context=tls).start()

    async def stop(self) -> None:
        """End."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self.registry.stop()
        self.database.close()

    def now(self) -> float:
        """Quay's time."""
        return time.time() + self.skew

    # What the configuration says

    def feature(self, name: str) -> bool:
        """FEATURE_NAME."""
        return bool(self.config.get(f"FEATURE_{name}", name in _ON))

    @property
    def superusers(self) -> list[str]:
        return list(self.config.get("SUPER_USERS") or []) if self.feature("SUPER_USERS") else []

    # Who may do what

    def roles_in(self, account: Mapping[str, Any], organization: Mapping[str, Any]) -> set[str]:
        """The roles of the account's teams in an organization."""
        rows = self.database.all(
            "SELECT team.role FROM team JOIN team_member ON team_member.team = team.id"
            " WHERE team.organization = ? AND team_member.account = ?", organization["id"], account["id"],
        )  # fmt: skip
        return {row["role"] for row in rows}

    def repository(self, namespace: Mapping[str, Any], name: str) -> Row | None:
        """A repository of a namespace."""
        return self.database.one("SELECT * FROM repository WHERE namespace = ? AND name = ?", namespace["id"], name)

    def may_create(self, account: Mapping[str, Any], namespace: Mapping[str, Any]) -> bool:
        """Whether the account may make repositories in the namespace."""
        own = account["id"] == namespace["id"] and account["kind"] == "user"
        return own or bool(self.roles_in(account, namespace) & {"admin", "creator"})

    def may(self, account: Mapping[str, Any] | None, repository: Mapping[str, Any], role: str) -> bool:
        """Whether the account has the role in the repository, itself or by a team."""
        if account is None or not repository:
            return False
        if account["id"] == repository["namespace"] or "admin" in self.roles_in(
            account, {"id": repository["namespace"]}
        ):
            return True
        rows = self.database.all(
            "SELECT role FROM permission WHERE repository = ? AND (account = ? OR team IN"
            " (SELECT team FROM team_member WHERE account = ?))", repository["id"], account["id"], account["id"],
        )  # fmt: skip
        return any(row["role"] in _FIRST[role] for row in rows)

    def set_permission(self, repository: Row, account: Row, role: str | None) -> None:
        """The account's role in the repository; None takes it away."""
        found = self.database.one(
            "SELECT rowid AS id FROM permission WHERE repository = ? AND account = ?", repository["id"], account["id"]
        )
        if found and role:
            self.database.update("permission", "rowid", found["id"], role=role)
        elif found:
            self.database.delete("permission", "rowid", found["id"])
        elif role:
            self.database.insert("permission", repository=repository["id"], account=account["id"], role=role)

    def create_repository(
        self, namespace: Row, name: str, owner: Row | None, public: bool = False, description: str = ""
    ) -> None:
        """A new repository; its maker administers it, unless the namespace is his own."""
        repository = self.database.insert(
            "repository", namespace=namespace["id"], name=name, description=description, is_public=int(public),
            status_token=f"{namespace['id']}-{name}",
        )  # fmt: skip
        if owner is not None and owner["id"] != namespace["id"]:
            self.database.insert("permission", repository=repository, account=owner["id"], role="admin")
        default = "SELECT * FROM default_permission WHERE organization = ? AND (activating IS NULL OR activating = ?)"
        for given in self.database.all(default, namespace["id"], owner and owner["id"]):
            kind = "team" if given["team"] else "account"
            text = f"SELECT role FROM permission WHERE repository = ? AND {kind} = ?"
            if not self.database.one(text, repository, given[kind]):
                self.database.insert("permission", repository=repository, **{kind: given[kind]}, role=given["role"])

    def push(self, namespace: str, name: str, tag: str, labels: Mapping[str, str] | None = None) -> str:
        """An image of one layer, without a registry; its digest."""
        repository = self.repository(self.database.account(namespace) or {}, name) or {}
        number = len(self.database.all("SELECT id FROM tag"))
        blobs = {"config": {"size": 227, "digest": f"sha256:{number:064x}"},
                 "layers": [{"size": 107, "digest": f"sha256:{'f' * 64}"}]}  # fmt: skip
        digest = tags.keep_manifest(self, repository, json.dumps({"schemaVersion": 2, **blobs}).encode(), labels or {})
        tags.point(self, repository, tag, digest)
        return digest

    def forget(self, account: Row) -> None:
        """Delete a user or an organization with its robots and all that hangs on them."""
        for robot in self.database.all(
            "SELECT id FROM account WHERE kind = 'robot' AND name LIKE ?", f"{account['name']}+%"
        ):
            for mirrors_ in ("mirror", "organization_mirror"):
                self.database.delete(mirrors_, "robot", robot["id"])
            self.database.delete("account", "id", robot["id"])
        self.database.delete("account", "id", account["id"])

    def token(self, secret: str) -> Row | None:
        """A bearer token that is good now."""
        found = self.database.one("SELECT * FROM token WHERE secret = ?", secret)
        return found if found and found["expires"] > self.now() else None

    # Requests

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        try:
            if request.path.startswith("/v2/"):
                return await self.registry.handle(request)
            return await self._api(request)
        except answers.Refusal as refusal:
            return refusal.response

    async def _api(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.too_many:
            self.too_many -= 1
            return web.Response(status=429, body=_TOO_MANY.encode(), headers={"Content-Type": "text/html"})
        if self.costs:
            await self._pay(request, self.costs)
        routes = [route for route in self.routes if not route.feature or self.feature(route.feature)]
        if request.path == "/api/v1/discovery" and request.method == "GET":
            return answers.answer(document(routes, request))
        if request.path == "/health/instance":
            return answers.answer({"data": {"services": {"database": True, "web_gunicorn": True}}, "status_code": 200})
        matching = [(route, found) for route in routes if (found := route.pattern.fullmatch(request.path))]
        chosen = next(((route, found) for route, found in matching if route.method == request.method), None)
        if chosen is None:
            return self._nothing(request, routes, bool(matching))
        route, found = chosen
        if route.path.endswith("{repository}") and _is_there(routes, request.method, request.path + "/"):
            return _slash(request)
        call = Call(self, request, await request.read(), parameters=found.groupdict())
        if route.documented and call.body:
            self.bodies.append((route.documented, call.body))
        self._identify(call)
        try:
            self._check(call, route)
            response = route.handle(call)
            if isinstance(response, Awaitable):
                response = await response
        except answers.Refusal as refusal:
            response = refusal.response
        sessions.remember(call, response)
        return response

    async def _pay(self, request: web.BaseRequest, costs: Costs) -> None:
        """Take the time that the request takes, one at a time."""
        bearer = request.headers.get("Authorization", "").partition(" ")[2]
        seconds = costs.bearer if bearer and self.token(bearer) else costs.session
        if request.path == "/api/v1/signin":
            seconds = costs.sign_in
        async with self._busy:
            await asyncio.sleep(seconds)

    def _identify(self, call: Call) -> None:
        cookie = call.request.cookies.get(sessions.COOKIE)
        call.session = self.database.one("SELECT * FROM session WHERE id = ?", cookie) if cookie else None
        scheme, _blank, secret = call.request.headers.get("Authorization", "").partition(" ")
        token = self.token(secret) if scheme.lower() == "bearer" else None
        owner = token["account"] if token else call.session["account"] if call.session else None
        if owner:
            call.user = self.database.one("SELECT * FROM account WHERE id = ?", owner)
        if token:
            call.scopes = frozenset(token["scope"].split())

    def _check(self, call: Call, route: Route) -> None:
        """What comes before any handler."""
        headers = call.request.headers
        browser = any(name in headers.get("User-Agent", "") for name in _BROWSERS)
        if self.config.get("BROWSER_API_CALLS_XHR_ONLY", True) and browser and "X-Requested-With" not in headers:
            text = "API calls must be invoked with an X-Requested-With header if called from a browser"
            raise answers.error(400, text)
        if not self.feature("ANONYMOUS_ACCESS") and call.user is None and route.documented:
            raise answers.error(401, "Anonymous access is not allowed")
        if call.request.method == "GET":
            return
        if self.config.get("REGISTRY_STATE") == "readonly":
            raise answers.message(503, _READ_ONLY, is_readonly=True)
        if route.csrf and call.scopes is None and not self._repeats_csrf(call):
            who = f" (authorized: user {call.user['name']})" if call.user else ""
            raise answers.error(403, f"CSRF token was invalid or missing.{who}")
        if route.documented and call.only_reads:
            raise call.unauthorized()

    def _repeats_csrf(self, call: Call) -> bool:
        given = call.request.headers.get("X-CSRF-Token") or call.query.get("_csrf_token")
        if not given and call.request.content_type == "application/x-www-form-urlencoded":
            given = next((part[12:] for part in call.body.decode().split("&") if part.startswith("_csrf_token=")), None)
        return call.session is not None and given == call.session["csrf"]

    def _nothing(self, request: web.BaseRequest, routes: list[Route], known: bool) -> web.Response:
        """No such path, or not with this method: 308 to the path with a slash, or werkzeug's 405."""
        other = _is_there(routes, request.method, request.path + "/")
        if not request.path.endswith("/") and (other or request.method == "GET"):
            return _slash(request)
        if request.method == "GET":
            return answers.interface()
        text = "The method is not allowed for the requested URL."
        if known and not request.path.endswith("/"):
            raise answers.message(405, text)
        return answers.page(405, "405 Method Not Allowed", text)


def _is_there(routes: list[Route], method: str, path: str) -> bool:
    ends = (route for route in routes if route.method == method and route.path.endswith("/"))
    return any(route.pattern.fullmatch(path) for route in ends)


def _slash(request: web.BaseRequest) -> web.Response:
    """To the path with a slash."""
    url = f"{request.scheme}://{request.headers.get('Host', '')}{request.path}/"
    text = (
        f'You should be redirected automatically to the target URL: <a href="{url}">{url}</a>. If not, click the link.'
    )
    return answers.page(308, "Redirecting...", text, {"Location": url})
