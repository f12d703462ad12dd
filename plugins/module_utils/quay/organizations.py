# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Organizations themselves: their e-mail address and their time machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    check_account,
    check_email,
    seconds,
    time_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Team

SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "email": {"type": "str"},
    "time_machine": {"type": "str"},
}

#: The team that every organization begins with, its maker in it.
OWNERS = "owners"
#: Quay: DEFAULT_TAG_EXPIRATION.
_TIME_MACHINE = 1209600


def check(item: Item, what: str) -> None:
    """Refuse what cannot be meant."""
    check_account(item["name"], f"{what}.name")
    if item["email"]:
        check_email(item["email"], f"{what}.email")
    if item["time_machine"]:
        seconds(item["time_machine"], f"{what}.time_machine")


def begun(name: str, maker: str) -> Organization:
    """An organization that has just been made."""
    owners = Team("admin", members={Delegate("user", maker)} if maker else set())
    return Organization(name, True, time_machine=_TIME_MACHINE, teams={OWNERS: owners})


def plan(wanted: Item, have: Organization) -> list[Change]:
    """The organization as it shall be."""
    name, path = wanted["name"], organization_path(wanted["name"])
    if wanted["state"] == "absent":
        if not have.exists:
            return []
        gone = Call("DELETE", path)
        return [change("Organization", "", name, shown(have), None, calls.DELETE_ORGANIZATION, gone)]
    machine = None if wanted["time_machine"] is None else seconds(wanted["time_machine"], "time_machine")
    there: Mapping[str, Any] = {"email": have.email, "tag_expiration_s": have.time_machine}
    if not have.exists:
        there = {"tag_expiration_s": _TIME_MACHINE}
        email = wanted["email"] or None
        body = {"name": name, **({"email": email} if email else {})}
        steps = [Call("POST", "/api/v1/organization/", body)]
        more = calls.differences(there, {"tag_expiration_s": machine})
        if more:
            steps.append(Call("PUT", path, more))
        after = {
            "name": name,
            "email": email or "",
            "time_machine": time_of(_TIME_MACHINE if machine is None else machine),
        }
        return [change("Organization", "", name, None, after, calls.ORGANIZATION, *steps)]
    body = calls.differences(there, {"email": wanted["email"] or None, "tag_expiration_s": machine})
    if not body:
        return []
    after = {**shown(have), **({"email": body["email"]} if "email" in body else {})}
    if "tag_expiration_s" in body:
        after["time_machine"] = time_of(body["tag_expiration_s"])
    return [change("Organization", "", name, shown(have), after, calls.ORGANIZATION, Call("PUT", path, body))]


def shown(have: Organization) -> dict[str, Any]:
    """As the document has it."""
    return {"name": have.name, "email": have.email, "time_machine": time_of(have.time_machine)}
