"""One call: who makes it, with which rights, what it says; and the table of what can be called."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import answers
from .database import Database, Row

if TYPE_CHECKING:
    from .server import Quay

SCOPES = {
    "repo:read": "View all visible repositories",
    "repo:write": "Read/Write to any accessible repositories",
    "repo:admin": "Administer Repositories",
    "repo:create": "Create Repositories",
    "user:read": "Read User Information",
    "user:admin": "Administer User",
    "org:admin": "Administer Organization",
    "super:user": "Super User Access",
}
_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


@dataclass
class Call:
    """A request to the API. ``scopes`` is None where a session makes it, which may all that its user may."""

    quay: Quay
    request: web.BaseRequest
    body: bytes
    user: Row | None = None
    scopes: frozenset[str] | None = None
    session: Row | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        return self.quay.database

    @property
    def host(self) -> str:
        return str(self.request.headers.get("Host", ""))

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean of the query."""
        return self.query.get(name, str(default)).lower() in ("true", "1", "yes")

    # What may be

    def has(self, *scopes: str) -> bool:
        """Whether the token (if it is one) has one of the scopes."""
        return self.scopes is None or bool(self.scopes & set(scopes))

    @property
    def only_reads(self) -> bool:
        """Whether the caller is one of GLOBAL_READONLY_SUPER_USERS, who see everything and change nothing."""
        return bool(self.user and self.user["name"] in self.quay.config.get("GLOBAL_READONLY_SUPER_USERS", ()))

    @property
    def superuser(self) -> bool:
        among = bool(self.user and self.user["name"] in self.quay.superusers)
        return (among or self.only_reads) and self.has("super:user")

    @property
    def full_access(self) -> bool:
        return self.superuser and (self.only_reads or self.quay.feature("SUPERUSERS_FULL_ACCESS"))

    def login(self, **more: Any) -> Row:
        """Somebody, or 401."""
        if self.user is None:
            raise answers.problem(self.host, 401, "invalid_token", "Requires authentication", **more)
        return self.user

    def allow(self, condition: bool) -> None:
        """What was found to be allowed; 401 or 403 where it is not."""
        self.login()
        if not condition:
            raise self.unauthorized()

    def administers(self, namespace: Row | None) -> bool:
        """Whether the caller may change the organization, or it is himself."""
        if self.user is None or namespace is None:
            return False
        if self.full_access and self.has("org:admin", "super:user"):
            return True
        if namespace["id"] == self.user["id"]:
            return self.has("user:admin", "org:admin")
        return self.has("org:admin") and "admin" in self.quay.roles_in(self.user, namespace)

    def organization(self, missing: Callable[[], answers.Refusal] | None = None) -> Row:
        """The organization of the path, for who administers it. What is missing: 404, or as told; 403 for ordinary users."""
        self.login()
        found = self.database.account(self.parameters["orgname"], "organization")
        if found is None:
            self.allow(self.full_access)
            raise (missing or self.not_found)()
        self.allow(self.administers(found))
        return found

    # What it says

    def objects(self) -> list[Row]:
        """A body that is a list of objects."""
        content = self._content()
        if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
            raise self.invalid_schema(f"{content!r} is not of type 'array'", "type")
        return content

    def json(self, schema: Mapping[str, str] | None = None, required: tuple[str, ...] = ()) -> Row:
        """The body, checked by the types of its properties; unknown ones pass, as Quay's schemas let them."""
        content = self._content()
        for name in required:
            if name not in content:
                raise self.invalid_schema(f"{name!r} is a required property", "required")
        for name, kind in (schema or {}).items():
            if name in content and content[name] is not None and not isinstance(content[name], _TYPES[kind]):
                raise self.invalid_schema(
                    f"{content[name]!r} is not of type {kind!r}", f"type' in schema['properties']['{name}"
                )
        return dict(content)

    def _content(self) -> Any:
        if self.request.content_type != "application/json":
            kind = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
            raise answers.message(415, kind)
        try:
            return json.loads(self.body)
        except ValueError:
            text = "The browser (or proxy) sent a request that this server could not understand."
            raise answers.message(400, text) from None

    def one_of(self, name: str, value: Any, allowed: list[Any]) -> None:
        """An enumeration of a schema."""
        if value not in allowed:
            raise self.invalid_schema(
                f"{value!r} is not one of {allowed!r}", f"enum' in schema['properties']['{name}']"
            )

    # Refusals

    def invalid_schema(self, text: str, rule: str) -> answers.Refusal:
        """jsonschema's text."""
        return self.invalid(f"{text}\n\nFailed validating '{rule}' in schema:\n    …")

    def invalid(self, text: str) -> answers.Refusal:
        return answers.problem(self.host, 400, "invalid_request", text)

    def not_found(self) -> answers.Refusal:
        return answers.problem(self.host, 404, "not_found", "Not Found")

    def unauthorized(self) -> answers.Refusal:
        return answers.problem(self.host, 403, "insufficient_scope", "Unauthorized")


Handler = Callable[[Call], Awaitable[web.Response] | web.Response]


@dataclass(frozen=True)
class Route:
    """What answers a method on paths of a pattern; ``documented`` is its name in the discovery document."""

    method: str
    path: str
    pattern: re.Pattern[str]
    handle: Handler
    documented: str
    csrf: bool
    feature: str


class Routes:
    """The routes of one kind of resource. ``{x}`` in a path is a segment, ``{repository}`` NAMESPACE/NAME, names with slashes.

    feature: they are there while FEATURE_... is on.
    """

    def __init__(self, feature: str = "") -> None:
        self.feature = feature
        self.all: list[Route] = []

    def __call__(self, method: str, path: str, documented: str = "", csrf: bool = True) -> Callable[[Handler], Handler]:
        pattern = re.sub(r"\\{(\w+)\\}", lambda found: _segment(found[1]), re.escape(path))

        def register(handle: Handler) -> Handler:
            self.all.append(Route(method, path, re.compile(pattern), handle, documented, csrf, self.feature))
            return handle

        return register


def _segment(name: str) -> str:
    return r"(?P<namespace>[^/]+)/(?P<name>.+)" if name == "repository" else rf"(?P<{name}>[^/]+)"
