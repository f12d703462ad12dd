"""One resource of the simulated API server: what HTTP asks of it, on top of a store."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from .errors import invalid, success
from .store import Object, Revision, Store

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Caller:
    """Who asks, as the API server's proxy says in its X-Remote-* headers."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)


class Resource:
    """A resource kept in a store. Subclasses change what is checked, derived or shown.

    All methods are coroutines, since some resources ask the API server. Objects come and go as plain dicts.
    """

    group = ""
    version = "v1"
    kind = ""
    plural = ""
    namespaced = True
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.store = Store(revision, self.group, self.plural)

    # What a subclass may change.

    def prepare(self, item: Object, old: Object | None) -> None:
        """Set defaults and refuse what is invalid, before a create (old is None) or an update."""

    def show(self, item: Object) -> Object:
        """What a reader sees of a stored object."""
        return item

    # What HTTP calls.

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """All objects of a namespace, of all when it is ""."""
        return [self.show(item) for item in self.store.all(namespace)]

    async def list_answer(self, caller: Caller) -> Object | None:
        """An answer to a list request that is no list; None for the ordinary list."""
        return None

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """One object."""
        return self.show(self.store.get(namespace, name))

    async def create(self, caller: Caller, namespace: str, item: Object, dry_run: bool) -> Object:
        """A new object."""
        metadata = item["metadata"]
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        if not metadata.get("name"):
            message = "Required value: name or generateName is required"
            raise invalid(self.kind, self.group, "", [("FieldValueRequired", message, "metadata.name")])
        self.prepare(item, None)
        return self.show(self.store.create(item, dry_run=dry_run))

    async def update(
        self, caller: Caller, namespace: str, item: Object, dry_run: bool, subresource: str = ""
    ) -> Object:
        """The object replaced; its status by the subresource `status` only, where there is one."""
        old = self.store.get(namespace, item["metadata"]["name"])
        if subresource == "status":
            item = {**old, "metadata": {**old["metadata"], **_version(item)}, "status": item.get("status")}
        else:
            self.prepare(item, old)
        return self.show(self.store.update(item, dry_run=dry_run))

    async def delete(self, caller: Caller, namespace: str, name: str, dry_run: bool) -> Object:
        """What a DELETE answers: a Status that names the object."""
        item = self.store.delete(namespace, name, dry_run=dry_run)
        return success(self.plural, self.group, name, item["metadata"]["uid"])

    async def watch(self, caller: Caller, namespace: str, since: int) -> AsyncIterator[tuple[int, str, Object]]:
        """Events after a revision."""
        async for revision, kind, item in self.store.watch(since):
            if not namespace or item["metadata"].get("namespace") == namespace:
                yield revision, kind, self.show(item)

    def discovery(self) -> list[dict[str, Any]]:
        """Its entries in the group's APIResourceList."""
        entry: dict[str, Any] = {
            "name": self.plural,
            "singularName": self.kind.lower(),
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": list(self.verbs),
        }
        if self.short_names:
            entry["shortNames"] = list(self.short_names)
        below = [
            {"name": f"{self.plural}/{name}", "singularName": "", "namespaced": self.namespaced,
             "kind": self.kind, "verbs": ["get", "patch", "update"]}
            for name in self.subresources
        ]  # fmt: skip
        return [entry, *below]


def _version(item: Object) -> Object:
    return {key: item["metadata"][key] for key in ("resourceVersion",) if item["metadata"].get(key)}
