# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Teams of an organization and who is in them."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, delegates
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_account,
    check_unique,
    present,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.organizations import OWNERS
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Team

_STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": _STATE,
    "role": {"type": "str", "choices": ["member", "creator", "admin"]},
    "description": {"type": "str"},
    "members": {
        "type": "list",
        "elements": "dict",
        "options": {**delegates.options("user", "robot"), "state": _STATE},
    },
}


def member(entry: Item, what: str = "members") -> Delegate:
    return delegates.of(entry, what, "user", "robot")


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"team {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_account(item["name"], here)
        check_unique((member(entry, f"{here}.members") for entry in item["members"] or []), f"{here}.members")
        if item["name"] == OWNERS and (item["state"] == "absent" or item["role"] not in (None, "admin")):
            raise InputError(f"{here}: Quay keeps the team owners, with the role admin.")


def plan(items: list[Item], have: Organization, purge: bool, purge_members: bool, me: str) -> list[Change]:
    """The teams as they shall be. ``me``: who asks, and whom Quay does not let out of the owners."""
    steps: list[Change] = []
    for item in present(items):
        there = have.teams.get(item["name"])
        steps += _team(item, there, have.name)
        if item["members"] is not None:
            steps += _members(item, there or Team("member"), have.name, purge_members, me)
    gone = {item["name"] for item in absent(items)}
    if purge:
        gone |= have.teams.keys() - {item["name"] for item in items} - {OWNERS}
    for name in sorted(gone & have.teams.keys()):
        call = Call("DELETE", organization_path(have.name, "team", name))
        steps.append(change("Team", have.name, name, shown(name, have.teams[name]), None, calls.DELETE, call))
    return steps


def _team(item: Item, there: Team | None, organization: str) -> list[Change]:
    name = item["name"]
    role = item["role"] or (there.role if there else "member")
    description = there.description if there and item["description"] is None else item["description"] or ""
    if there and (there.role, there.description) == (role, description):
        return []
    after = {"name": name, "role": role, "description": description}
    call = Call("PUT", organization_path(organization, "team", name), {"role": role, "description": description})
    return [change("Team", organization, name, there and shown(name, there), after, calls.TEAM_AND_ROBOT, call)]


def _members(item: Item, there: Team, organization: str, purge: bool, me: str) -> list[Change]:
    team = item["name"]
    wanted = {member(entry) for entry in present(item["members"])}
    gone = {member(entry) for entry in absent(item["members"])}
    if purge:
        gone = there.members - wanted - ({Delegate("user", me)} if team == OWNERS else set())
    if there.synced and (wanted - there.members or gone & there.members):
        raise InputError(
            f"organizations[{organization}].teams[{team}].members: the team is synced with a group elsewhere, which decides who is in"
            " it. Leave members out."
        )
    steps = []
    for who in sorted(wanted - there.members):
        path = organization_path(organization, "team", team, "members", who.account(organization))
        shown_ = {"team": team, **who.shown()}
        call = Call("PUT", path, {})
        steps.append(
            change("TeamMember", organization, f"{team}: {who}", None, shown_, calls.REPOSITORY_AND_MEMBER, call)
        )
    for who in sorted(gone & there.members):
        path = organization_path(organization, "team", team, "members", who.account(organization))
        shown_ = {"team": team, **who.shown()}
        steps.append(
            change("TeamMember", organization, f"{team}: {who}", shown_, None, calls.TAKE_AWAY, Call("DELETE", path))
        )
    return steps


def shown(name: str, team: Team) -> dict[str, Any]:
    """As the document has it, without its members."""
    return {"name": name, "role": team.role, "description": team.description}


def exported(have: Organization) -> list[dict[str, Any]]:
    """As the document has them. Of a synced team the members are not the document's."""
    return [
        {**shown(name, team), **({} if team.synced else {"members": [who.shown() for who in sorted(team.members)]})}
        for name, team in sorted(have.teams.items())
    ]
