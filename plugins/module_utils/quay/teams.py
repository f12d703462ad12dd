# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Teams of an organization and who is in them, or invited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, delegates, team_sync
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
        "options": {**delegates.options("user", "robot", "email"), "state": _STATE},
    },
    "sync": team_sync.OPTION,
}


def member(entry: Item, what: str = "members") -> Delegate:
    return delegates.of(entry, what, "user", "robot", "email")


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"team {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_account(item["name"], here)
        check_unique((member(entry, f"{here}.members") for entry in item["members"] or []), f"{here}.members")
        if item["name"] == OWNERS and (item["state"] == "absent" or item["role"] not in (None, "admin")):
            raise InputError(f"{here}: Quay keeps the team owners, with the role admin.")
        if item["sync"]:
            team_sync.check(item["sync"], f"{here}.sync")
            people = [str(who) for who in map(member, present(item["members"])) if who.kind != "robot"]
            if item["sync"]["state"] == "present" and people:
                raise InputError(
                    f"{here}.members: {people[0]} cannot be in it, because the group that it is synced with decides who is. Leave out"
                    " one of both."
                )


def listings(items: list[Item] | None, have: Organization) -> list[str]:
    """The paths that tell the groups and the pending invitations of teams, where the document needs them."""
    paths = []
    for item in present(items):
        there = have.teams.get(item["name"])
        others = {who for who in map(member, item["members"] or []) if who.kind != "robot"}
        if there and ((there.synced and item["sync"]) or (not there.synced and others - there.members)):
            paths.append(listing(have.name, item["name"]))
    return paths


def listing(organization: str, team: str) -> str:
    """The path that tells everything about who is in a team."""
    return organization_path(organization, "team", team, "members") + "?includePending=true"


def complete(have: Organization, answers: Mapping[str, Any]) -> None:
    """Add the groups and the pending invitations that were read."""
    for name, team in have.teams.items():
        answer = answers.get(listing(have.name, name)) or {}
        team.group = (answer.get("synced") or {}).get("config")
        for item in answer.get("members", []):
            if item["invited"]:
                who = Delegate("email", item["email"]) if "email" in item else Delegate("user", item["name"])
                team.invited.add(who)


def unanswered(items: list[Item] | None, have: Organization) -> dict[str, str]:
    """Addresses without a pending invitation to a team that is there, and where the document has them."""
    found = {}
    for item in present(items):
        there = have.teams.get(item["name"])
        for who in map(member, present(item["members"]) if there else []):
            if there and who.kind == "email" and who not in there.invited:
                found[who.name] = f"organizations[{have.name}].teams[{item['name']}].members"
    return found


def accept(have: Organization, names: Mapping[str, str]) -> None:
    """Who has one of these addresses and is in a team has accepted. ``names``: users by address."""
    for team in have.teams.values():
        for address, name in names.items():
            if Delegate("user", name) in team.members | team.invited:
                team.accepted[Delegate("email", address)] = Delegate("user", name)


def features(items: list[Item] | None, have: Organization) -> dict[str, tuple[str, str]]:
    """What Quay must have for syncs and invitations that are yet to come: the path, who asks for it, and the feature."""
    found: dict[str, tuple[str, str]] = {}
    base = "/api/v1/organization/{orgname}/team/{teamname}"
    for item in present(items):
        there, here = have.teams.get(item["name"]), f"organizations[{have.name}].teams[{item['name']}]"
        if team_sync.begins(item["sync"], there):
            found[f"{base}/syncing"] = f"{here}.sync", "The feature is FEATURE_TEAM_SYNCING: turn it on"
        known = (there.invited | there.accepted.keys()) if there else set()
        if any(who.kind == "email" and who not in known for who in map(member, present(item["members"]))):
            found[f"{base}/invite/{{email}}"] = f"{here}.members", "The feature is FEATURE_MAILING: turn it on"
    return found


def plan(items: list[Item], have: Organization, purge: bool, purge_members: bool, me: str) -> list[Change]:
    """The teams as they shall be. ``me``: who asks, and whom Quay does not let out of the owners."""
    steps: list[Change] = []
    for item in present(items):
        there = have.teams.get(item["name"])
        steps += _team(item, there, have.name)
        if item["sync"]:
            steps += team_sync.plan(item["sync"], there, have.name, item["name"])
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

    def those(entries: list[Item]) -> set[Delegate]:
        return {there.accepted.get(who, who) for who in map(member, entries)}

    wanted, gone = those(present(item["members"])), those(absent(item["members"]))
    synced = there.synced and not (item["sync"] and item["sync"]["state"] == "absent")
    if purge:
        gone = there.members - wanted - ({Delegate("user", me)} if team == OWNERS else set())
        gone = {who for who in gone if who.kind == "robot" or not synced}
    new, old = wanted - there.members - there.invited, gone & (there.members | there.invited)
    if synced and any(who.kind != "robot" for who in new | old):
        raise InputError(
            f"organizations[{organization}].teams[{team}].members: the team is synced with a group elsewhere, which decides who is in"
            " it. Leave members out."
        )
    steps = [_member(team, organization, who, "PUT", calls.REPOSITORY_AND_MEMBER) for who in sorted(new)]
    return steps + [_member(team, organization, who, "DELETE", calls.TAKE_AWAY) for who in sorted(old)]


def _member(team: str, organization: str, who: Delegate, method: str, stage: int) -> Change:
    email = who.kind == "email"
    path = organization_path(organization, "team", team, *(("invite",) if email else ("members",)))
    call = Call(method, f"{path}/{calls.segment(who.account(organization))}", {} if method == "PUT" else None)
    shown_ = {"team": team, **who.shown()}
    before, after = (None, shown_) if method == "PUT" else (shown_, None)
    kind = "TeamInvitation" if email else "TeamMember"
    return change(kind, organization, f"{team}: {who}", before, after, stage, call)


def shown(name: str, team: Team) -> dict[str, Any]:
    """As the document has it, without its members."""
    return {"name": name, "role": team.role, "description": team.description}


def exported(have: Organization) -> list[dict[str, Any]]:
    """As the document has them. Of a synced team the members are not the document's, robots apart."""
    found = []
    for name, team in sorted(have.teams.items()):
        members = {who for who in team.members if who.kind == "robot"} if team.synced else team.members | team.invited
        sync = {"sync": dict(team.group)} if team.group else {}
        found.append({**shown(name, team), "members": [who.shown() for who in sorted(members)], **sync})
    return found
