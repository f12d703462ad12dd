"""A small store of API objects in memory: resource versions, optimistic locking, watches, patches.

One counter serves all resources of a world, as etcd's revision does. Everything runs in one event loop, so no locks.
"""

from __future__ import annotations

import asyncio
import collections
import copy
import datetime
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from .errors import ApiError, already_exists, bad_request, conflict, not_found

Object = dict[str, Any]
Event = tuple[int, str, Object]


def now() -> str:
    """This second as the API writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Revision:
    """The counter that all stores of a world share."""

    def __init__(self) -> None:
        self.value = 1000

    def next(self) -> int:
        """A new revision."""
        self.value += 1
        return self.value


class Store:
    """Objects of one resource, by (namespace, name); the namespace is "" for cluster-wide resources."""

    def __init__(self, revision: Revision, group: str, plural: str) -> None:
        self.revision = revision
        self.group = group
        self.plural = plural
        self.objects: dict[tuple[str, str], Object] = {}
        self._history: collections.deque[Event] = collections.deque(maxlen=2000)
        self._forgotten = 0
        self._watchers: set[asyncio.Queue[Event]] = set()

    def get(self, namespace: str, name: str) -> Object:
        """A copy of the object, or 404."""
        try:
            return copy.deepcopy(self.objects[namespace, name])
        except KeyError:
            raise not_found(self.plural, self.group, name) from None

    def find(self, namespace: str, name: str) -> Object | None:
        """A copy of the object, or None."""
        return copy.deepcopy(self.objects.get((namespace, name)))

    def all(self, namespace: str = "") -> list[Object]:
        """Copies of all objects of a namespace ("": of all), by namespace and name."""
        return [
            copy.deepcopy(item)
            for (where, _name), item in sorted(self.objects.items())
            if not namespace or where == namespace
        ]

    def create(self, item: Object, *, dry_run: bool = False) -> Object:
        """Add the object with its server-set metadata, or 409."""
        item = copy.deepcopy(item)
        metadata = item["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        if key in self.objects:
            raise already_exists(self.plural, self.group, metadata["name"])
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        return self._write("ADDED", key, item, dry_run)

    def update(self, item: Object, *, dry_run: bool = False) -> Object:
        """Replace the object; 409 when its resourceVersion is not the newest; nothing is written when nothing differs."""
        item = copy.deepcopy(item)
        metadata = item["metadata"]
        key = metadata.get("namespace", ""), metadata["name"]
        old = self.get(*key)
        for field in ("resourceVersion", "uid"):
            if metadata.get(field) and metadata[field] != old["metadata"][field]:
                raise conflict(self.plural, self.group, metadata["name"])
            metadata[field] = old["metadata"][field]
        metadata["creationTimestamp"] = old["metadata"]["creationTimestamp"]
        if item == old:
            return old
        return self._write("MODIFIED", key, item, dry_run)

    def delete(self, namespace: str, name: str, *, dry_run: bool = False) -> Object:
        """Remove the object and return what it was."""
        item = self.get(namespace, name)
        if not dry_run:
            del self.objects[namespace, name]
            self._tell("DELETED", item)
        return item

    def _write(self, kind: str, key: tuple[str, str], item: Object, dry_run: bool) -> Object:
        item["metadata"].pop("managedFields", None)
        if dry_run:
            return item
        self.objects[key] = item
        self._tell(kind, item)
        return copy.deepcopy(item)

    def _tell(self, kind: str, item: Object) -> None:
        revision = self.revision.next()
        item["metadata"]["resourceVersion"] = str(revision)
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0][0]
        event = (revision, kind, copy.deepcopy(item))
        self._history.append(event)
        for queue in self._watchers:
            queue.put_nowait(event)

    async def watch(self, since: int) -> AsyncIterator[Event]:
        """Every event after the revision; 410 when those are no longer known."""
        if since < self._forgotten:
            raise ApiError(410, "Expired", f"too old resource version: {since} ({self.revision.value})")
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for event in self._history:
            if event[0] > since:
                queue.put_nowait(event)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386 JSON merge patch."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Any, operations: list[Object]) -> Any:
    """RFC 6902 with the operations that clients use: add, replace, remove, test."""
    target = copy.deepcopy(target)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        try:
            node = target
            for part in parents:
                node = node[int(part)] if isinstance(node, list) else node[part]
            _apply(node, last, operation)
        except (KeyError, IndexError, ValueError, TypeError):
            message = f"the server rejected our request due to an error in our request: {operation['path']}"
            raise ApiError(422, "Invalid", message) from None
    return target


def _apply(node: Any, last: str, operation: Object) -> None:
    kind, value = operation["op"], copy.deepcopy(operation.get("value"))
    key = last if isinstance(node, dict) else len(node) if last == "-" else int(last)
    if kind == "add" and isinstance(node, list):
        node.insert(key, value)
    elif kind == "add":
        node[key] = value
    elif kind == "replace":
        node[key]  # a replaced member must exist
        node[key] = value
    elif kind == "remove":
        del node[key]
    elif kind == "test":
        if node[key] != value:
            raise ValueError
    else:
        raise bad_request(f"unknown operation {kind}")


def selector(labels: str, fields: str) -> Callable[[Object], bool]:
    """The predicate of a labelSelector (=, ==, !=, in, notin, exists) and a fieldSelector on metadata.name/namespace."""
    checks: list[Callable[[Object], bool]] = [_label_check(term) for term in _terms(labels)]
    for term in _terms(fields):
        name, operator, value = _split(term)
        path = name.split(".")
        if path[0] != "metadata" or path[1] not in ("name", "namespace") or not operator:
            raise bad_request(f'Unable to find "{name}" that match label selector "", field selector "{fields}"')
        checks.append(lambda item, p=path[1], v=value, o=operator: (item["metadata"].get(p) == v) == (o == "="))
    return lambda item: all(check(item) for check in checks)


def _terms(text: str) -> list[str]:
    terms, depth, current = [], 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            terms.append(current)
            current = ""
        else:
            current += character
    return [term.strip() for term in [*terms, current] if term.strip()]


def _split(term: str) -> tuple[str, str, str]:
    for operator, meaning in (("!=", "!="), ("==", "="), ("=", "=")):
        if operator in term:
            name, _separator, value = term.partition(operator)
            return name.strip(), meaning, value.strip()
    return term, "", ""


def _label_check(term: str) -> Callable[[Object], bool]:
    for word, wanted in ((" notin ", False), (" in ", True)):
        if word in term:
            name, _separator, rest = term.partition(word)
            values = [value.strip() for value in rest.strip(" ()").split(",")]
            return lambda item: (_labels(item).get(name.strip()) in values) == wanted
    name, operator, value = _split(term)
    if not operator:
        missing = name.startswith("!")
        return lambda item: (name.lstrip("!") in _labels(item)) != missing
    return lambda item: (_labels(item).get(name) == value) == (operator == "=")


def _labels(item: Object) -> Object:
    return item["metadata"].get("labels") or {}
