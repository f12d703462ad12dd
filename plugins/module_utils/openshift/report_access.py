# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may pull and push the images of which project: role bindings resolved to people and service accounts. No I/O.

OpenShift's registry asks for `get` (pull) and `update` (push) of imagestreams/layers in image.openshift.io.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.openshift.bindings import (
    Grant,
    Role,
    Subject,
    grants_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import Object, name_of, namespace_of

#: Projects of the platform; their service accounts are left out, and so are the API server's own users and groups.
_PLATFORM = ("openshift-", "kube-")

#: Groups that are no objects, in words.
_EVERYBODY = {
    "system:authenticated": "everybody who is logged in",
    "system:authenticated:oauth": "everybody who is logged in",
    "system:unauthenticated": "everybody, without a login",
    "system:serviceaccounts": "all service accounts",
}
_ALL_OF = "system:serviceaccounts:"

#: Roles for images alone: a binding of one shows a project even while it has no image streams.
_IMAGE_ROLES = ("registry-", "system:image-")
_DEFAULT_BINDINGS = ("system:image-pullers", "system:image-builders")

ALL_PROJECTS = "all projects"


@dataclasses.dataclass(frozen=True)
class Rights:
    """What a role grants. ``streams`` limits it to these image streams; empty for all."""

    pull: bool
    push: bool
    streams: tuple[str, ...] = ()


def rights(role: Mapping[str, Any]) -> list[Rights]:
    """What the rules of a role say of image layers."""
    found = []
    for rule in role.get("rules") or []:
        groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
        if not {"image.openshift.io", "*"} & set(groups) or not {"imagestreams/layers", "*/layers", "*"} & set(
            resources
        ):
            continue
        verbs = set(rule.get("verbs") or [])
        pull, push = bool(verbs & {"get", "*"}), bool(verbs & {"update", "*"})
        if pull or push:
            found.append(Rights(pull, push, tuple(rule.get("resourceNames") or ())))
    return found


def resolve(
    roles: Iterable[Object], bindings: Iterable[Object], groups: Iterable[Object], with_streams: Iterable[str]
) -> list[dict[str, Any]]:
    """A row for each project and subject. Bindings without a namespace are those of the cluster."""
    granted = {(namespace_of(role), role["kind"], name_of(role)): rights(role) for role in roles}
    members = {name_of(group): list(group.get("users") or []) for group in groups}
    there = list(bindings)
    projects = {*with_streams, *(namespace_of(item) for item in there if _is_for_images(item)), ""}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for binding in there:
        if namespace_of(binding) not in projects:
            continue
        for grant in grants_of(binding):
            for right in granted.get(_key(grant.project, grant.role), []):
                for kind, name, through in _people(grant.subject, members):
                    _add(rows, grant, right, kind, name, through)
    return [
        {**row, "roles": sorted(row["roles"]), "through": sorted(row["through"]), "streams": sorted(row["streams"])}
        for _key_of_row, row in sorted(rows.items())
    ]


def _key(project: str, role: Role) -> tuple[str, str, str]:
    return ("" if role.kind == "ClusterRole" else project, role.kind, role.name)


def _is_for_images(binding: Object) -> bool:
    return (
        str((binding.get("roleRef") or {}).get("name", "")).startswith(_IMAGE_ROLES)
        and name_of(binding) not in _DEFAULT_BINDINGS
    )


def _people(subject: Subject, members: Mapping[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    """Kind and name of whoever a subject means in the end, and the group that he has it through."""
    if subject.kind == "ServiceAccount":
        if not subject.namespace.startswith(_PLATFORM):
            yield "service account", f"{subject.namespace}/{subject.name}", ""
    elif subject.kind == "User":
        if not subject.name.startswith("system:"):
            yield "user", subject.name, ""
    elif subject.name in _EVERYBODY:
        yield "everybody", _EVERYBODY[subject.name], ""
    elif subject.name.startswith(_ALL_OF):
        namespace = subject.name[len(_ALL_OF) :]
        if not namespace.startswith(_PLATFORM):
            yield "service account", f"{namespace}/*", ""
    elif members.get(subject.name):
        for member in members[subject.name]:
            yield "user", member, subject.name
    elif not subject.name.startswith("system:"):
        yield "group", subject.name, ""


def _add(
    rows: dict[tuple[str, str, str], dict[str, Any]], grant: Grant, right: Rights, kind: str, name: str, through: str
) -> None:
    project = grant.project or ALL_PROJECTS
    row = rows.setdefault(
        (project, kind, name),
        {
            "project": project,
            "kind": kind,
            "name": name,
            "pull": False,
            "push": False,
            "roles": set(),
            "through": set(),
            "streams": set(right.streams),
        },
    )
    row["pull"] |= right.pull
    row["push"] |= right.push
    row["roles"].add(grant.role.name)
    row["streams"] = row["streams"] | set(right.streams) if row["streams"] and right.streams else set()
    if through:
        row["through"].add(through)
