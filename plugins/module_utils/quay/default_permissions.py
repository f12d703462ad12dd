# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Default permissions of an organization: who gets which role in repositories that are yet to be made (Quay: prototypes)."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, delegates
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import ROLES, Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_account,
    check_unique,
    present,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Default, Organization

SPEC: dict[str, Any] = {
    **delegates.options("user", "robot", "team"),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "role": {"type": "str", "choices": ROLES},
    "created_by": {"type": "str"},
}

Key = tuple[Delegate, str]


def key(item: Item, what: str = "default_permissions") -> Key:
    """What a default permission is for; Quay would take the same twice."""
    return delegates.of(item, what, "user", "robot", "team"), item["created_by"] or ""


def _title(of: Key) -> str:
    return str(of[0]) + (f" in repositories of {of[1]}" if of[1] else "")


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((key(item, what) for item in items), what, _title)
    for item in items:
        if item["state"] == "present" and not item["role"]:
            raise InputError(f"{what}[{_title(key(item))}]: give a role.")
        for name in (item["created_by"] or "").split("+") if item["created_by"] else ():
            check_account(name, f"{what}.created_by")


def plan(items: list[Item], have: Organization, purge: bool) -> list[Change]:
    """The default permissions as they shall be; of several for the same the first one counts."""
    steps: list[Change] = []
    there: dict[Key, Default] = {}
    for default in have.defaults:
        there.setdefault((default.delegate, default.created_by), default)
    path = organization_path(have.name, "prototypes")
    kept: set[str] = set()
    for item in present(items):
        of = key(item)
        found = there.get(of)
        after = _shown(of, item["role"])
        if found is None:
            body: dict[str, Any] = {"role": item["role"], "delegate": _body(of[0], have.name)}
            if of[1]:
                body["activating_user"] = {"name": of[1]}
            call = Call("POST", path, body)
            steps.append(change("DefaultPermission", have.name, _title(of), None, after, calls.DEFAULT, call))
            continue
        kept.add(found.id)
        if found.role != item["role"]:
            call = Call("PUT", f"{path}/{found.id}", {"role": item["role"]})
            before = _shown(of, found.role)
            steps.append(change("DefaultPermission", have.name, _title(of), before, after, calls.DEFAULT, call))
    gone = {key(item) for item in absent(items)}
    for default in have.defaults:
        of = (default.delegate, default.created_by)
        if of in gone or (purge and default.id not in kept):
            call = Call("DELETE", f"{path}/{default.id}")
            before = _shown(of, default.role)
            steps.append(change("DefaultPermission", have.name, _title(of), before, None, calls.TAKE_AWAY, call))
    return steps


def _body(delegate: Delegate, organization: str) -> dict[str, str]:
    return {"kind": "team" if delegate.kind == "team" else "user", "name": delegate.account(organization)}


def _shown(of: Key, role: str) -> dict[str, str]:
    return {**of[0].shown(), "role": role, **({"created_by": of[1]} if of[1] else {})}


def given(have: Organization, maker: str) -> dict[Delegate, str]:
    """The permissions that a new repository of the maker begins with."""
    found: dict[Delegate, str] = {Delegate("user", maker): "admin"} if maker else {}
    for default in have.defaults:
        if default.created_by in ("", maker):
            found.setdefault(default.delegate, default.role)
    return found


def exported(have: Organization) -> list[dict[str, str]]:
    """As the document has them."""
    first: dict[Key, str] = {}
    for default in have.defaults:
        first.setdefault((default.delegate, default.created_by), default.role)
    return [_shown(of, role) for of, role in sorted(first.items())]
