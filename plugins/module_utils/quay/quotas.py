# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quota of an organization, and what happens when some of it is used up."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_unique

_SIZE = re.compile(r"(\d+) ?(?:([KMGTPE])iB?|B)?")
_UNITS = " KMGTPE"
_KIND = "Quota"


def _bytes(text: str, what: str = "size") -> int:
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise InputError(f"{what}: {text!r} is not a size. Write for example 500GiB.")
    power = _UNITS.index(found[2] or " ")
    return int(found[1]) << (10 * power)


def _size(number: int) -> str:
    unit = max(power for power in range(len(_UNITS)) if number % 1024**power == 0)
    return f"{number // 1024**unit}{_UNITS[unit].strip()}{'iB' if unit else ''}"


class Quota:
    """One quota with limits, each a type and a percentage."""

    name = "quota"
    option: dict[str, Any] = {
        "type": "dict",
        "options": {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "size": {"type": "str"},
            "limits": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "type": {"type": "str", "choices": ["warning", "reject"], "required": True},
                    "percent": {"type": "int", "required": True},
                },
            },
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/quota"

    def check(self, wanted: Item, what: str) -> None:
        """Refuse what cannot be meant."""
        if wanted["state"] == "absent":
            return
        if not wanted["size"]:
            raise InputError(f"{what}: give a size.")
        _bytes(wanted["size"], f"{what}.size")
        limits = wanted["limits"] or []
        check_unique(map(_limit, limits), f"{what}.limits", lambda limit: f"{limit[0]} at {limit[1]} percent")
        for limit in limits:
            if not 1 <= limit["percent"] <= 100:
                raise InputError(f"{what}.limits: percent must be from 1 to 100, not {limit['percent']}.")

    def plan(self, wanted: Item, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The quota as it shall be; ``answer`` is the listing."""
        there = next(iter(answer or []), None)
        path = self.path(base)
        before = self._shown(there) if there else None
        if wanted["state"] == "absent":
            gone = Call("DELETE", f"{path}/{there['id']}") if there else None
            return [change(_KIND, organization, title, before, None, calls.TAKE_AWAY, gone)] if gone else []
        number = _bytes(wanted["size"])
        limits = {_limit(limit): limit["id"] for limit in (there or {}).get("limits", [])}
        needed = limits.keys() if wanted["limits"] is None else list(map(_limit, wanted["limits"]))
        after = {"size": _size(number), "limits": [_shown_limit(limit) for limit in sorted(needed)]}
        if before == after:
            return []
        steps: list[Call] = []
        if there is None:
            steps.append(Call("POST", path, {"limit_bytes": number}))
        elif there["limit_bytes"] != number:
            steps.append(Call("PUT", f"{path}/{there['id']}", {"limit_bytes": number}))

        def of_limits(quay: Quay) -> str:
            """Quay does not say which id a new quota has."""
            return f"{path}/{there['id'] if there else quay.request('GET', path)[0]['id']}/limit"

        for kind, percent in needed:
            if (kind, percent) not in limits:
                steps.append(Call("POST", of_limits, {"type": kind.capitalize(), "threshold_percent": percent}))
        kept = set()
        for limit in (there or {}).get("limits", []):
            if _limit(limit) in needed and _limit(limit) not in kept:
                kept.add(_limit(limit))
            elif there:
                steps.append(Call("DELETE", f"{path}/{there['id']}/limit/{limit['id']}"))
        return [change(_KIND, organization, title, before, after, stage, *steps)]

    def _shown(self, quota: Item) -> dict[str, Any]:
        limits = sorted(map(_limit, quota["limits"]))
        return {"size": _size(quota["limit_bytes"]), "limits": [_shown_limit(limit) for limit in limits]}

    def exported(self, answer: Any) -> dict[str, Any] | None:
        """As the document has it."""
        there = next(iter(answer or []), None)
        if not there:
            return None
        shown = self._shown(there)
        limits = shown["limits"]
        return {**shown, "limits": [limit for number, limit in enumerate(limits) if limit not in limits[:number]]}


def _limit(limit: Item) -> tuple[str, int]:
    return limit["type"].lower(), limit.get("percent") or limit.get("limit_percent") or 0


def _shown_limit(limit: tuple[str, int]) -> dict[str, Any]:
    return {"type": limit[0], "percent": limit[1]}
