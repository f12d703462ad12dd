# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OAuth applications of an organization. Quay takes several of the same name; the first counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_unique

_KIND = "OAuthApplication"
_TEXTS = ("description", "redirect_uri", "application_uri")


class Applications:
    """By name."""

    name = "applications"
    option: dict[str, Any] = {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **{text: {"type": "str"} for text in _TEXTS},
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/applications"

    def check(self, wanted: Sequence[Item], what: str) -> None:
        """Refuse what cannot be meant."""
        check_unique((item["name"] for item in wanted), what, lambda name: f"application {name}")
        if not all(item["name"].strip() for item in wanted):
            raise InputError(f"{what}: an application has no name.")

    def plan(
        self, wanted: Sequence[Item], answer: Any, base: str, organization: str, title: str, stage: int
    ) -> list[Change]:
        """The applications as they shall be."""
        steps: list[Change] = []
        there = self._there(answer)
        for item in wanted:
            name, found = item["name"], there.get(item["name"])
            before = _shown(found) if found else None
            path = self.path(base) + (f"/{found['client_id']}" if found else "")
            if item["state"] == "absent":
                if found:
                    steps.append(change(_KIND, organization, name, before, None, calls.TAKE_AWAY, Call("DELETE", path)))
                continue
            texts = {text: item[text] for text in _TEXTS if item[text] is not None}
            after = {**(before or {"name": name, **dict.fromkeys(_TEXTS, "")}), **texts}
            if before != after:
                call = Call("PUT" if found else "POST", path, after)
                steps.append(change(_KIND, organization, name, before, after, stage, call))
        return steps

    def _there(self, answer: Any) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for item in (answer or {}).get("applications", []):
            found.setdefault(item["name"], item)
        return found

    def exported(self, answer: Any) -> list[dict[str, Any]]:
        """As the document has them."""
        return [_shown(item) for _name, item in sorted(self._there(answer).items())]


def _shown(item: Item) -> dict[str, Any]:
    return {"name": item["name"], **{text: item[text] or "" for text in _TEXTS}}
