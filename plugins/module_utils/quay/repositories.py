# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of an organization, and who may do what with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, default_permissions, delegates, tags
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
    taken,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.notifications import Notifications
from ansible_collections.quayside.registry.plugins.module_utils.quay.policies import IMMUTABLE, PRUNE
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization, Part, Repository

#: The parts of a repository that have requests of their own.
PARTS: Sequence[Part] = (Notifications(), PRUNE, IMMUTABLE, Mirror())

_MODES = ["normal", "read_only", "mirror"]
_STARRED = "/api/v1/user/starred"
_STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": _STATE,
    "visibility": {"type": "str", "choices": ["private", "public"]},
    "description": {"type": "str"},
    "mode": {"type": "str", "choices": _MODES},
    "star": {"type": "bool"},
    **{part.name: part.option for part in PARTS},
    "tags": tags.OPTION,
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
        tags.check(item["tags"] or [], f"{here}.tags")
        for part in PARTS:
            if item[part.name]:
                part.check(item[part.name], f"{here}.{part.name}")


def check_granted(items: list[Item] | None, granted: Mapping[str, list[Item]], what: str) -> None:
    """Refuse what robots say of a repository and the repository itself says otherwise."""
    for item in items or []:
        of_robots = granted.get(item["name"], [])
        if item["state"] == "absent" and of_robots:
            raise InputError(
                f"{what}.repositories[{item['name']}]: it shall be absent, and robot {of_robots[0]['robot']} has a permission for it."
            )
        for entry in of_robots:
            for other in item["permissions"] or []:
                same = (other["state"], other["role"]) == (entry["state"], entry["role"])
                if holder(other) == holder(entry) and not same:
                    raise InputError(
                        f"{what}.robots[{entry['robot']}].permissions[{item['name']}]: repository {item['name']} says something else of"
                        " this robot. Leave out one of both."
                    )


def tags_needed(items: list[Item] | None, have: Organization) -> list[str]:
    """The paths to read next for the tags that the document speaks of."""
    asked = [item for item in present(items) if item["tags"] and item["name"] in have.repositories]
    bases = [(item, repository_path(have.name, item["name"])) for item in asked]
    return [path for item, base in bases for path in tags.needed(item["tags"], base, have.answers)]


def purged(items: list[Item], have: Organization) -> list[str]:
    """The repositories that are not mentioned."""
    return sorted(have.repositories.keys() - {item["name"] for item in items})


@dataclasses.dataclass(frozen=True)
class Planning:
    """What a plan has to know besides. ``maker`` administers the repositories that he makes, as Quay has it."""

    purges: Collection[str]
    maker: str
    now: float
    #: what robots say of their permissions, by repository
    granted: Mapping[str, list[Item]]


def plan(items: list[Item] | None, have: Organization, how: Planning) -> list[Change]:
    """The repositories as they shall be, and the permissions that robots have in them."""
    steps: list[Change] = []
    mentioned = present(items)
    for item in mentioned:
        there = have.repositories.get(item["name"])
        steps += _repository(item, there, have.name)
        granted = how.granted.get(item["name"], [])
        if item["permissions"] is not None or granted:
            before = there.permissions if there else {}
            begun = {} if there else default_permissions.given(have, how.maker)
            purges = "permissions" in how.purges and item["permissions"] is not None
            entries = [*(item["permissions"] or []), *granted]
            steps += _permissions(item["name"], entries, before, begun, have.name, purges)
        base = repository_path(have.name, item["name"])
        for part in PARTS:
            if item[part.name] is not None:
                answer = there.parts[part.name] if there else None
                steps += part.plan(item[part.name], answer, base, have.name, item["name"], calls.PERMISSION)
        mode = item["mode"] or ("mirror" if item["mirror"] else (there or Repository()).state.lower())
        if item["tags"]:
            purges = "labels" in how.purges
            steps += tags.plan(item["tags"], base, have.name, item["name"], mode, have.answers, how.now, purges)
    for name in sorted(how.granted.keys() - {item["name"] for item in mentioned}):
        if name not in have.repositories:
            robot = how.granted[name][0]["robot"]
            raise InputError(
                f"organizations[{have.name}].robots[{robot}].permissions: organization {have.name} has no repository {name}. Add it to"
                " repositories, or correct the name."
            )
        before = have.repositories[name].permissions
        steps += _permissions(name, how.granted[name], before, {}, have.name, False)
    if items is None:
        return steps
    gone = {item["name"] for item in absent(items)} & have.repositories.keys()
    for name in sorted(gone | set(purged(items, have) if "repositories" in how.purges else ())):
        if taken(name):
            raise InputError(
                f"organizations[{have.name}]: purge would delete repository {name!r}, which Quay's API cannot tell from a part of another"
                " one. Delete it in Quay's web interface."
            )
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
    changes: list[Change] = []
    if steps:
        stage = calls.REPOSITORY_AND_MEMBER
        changes.append(change("Repository", organization, name, have if there else None, after, stage, *steps))
    return changes + _star(item, bool(there and there.starred), organization)


def _star(item: Item, starred: bool, organization: str) -> list[Change]:
    """Whether the repository is among the favourites of who signs in."""
    name = item["name"]
    if item["star"] in (None, starred):
        return []
    if item["star"]:
        call = Call("POST", _STARRED, {"namespace": organization, "repository": name})
        return [change("Star", organization, name, None, {"name": name}, calls.PERMISSION, call)]
    call = Call("DELETE", f"{_STARRED}/{calls.segment(organization)}/{name}")
    return [change("Star", organization, name, {"name": name}, None, calls.TAKE_AWAY, call)]


def _permissions(
    repository: str,
    entries: Sequence[Item],
    there: dict[Delegate, str],
    begun: dict[Delegate, str],
    organization: str,
    purge: bool,
) -> list[Change]:
    """``begun``: the permissions that a new repository will have by itself."""
    wanted = {holder(entry): entry["role"] for entry in present(entries)}
    gone = {holder(entry) for entry in absent(entries)}
    steps = []
    for who, role in sorted(wanted.items()):
        if there.get(who) != role:
            before = {**who.shown(), "role": there[who]} if who in there else None
            steps.append(_permission(repository, organization, who, before, {**who.shown(), "role": role}))
    for who, role in sorted({**begun, **there}.items()):
        if who not in wanted and (purge or who in gone):
            steps.append(_permission(repository, organization, who, {**who.shown(), "role": role}, None))
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


def exported(have: Organization, with_tags: bool) -> list[dict[str, Any]]:
    """As the document has them."""
    return [_exported(have, name, repository, with_tags) for name, repository in sorted(have.repositories.items())]


def _exported(have: Organization, name: str, repository: Repository, with_tags: bool) -> dict[str, Any]:
    parts = {part.name: part.exported(repository.parts[part.name]) for part in PARTS if part.name in repository.parts}
    if repository.state != "MIRROR":  # of a repository that once was a mirror Quay keeps what it mirrored
        parts["mirror"] = None
    own = shown(name, repository)
    if own["mode"] not in _MODES:  # of an organization that is a mirror
        del own["mode"]
    return {
        **own,
        "permissions": [{**who.shown(), "role": role} for who, role in sorted(repository.permissions.items())],
        **{part: value for part, value in parts.items() if value is not None},
        **({"star": True} if repository.starred else {}),
        **({"tags": tags.exported(repository_path(have.name, name), have.answers)} if with_tags else {}),
    }
