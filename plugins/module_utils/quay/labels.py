# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of images. Those that come with the image stay with it; those that were put on it later can be taken away.

They belong to the image, not to the tag: two tags of one image have the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_unique

OPTION: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "key": {"type": "str", "required": True, "no_log": False},
        "value": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
}

_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9./_-]*")
#: Quay: of Docker, and of itself.
_RESERVED = ("com.docker.", "io.docker.", "org.dockerproject.", "io.quay.", "quay.")


def path(manifest: str) -> str:
    """The labels of a manifest."""
    return f"{manifest}/labels"


def check(items: Sequence[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["key"] for item in items), what, lambda key: f"label {key}")
    for item in items:
        here = f"{what}[{item['key']}]"
        if not _KEY.fullmatch(item["key"]) or item["key"].startswith(_RESERVED):
            raise InputError(
                f"{here}: Quay does not take the key: letters, digits, '.', '/', '_' and '-', the first a letter or a digit, and not"
                f" beginning with {', '.join(_RESERVED[:-1])} or {_RESERVED[-1]}"
            )
        if item["state"] == "present" and item["value"] is None:
            raise InputError(f"{here}: give a value.")


@dataclasses.dataclass
class Planned:
    """What was planned for the images of a repository, so that nothing is done twice to one that several tags point at."""

    what: str
    #: the keys that the document mentions for each image
    mentioned: Mapping[str, set[str]]
    _wanted: dict[tuple[str, str], tuple[Item, str]] = dataclasses.field(default_factory=dict)
    _gone: set[str] = dataclasses.field(default_factory=set)

    def plan(
        self, items: Sequence[Item], there: Sequence[Item], digest: str, manifest: str, purge: bool, tag: str
    ) -> tuple[list[Call], list[dict[str, str]]]:
        """The requests that make the labels of an image as they shall be, and the labels that were put on it then."""
        steps: list[Call] = []
        own = {item["id"]: item for item in there if item["source_type"] == "api"}
        gone: list[str] = []
        kept = shown(there)
        for item in items:
            key, value = item["key"], item["value"]
            before = self._wanted.setdefault((digest, key), (item, tag))
            if (before[0]["state"], before[0]["value"]) != (item["state"], value):
                raise InputError(
                    f"{self.what}[{tag}].labels[{key}]: tag {before[1]} points at the same image, and there the label is another. Labels"
                    " belong to the image."
                )
            same = [it for it in there if it["key"] == key and value in (None, it["value"])]
            if item["state"] == "absent":
                if any(it["id"] not in own for it in same):
                    raise InputError(
                        f"{self.what}[{tag}].labels[{key}]: the label came with the image, and stays with it."
                    )
                gone += [it["id"] for it in same]
                continue
            gone += [name for name, it in own.items() if it["key"] == key and it["value"] != value]
            if not same:
                kept.append({"key": key, "value": value})
                if before[0] is item:
                    steps.append(Call("POST", path(manifest), {"key": key, "value": value, "media_type": "text/plain"}))
        if purge:
            gone += [name for name, it in own.items() if it["key"] not in self.mentioned[digest]]
        lost = [{"key": own[name]["key"], "value": own[name]["value"]} for name in gone]
        steps += [Call("DELETE", f"{path(manifest)}/{name}") for name in gone if name not in self._gone]
        self._gone.update(gone)
        return steps, sorted((it for it in kept if it not in lost), key=str)


def shown(there: Sequence[Item]) -> list[dict[str, str]]:
    """As the document has them: those that were put on the image."""
    own = ({"key": item["key"], "value": item["value"]} for item in there if item["source_type"] == "api")
    return sorted(own, key=str)
