# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that Quay's web interface shows to everybody: those of the document, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item

PATH = "/api/v1/messages"
SPEC: dict[str, Any] = {
    "content": {"type": "str", "required": True},
    "severity": {"type": "str", "choices": ["info", "warning", "error"], "default": "info"},
    "media_type": {"type": "str", "choices": ["text/plain", "text/markdown"], "default": "text/markdown"},
}


def plan(items: Sequence[Item], there: Sequence[Item]) -> list[Change]:
    """The messages as they shall be."""
    steps: list[Change] = []
    left = [(item["uuid"], shown(item)) for item in there]
    for item in items:
        wanted = shown(item)
        found = next((one for one in left if one[1] == wanted), None)
        if found:
            left.remove(found)
            continue
        call = Call("POST", PATH, {"message": wanted})
        steps.append(change("Message", "", wanted["content"], None, wanted, calls.USER, call))
    for uuid, old in left:
        call = Call("DELETE", f"/api/v1/message/{uuid}")
        steps.append(change("Message", "", old["content"], old, None, calls.TAKE_AWAY, call))
    return steps


def shown(item: Item) -> dict[str, str]:
    """As the document has it."""
    return {key: item[key] for key in ("content", "severity", "media_type")}
