# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Robots of an organization, and their tokens: stored where they are wanted, and renewed when they are old."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, HIDDEN_NEW, Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_account,
    check_unique,
    present,
    seconds,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Robot

SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "description": {"type": "str"},
    "store": {
        "type": "dict",
        "options": {
            "secret": {
                "type": "dict",
                "no_log": False,
                "options": {
                    "name": {"type": "str", "required": True},
                    "namespace": {"type": "str", "required": True, "aliases": ["project"]},
                },
            },
            "file": {"type": "path"},
        },
    },
    "federation": {
        "type": "list",
        "elements": "dict",
        "options": {"issuer": {"type": "str", "required": True}, "subject": {"type": "str", "required": True}},
    },
    "rotate": {"type": "dict", "options": {"after": {"type": "str", "required": True}}},
}

#: A place for a token: ("Secret", namespace, name) or ("File", "", path).
Place = tuple[str, str, str]
Stored = Mapping[Place, Mapping[str, str] | None]
_LONGEST_DESCRIPTION = 255


@dataclasses.dataclass(frozen=True)
class Store:
    """What carries out the change of a place: it keeps the token of this robot, which ``Call``s before it may have made."""

    place: Place
    robot: str
    issued: str
    token: str = dataclasses.field(default="", repr=False)


def places(item: Item) -> list[Place]:
    """Where the robot's token is stored."""
    store = item["store"] or {}
    found: list[Place] = []
    if store.get("secret"):
        found.append(("Secret", store["secret"]["namespace"], store["secret"]["name"]))
    if store.get("file"):
        found.append(("File", "", store["file"]))
    return found


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"robot {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_account(item["name"], here)
        if len(item["description"] or "") > _LONGEST_DESCRIPTION:
            raise InputError(f"{here}.description: Quay takes at most {_LONGEST_DESCRIPTION} characters.")
        if item["store"] is not None and not places(item):
            raise InputError(f"{here}.store: give secret, file or both.")
        if item["store"] and item["store"]["file"] and not item["store"]["file"].startswith("/"):
            raise InputError(f"{here}.store.file: {item['store']['file']!r} is no absolute path.")
        for entry in item["federation"] or []:
            if not entry["issuer"].startswith(("http://", "https://")):
                raise InputError(f"{here}.federation: the issuer {entry['issuer']!r} is not a URL of https or http.")
        if item["rotate"]:
            if not item["store"]:
                raise InputError(f"{here}.rotate: give store, too: a new token has to be kept somewhere.")
            if not seconds(item["rotate"]["after"], f"{here}.rotate.after"):
                raise InputError(f"{here}.rotate.after must be more than 0.")


def plan(
    items: list[Item], have: Organization, purge: bool, stored: Stored, host: str, now: float
) -> tuple[list[Change], list[str]]:
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
        steps += _tokens(item, there, have.name, stored, host, now)
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


def _tokens(item: Item, there: Robot | None, organization: str, stored: Stored, host: str, now: float) -> list[Change]:
    steps: list[Change] = []
    account = f"{organization}+{item['name']}"
    wanted = places(item)
    if wanted and there and not there.token:
        raise RegistryError(
            f"Quay does not show the token of robot {account}: it shows it to administrators of organization {organization} only. Connect"
            " as one of them, or leave store out."
        )
    found = [content for place in wanted if (content := stored.get(place))]
    # a run that was killed may have left the new token in one place and the old one in the other
    kept = next(
        (content for content in found if there and content.get("password") == there.token), found[0] if found else {}
    )
    issued = _issued(there, kept)
    renew = bool(there and item["rotate"]) and now - issued >= seconds((item["rotate"] or {})["after"], "rotate.after")
    if renew and there:
        call = Call("POST", organization_path(organization, "robots", item["name"]) + "/regenerate")
        before = {"name": item["name"], "token_issued": credentials.timestamp(int(issued))}
        steps.append(
            change("RobotToken", organization, item["name"], before, {"name": item["name"]}, calls.TEAM_AND_ROBOT, call)
        )
    fresh = there is None or renew or (bool(kept) and kept.get("password") != there.token)
    since = credentials.timestamp(int(now if fresh else issued))
    for place in wanted:
        content = stored.get(place) or {}
        right = {"host": host, "username": account, "password": there.token if there else ""}
        if there is None or renew or any(content.get(key) != text for key, text in right.items()):
            kind, namespace, name = place
            old = {"robot": account, "token": HIDDEN} if content else None
            new = {"robot": account, "token": HIDDEN_NEW}
            step = change(kind, namespace, name, old, new, calls.REPOSITORY_AND_MEMBER)
            steps.append(dataclasses.replace(step, request=Store(place, account, since, right["password"])))
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


def content(store: Store, token: str, host: str) -> dict[str, str]:
    """What a place holds; the keys are those that the credential source ``secret`` reads."""
    return {"host": host, "username": store.robot, "password": token, "token_issued": store.issued}


def made(changes: Change, answer: Any, tokens: dict[str, str]) -> None:
    """Remember the token that a change made."""
    if changes.kind in ("Robot", "RobotToken") and isinstance(answer, dict) and answer.get("token"):
        tokens[answer["name"]] = answer["token"]


def shown(name: str, robot: Robot) -> dict[str, Any]:
    """As the document has it."""
    return {"name": name, "description": robot.description}


def exported(have: Organization) -> list[dict[str, Any]]:
    """As the document has them."""
    return [
        {**shown(name, robot), **({"federation": _entries(robot.federation)} if robot.federation else {})}
        for name, robot in sorted(have.robots.items())
    ]
