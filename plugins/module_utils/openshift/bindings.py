# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role bindings as sets of grants: who has which role in which project. No I/O.

A role binding is found by what it grants and never by its name, so that those which `oc policy add-role-to-user` made
(ROLE, ROLE-0, ROLE-1, …) count, and so does each subject of a binding that has several.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    ROLE_BINDING,
    Object,
    changes,
    is_ours,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change

_RBAC = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNT_USER = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")


@dataclasses.dataclass(frozen=True, order=True)
class Role:
    name: str
    kind: str = "ClusterRole"


@dataclasses.dataclass(frozen=True, order=True)
class Subject:
    """A User, Group or ServiceAccount; only the last one has a namespace."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        words = {"User": "user", "Group": "group", "ServiceAccount": "service account"}
        return (
            f"{words[self.kind]} {self.namespace}/{self.name}" if self.namespace else f"{words[self.kind]} {self.name}"
        )

    def reference(self) -> dict[str, str]:
        """As it stands in a binding's subjects."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"apiGroup": _RBAC, "kind": self.kind, "name": self.name}


@dataclasses.dataclass(frozen=True, order=True)
class Grant:
    project: str
    role: Role
    subject: Subject


def user(name: str) -> Subject:
    """A user; the user name of a service account is that service account (RBAC makes no difference)."""
    match = _SERVICE_ACCOUNT_USER.fullmatch(name)
    return Subject("ServiceAccount", match[2], match[1]) if match else Subject("User", name)


def grants_of(binding: Mapping[str, Any]) -> list[Grant]:
    """What a role binding grants: one for each of its subjects, in their order."""
    role = Role(binding["roleRef"]["name"], binding["roleRef"]["kind"])
    project = namespace_of(binding)
    return [Grant(project, role, _subject(reference)) for reference in binding.get("subjects") or []]


def _subject(reference: Mapping[str, Any]) -> Subject:
    if reference["kind"] == "User":
        return user(reference["name"])
    return Subject(reference["kind"], reference["name"], reference.get("namespace") or "")


def plan(
    bindings: Iterable[Object], wanted: Collection[Grant], unwanted: Collection[Grant], purge: bool
) -> tuple[list[Change], dict[Grant, str]]:
    """The changes that grant what is wanted and take away what is not, and the name of the binding of each wanted grant.

    What is new is granted (stage 1) before anything is taken away (stage 2), so that a subject whose role changes never
    has less than it had or will have. With `purge` bindings of this collection lose what is not wanted.
    """
    there = list(bindings)
    names: dict[Grant, str] = {}
    for binding in there:
        for grant in grants_of(binding):
            names.setdefault(grant, name_of(binding))
    taken = {(namespace_of(binding), name_of(binding)) for binding in there}
    planned: list[Change] = []
    for grant in sorted(set(wanted) - names.keys()):
        names[grant] = _free_name(grant, taken)
        planned += changes(ROLE_BINDING, None, _new(grant, names[grant]), stage=1)
    for binding in there:
        goes = purge and is_ours(binding)
        subjects = list(zip(binding.get("subjects") or [], grants_of(binding), strict=True))
        kept = [ref for ref, grant in subjects if grant not in unwanted and (grant in wanted or not goes)]
        if len(kept) < len(subjects) or (goes and not kept):
            planned += changes(ROLE_BINDING, binding, {**binding, "subjects": kept} if kept else None, stage=2)
    return planned, {grant: names[grant] for grant in wanted}


def binding_name(grant: Grant) -> str:
    """Readable, the same on every run, and different for every grant of a project."""
    words = {"User": "user", "Group": "group", "ServiceAccount": "sa"}
    subject = grant.subject
    where = f"{subject.namespace}-" if subject.namespace not in ("", grant.project) else ""
    readable = f"{grant.role.name}-{words[subject.kind]}-{where}{subject.name}".lower()
    text = re.sub(r"[^a-z0-9.]+", "-", readable)[:80].strip("-.")
    exact = "\n".join((grant.role.kind, grant.role.name, subject.kind, subject.namespace, subject.name))
    return f"quayside-{text}-{hashlib.sha256(exact.encode()).hexdigest()[:10]}"


def _free_name(grant: Grant, taken: set[tuple[str, str]]) -> str:
    """The grant's name; numbered if a binding of that name grants something else, since roleRef cannot be changed."""
    first = name = binding_name(grant)
    number = 0
    while (grant.project, name) in taken:
        name, number = f"{first}-{number}", number + 1
    taken.add((grant.project, name))
    return name


def _new(grant: Grant, name: str) -> Object:
    return new(
        ROLE_BINDING,
        name,
        grant.project,
        roleRef={"apiGroup": _RBAC, "kind": grant.role.kind, "name": grant.role.name},
        subjects=[grant.subject.reference()],
    )
