# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Robots of an organization, and their tokens: stored where they are wanted, and renewed when they are old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, stores
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import ROLES
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_account,
    check_repository,
    check_unique,
    present,
    seconds,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Robot

SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "description": {"type": "str"},
    "federation": {
        "type": "list",
        "elements": "dict",
        "options": {"issuer": {"type": "str", "required": True}, "subject": {"type": "str", "required": True}},
    },
    "permissions": {
        "type": "list",
        "elements": "dict",
        "options": {
            "repository": {"type": "str", "required": True},
            "role": {"type": "str", "choices": ROLES},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    **stores.SPEC,
}

_LONGEST_DESCRIPTION = 255


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"robot {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_account(item["name"], here)
        if len(item["description"] or "") > _LONGEST_DESCRIPTION:
            raise InputError(f"{here}.description: Quay takes at most {_LONGEST_DESCRIPTION} characters.")
        stores.check(item, here)
        roles = item["permissions"] or []
        check_unique((entry["repository"] for entry in roles), f"{here}.permissions", lambda name: f"repository {name}")
        for entry in roles:
            check_repository(entry["repository"], f"{here}.permissions")
            if entry["state"] == "present" and not entry["role"]:
                raise InputError(f"{here}.permissions[{entry['repository']}]: give a role.")
        for entry in item["federation"] or []:
            if not entry["issuer"].startswith(("http://", "https://")):
                raise InputError(f"{here}.federation: the issuer {entry['issuer']!r} is not a URL of https or http.")


def permissions(items: list[Item] | None) -> dict[str, list[Item]]:
    """What robots say of their permissions: entries as repositories have them, by repository."""
    found: dict[str, list[Item]] = {}
    for item in present(items):
        for entry in item["permissions"] or []:
            who = {"user": None, "team": None, "robot": item["name"]}
            found.setdefault(entry["repository"], []).append({**entry, **who})
    return found


def plan(items: list[Item], have: Organization, purge: bool, keeping: stores.Keeping) -> tuple[list[Change], list[str]]:
    """The robots as they shall be, their tokens where they shall be; and warnings."""
    steps: list[Change] = []
    warnings: list[str] = []
    for item in present(items):
        there = have.robots.get(item["name"])
        path = organization_path(have.name, "robots", item["name"])
        if there is None:
            body = {"description": item["description"] or ""}
            steps.append(_create(item["name"], have.name, Call("PUT", path, body)))
        elif item["description"] not in (None, there.description):
            warnings.append(
                f"Robot {have.name}+{item['name']} has another description: Quay's API cannot change it once the robot is there."
            )
        if item["federation"] is not None:
            steps += _federation(item, there, path, have.name)
        steps += _tokens(item, there, have.name, keeping)
    gone = {item["name"] for item in absent(items)}
    if purge:
        gone |= have.robots.keys() - {item["name"] for item in items}
    for name in sorted(gone & have.robots.keys()):
        call = Call("DELETE", organization_path(have.name, "robots", name))
        steps.append(change("Robot", have.name, name, shown(name, have.robots[name]), None, calls.DELETE_ROBOT, call))
    return steps, warnings


def _federation(item: Item, there: Robot | None, path: str, organization: str) -> list[Change]:
    """Who else may act as the robot: all of them in one request."""
    before = there.federation if there else frozenset()
    after = {(entry["issuer"], entry["subject"]) for entry in item["federation"]}
    if before == after:
        return []
    call = Call("POST", f"{path}/federation", _entries(after)) if after else Call("DELETE", f"{path}/federation")
    shown_ = ({"federation": _entries(before)} if before else None, {"federation": _entries(after)} if after else None)
    stage = calls.REPOSITORY_AND_MEMBER if after else calls.TAKE_AWAY
    return [change("RobotFederation", organization, item["name"], *shown_, stage, call)]


def _entries(federation: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"issuer": issuer, "subject": subject} for issuer, subject in sorted(federation)]


def _create(name: str, organization: str, call: Call) -> Change:
    after = {"name": name, "description": call.body["description"]}
    return change("Robot", organization, name, None, after, calls.TEAM_AND_ROBOT, call)


def _tokens(item: Item, there: Robot | None, organization: str, keeping: stores.Keeping) -> list[Change]:
    steps: list[Change] = []
    account = f"{organization}+{item['name']}"
    wanted = stores.places(item)
    if wanted and there and not there.token:
        raise RegistryError(
            f"Quay does not show the token of robot {account}: it shows it to administrators of organization {organization} only. Connect"
            " as one of them, or leave store out."
        )
    found = [content for place in wanted if (content := keeping.stored.get(place))]
    # a run that was killed may have left the new token in one place and the old one in the other
    kept = next(
        (content for content in found if there and content.get("password") == there.token), found[0] if found else {}
    )
    issued = _issued(there, kept)
    renew = bool(there and item["rotate"]) and keeping.now - issued >= seconds(
        (item["rotate"] or {})["after"], "rotate.after"
    )
    if renew and there:
        call = Call("POST", organization_path(organization, "robots", item["name"]) + "/regenerate")
        before = {"name": item["name"], "token_issued": credentials.timestamp(int(issued))}
        steps.append(
            change("RobotToken", organization, item["name"], before, {"name": item["name"]}, calls.TEAM_AND_ROBOT, call)
        )
    fresh = there is None or renew or (bool(kept) and kept.get("password") != there.token)
    since = credentials.timestamp(int(keeping.now if fresh else issued))
    for place in wanted:
        content = keeping.stored.get(place) or {}
        right = {"host": keeping.host, "username": account, "password": there.token if there else ""}
        if there is None or renew or any(content.get(key) != text for key, text in right.items()):
            keep = {**right, "token_issued": since}
            stage = calls.REPOSITORY_AND_MEMBER
            steps.append(stores.keep(place, account, {"robot": account}, keep, bool(content), stage))
    return steps


def _issued(there: Robot | None, kept: Mapping[str, str]) -> float:
    """Since when the robot has the token that is kept, or that it was made with."""
    try:
        if there and kept.get("password") == there.token:
            return credentials.epoch(kept.get("token_issued", ""))
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(there.created).timestamp() if there else 0.0
    except (TypeError, ValueError):
        return 0.0


def made(changes: Change, answer: Any) -> tuple[str, dict[str, str]] | None:
    """The robot and the token that a change made."""
    if changes.kind in ("Robot", "RobotToken") and isinstance(answer, dict) and answer.get("token"):
        return answer["name"], {"password": answer["token"]}
    return None


def shown(name: str, robot: Robot) -> dict[str, Any]:
    """As the document has it."""
    return {"name": name, "description": robot.description}


def exported(have: Organization) -> list[dict[str, Any]]:
    """As the document has them."""
    return [
        {**shown(name, robot), **({"federation": _entries(robot.federation)} if robot.federation else {})}
        for name, robot in sorted(have.robots.items())
    ]
