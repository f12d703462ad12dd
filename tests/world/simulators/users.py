"""user.openshift.io and oauth.openshift.io: users, groups, identities, OAuth clients and tokens.

Real: `users/~` answers for any caller, also one without a User object. A token object is named by the hash of its token.
Deleting a token answers the deleted object, not a Status. `useroauthaccesstokens` are the caller's own tokens. Tokens
vanish when they expire.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import secrets
from collections.abc import AsyncIterator

from .errors import not_found
from .resource import Caller, Object, Resource
from .store import Revision, Store

USER, OAUTH = "user.openshift.io", "oauth.openshift.io"
PREFIX = "sha256~"


class Users(Resource):
    """Users."""

    group, kind, plural, namespaced = USER, "User", "users", False

    def prepare(self, item: Object, old: Object | None) -> None:
        """`groups` is always there, null as a rule: the groups themselves list their users."""
        item.setdefault("groups", None)

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """`~` is the caller."""
        if name != "~":
            return await super().get(caller, namespace, name)
        user = self.store.find("", caller.name) or {"metadata": {"name": caller.name}}
        return {**user, "groups": sorted(caller.groups)}


class Groups(Resource):
    """Groups: a flat list of user names."""

    group, kind, plural, namespaced = USER, "Group", "groups", False

    def prepare(self, item: Object, old: Object | None) -> None:
        """`users` is always there."""
        item.setdefault("users", None)

    def of(self, user: str) -> list[str]:
        """The groups that a user is in."""
        return [item["metadata"]["name"] for item in self.store.all() if user in (item["users"] or [])]


class Identities(Resource):
    """Who a user is at an identity provider: PROVIDER:NAME."""

    group, kind, plural, namespaced = USER, "Identity", "identities", False


class OAuthClients(Resource):
    """Programs that may ask for tokens."""

    group, kind, plural, namespaced = OAUTH, "OAuthClient", "oauthclients", False


class AccessTokens(Resource):
    """Tokens, as administrators see them. Anyone signed in may delete one whose name he knows (RBAC says so)."""

    group, kind, plural, namespaced = OAUTH, "OAuthAccessToken", "oauthaccesstokens", False

    def expire(self) -> None:
        """Drop what has expired."""
        for item in self.store.all():
            if expired(item):
                self.store.delete("", item["metadata"]["name"])

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """Without expired ones."""
        self.expire()
        return await super().list_all(caller, namespace)

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """404 once expired."""
        self.expire()
        return await super().get(caller, namespace, name)

    async def delete(self, caller: Caller, namespace: str, name: str, dry_run: bool) -> Object:
        """The deleted object."""
        self.expire()
        return self.store.delete("", name, dry_run=dry_run)


class AuthorizeTokens(AccessTokens):
    """Codes of the code flow, until they are used."""

    kind, plural = "OAuthAuthorizeToken", "oauthauthorizetokens"


class OwnAccessTokens(AccessTokens):
    """The caller's own tokens; those of others do not exist here."""

    kind, plural = "UserOAuthAccessToken", "useroauthaccesstokens"
    verbs = ("delete", "get", "list", "watch")

    def __init__(self, revision: Revision, tokens: AccessTokens) -> None:
        super().__init__(revision)
        self.tokens = tokens
        self.store: Store = tokens.store

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """Mine."""
        return [item for item in await super().list_all(caller, namespace) if item["userName"] == caller.name]

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """Mine, or 404."""
        self.expire()
        item = self.store.find("", name)
        if item is None or item["userName"] != caller.name:
            raise not_found(self.plural, self.group, name)
        return item

    async def delete(self, caller: Caller, namespace: str, name: str, dry_run: bool) -> Object:
        """The deleted object, of kind OAuthAccessToken."""
        await self.get(caller, namespace, name)
        item = self.store.delete("", name, dry_run=dry_run)
        return {"kind": "OAuthAccessToken", "apiVersion": "oauth.openshift.io/v1", **item}

    async def watch(self, caller: Caller, namespace: str, since: int) -> AsyncIterator[tuple[int, str, Object]]:
        """Mine."""
        async for revision, kind, item in super().watch(caller, namespace, since):
            if item["userName"] == caller.name:
                yield revision, kind, item


class Accounts:
    """What the OAuth server and the token review need of all these."""

    def __init__(self, revision: Revision) -> None:
        self.users, self.groups, self.identities = Users(revision), Groups(revision), Identities(revision)
        self.clients, self.codes = OAuthClients(revision), AuthorizeTokens(revision)
        self.tokens = AccessTokens(revision)
        self.own_tokens = OwnAccessTokens(revision, self.tokens)

    def resources(self) -> list[Resource]:
        """For the API server."""
        return [self.users, self.groups, self.identities, self.clients, self.codes, self.tokens, self.own_tokens]

    def issue(self, kind: AccessTokens, spec: Object) -> str:
        """A new token or code; the object keeps only the hash of it."""
        token = PREFIX + _encode(secrets.token_bytes(32))
        kind.store.create({"metadata": {"name": object_name(token)}, **spec})
        return token

    def holder(self, token: str) -> Object | None:
        """The valid token object of a token, None for a wrong, expired or orphaned one."""
        item = self.tokens.store.find("", object_name(token)) if token.startswith(PREFIX) else None
        user = self.users.store.find("", item["userName"]) if item else None
        if item is None or user is None or expired(item) or user["metadata"]["uid"] != item["userUID"]:
            return None
        return item


def object_name(token: str) -> str:
    """The name of a token's object: the hash of what follows the prefix."""
    return PREFIX + _encode(hashlib.sha256(token.removeprefix(PREFIX).encode()).digest())


def remaining(item: Object) -> float:
    """Seconds that a token object has left."""
    created = datetime.datetime.fromisoformat(item["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
    age = (datetime.datetime.now(datetime.timezone.utc) - created).total_seconds()
    return float(item["expiresIn"]) - age


def expired(item: Object) -> bool:
    """Whether a token object's time is over."""
    return remaining(item) < 0


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
