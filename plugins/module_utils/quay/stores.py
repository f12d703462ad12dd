# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where secrets that Quay makes are kept: a Secret of the cluster, a file, or both. Written in the run that makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, seconds

#: The option that names a Secret.
SECRET: dict[str, Any] = {
    "type": "dict",
    "no_log": False,
    "options": {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True, "aliases": ["project"]},
    },
}

SPEC: dict[str, Any] = {
    "store": {"type": "dict", "options": {"secret": SECRET, "file": {"type": "path"}}},
    "rotate": {"type": "dict", "options": {"after": {"type": "str", "required": True}}},
}

#: A place for a secret: ("Secret", namespace, name) or ("File", "", path).
Place = tuple[str, str, str]
#: What the places hold: nothing, if they are not there.
Stored = Mapping[Place, Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Keeping:
    """What a plan of secrets has to know: what the places hold, for which host, and what time it is."""

    stored: Stored
    host: str
    now: float


@dataclasses.dataclass(frozen=True)
class Store:
    """What carries out the change of a place: it keeps this. ``of`` is whose secret it is, which a change before may have made."""

    place: Place
    of: str
    content: Mapping[str, str] = dataclasses.field(repr=False)


def places(item: Item) -> list[Place]:
    """Where the item's secret is stored."""
    store = item["store"] or {}
    found: list[Place] = []
    if store.get("secret"):
        found.append(("Secret", store["secret"]["namespace"], store["secret"]["name"]))
    if store.get("file"):
        found.append(("File", "", store["file"]))
    return found


def check(item: Item, what: str) -> None:
    """Refuse what cannot be meant."""
    if item["store"] is not None and not places(item):
        raise InputError(f"{what}.store: give secret, file or both.")
    if item["store"] and item["store"]["file"] and not item["store"]["file"].startswith("/"):
        raise InputError(f"{what}.store.file: {item['store']['file']!r} is no absolute path.")
    if item["rotate"]:
        if not item["store"]:
            raise InputError(f"{what}.rotate: give store, too: a new token has to be kept somewhere.")
        if not seconds(item["rotate"]["after"], f"{what}.rotate.after"):
            raise InputError(f"{what}.rotate.after must be more than 0.")


def keep(place: Place, of: str, shown: Mapping[str, str], content: Mapping[str, str], old: bool, stage: int) -> Change:
    """The change of a place; ``old``: whether it holds something already."""
    kind, namespace, name = place
    before = {**shown, "token": HIDDEN} if old else None
    step = change(kind, namespace, name, before, {**shown, "token": HIDDEN_NEW}, stage)
    return dataclasses.replace(step, request=Store(place, of, content))
