# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of an organization, and who may do what with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, default_permissions, delegates
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import (
    Call,
    change,
    repository_path,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import ROLES, Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.mirrors import Mirror
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_repository,
    check_unique,
    present,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.notifications import Notifications
from ansible_collections.quayside.registry.plugins.module_utils.quay.policies import IMMUTABLE, PRUNE
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Part, Repository

#: The parts of a repository that have requests of their own.
PARTS: Sequence[Part] = (Notifications(), PRUNE, IMMUTABLE, Mirror())

_STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": _STATE,
    "visibility": {"type": "str", "choices": ["private", "public"]},
    "description": {"type": "str"},
    "mode": {"type": "str", "choices": ["normal", "read_only", "mirror"]},
    **{part.name: part.option for part in PARTS},
    "permissions": {
        "type": "list",
        "elements": "dict",
        "options": {
            **delegates.options("user", "robot", "team"),
            "role": {"type": "str", "choices": ROLES},
            "state": _STATE,
        },
    },
}


def parts(item: Item) -> list[Part]:
    """The parts that the document speaks of."""
    return [part for part in PARTS if item[part.name] is not None]


def holder(entry: Item, what: str = "permissions") -> Delegate:
    return delegates.of(entry, what, "user", "robot", "team")


def check(items: list[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"repository {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_repository(item["name"], here)
        check_unique(
            (holder(entry, f"{here}.permissions") for entry in item["permissions"] or []), f"{here}.permissions"
        )
        for entry in present(item["permissions"]):
            if not entry["role"]:
                raise InputError(f"{here}.permissions[{holder(entry)}]: give a role.")
        if item["mirror"] and item["mode"] not in (None, "mirror"):
            raise InputError(f"{here}: a repository with mirror has the mode mirror. Use mirror.enabled to pause it.")
        for part in PARTS:
            if item[part.name]:
                part.check(item[part.name], f"{here}.{part.name}")


def purged(items: list[Item], have: Organization) -> list[str]:
    """The repositories that are not mentioned."""
    return sorted(have.repositories.keys() - {item["name"] for item in items})


def plan(items: list[Item], have: Organization, purge: bool, purge_permissions: bool, maker: str) -> list[Change]:
    """The repositories as they shall be. ``maker`` administers those that he makes, as Quay has it."""
    steps: list[Change] = []
    for item in present(items):
        there = have.repositories.get(item["name"])
        steps += _repository(item, there, have.name)
        if item["permissions"] is not None:
            before = there.permissions if there else {}
            begun = {} if there else default_permissions.given(have, maker)
            steps += _permissions(item, before, begun, have.name, purge_permissions)
        base = repository_path(have.name, item["name"])
        for part in PARTS:
            if item[part.name] is not None:
                answer = there.parts[part.name] if there else None
                steps += part.plan(item[part.name], answer, base, have.name, item["name"], calls.PERMISSION)
    gone = {item["name"] for item in absent(items)} & have.repositories.keys()
    for name in sorted(gone | set(purged(items, have) if purge else ())):
        call = Call("DELETE", repository_path(have.name, name))
        before_ = shown(name, have.repositories[name])
        steps.append(change("Repository", have.name, name, before_, None, calls.DELETE, call))
    return steps


def _repository(item: Item, there: Repository | None, organization: str) -> list[Change]:
    name = item["name"]
    wanted = {
        "visibility": item["visibility"],
        "description": item["description"],
        "mode": item["mode"] or ("mirror" if item["mirror"] and there and there.parts["mirror"] else None),
    }
    have = shown(name, there or Repository())
    different = calls.differences(have, wanted)
    after = {**have, **different}
    path = repository_path(organization, name)
    steps: list[Call] = []
    if there is None:
        body = {
            "namespace": organization,
            "repository": name,
            "visibility": after["visibility"],
            "description": after["description"],
            "repo_kind": "image",
        }
        steps.append(Call("POST", "/api/v1/repository", body))
    else:
        if "description" in different:
            steps.append(Call("PUT", path, {"description": different["description"]}))
        if "visibility" in different:
            steps.append(Call("POST", f"{path}/changevisibility", {"visibility": different["visibility"]}))
    if "mode" in different:
        steps.append(Call("PUT", f"{path}/changestate", {"state": different["mode"].upper()}))
    if not steps:
        return []
    stage = calls.REPOSITORY_AND_MEMBER
    return [change("Repository", organization, name, have if there else None, after, stage, *steps)]


def _permissions(
    item: Item, there: dict[Delegate, str], begun: dict[Delegate, str], organization: str, purge: bool
) -> list[Change]:
    """``begun``: the permissions that a new repository will have by itself."""
    wanted = {holder(entry): entry["role"] for entry in present(item["permissions"])}
    gone = {holder(entry) for entry in absent(item["permissions"])}
    steps = []
    for who, role in sorted(wanted.items()):
        if there.get(who) != role:
            before = {**who.shown(), "role": there[who]} if who in there else None
            steps.append(_permission(item["name"], organization, who, before, {**who.shown(), "role": role}))
    for who, role in sorted({**begun, **there}.items()):
        if who not in wanted and (purge or who in gone):
            steps.append(_permission(item["name"], organization, who, {**who.shown(), "role": role}, None))
    return steps


def _permission(
    repository: str, organization: str, who: Delegate, before: dict[str, str] | None, after: dict[str, str] | None
) -> Change:
    kind = "team" if who.kind == "team" else "user"
    path = repository_path(organization, repository, f"/permissions/{kind}/{calls.segment(who.account(organization))}")
    call = Call("PUT", path, {"role": after["role"]}) if after else Call("DELETE", path)
    stage = calls.PERMISSION if after else calls.TAKE_AWAY
    name = f"{repository}: {who}"
    return change("RepositoryPermission", organization, name, before, after, stage, call)


def tags_path(organization: str, name: str) -> str:
    """Whether a repository has tags: one is enough."""
    return repository_path(organization, name, "/tag/?limit=1&onlyActiveTags=true")


def shown(name: str, repository: Repository) -> dict[str, Any]:
    """As the document has it, without its permissions."""
    return {
        "name": name,
        "visibility": repository.visibility,
        "description": repository.description,
        "mode": repository.state.lower(),
    }


def exported(have: Organization) -> list[dict[str, Any]]:
    """As the document has them."""
    return [
        {
            **shown(name, repository),
            "permissions": [{**who.shown(), "role": role} for who, role in sorted(repository.permissions.items())],
            **_exported_parts(repository),
        }
        for name, repository in sorted(have.repositories.items())
    ]


def _exported_parts(repository: Repository) -> dict[str, Any]:
    found = {part.name: part.exported(repository.parts[part.name]) for part in PARTS if part.name in repository.parts}
    if repository.state != "MIRROR":  # of a repository that once was a mirror Quay keeps what it mirrored
        found["mirror"] = None
    return {name: value for name, value in found.items() if value is not None}
