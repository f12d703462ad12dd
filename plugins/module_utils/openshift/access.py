# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may view, pull, push, edit or administer the images of which project."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import bindings, projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.bindings import Grant, Role, Subject
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CLUSTER_ROLE,
    GROUP,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    USER,
    Kind,
    Object,
    name_of,
    namespace_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

#: Level of access → cluster role. Pushing needs system:image-builder: a first push creates the image stream, which
#: system:image-pusher may not (OpenShift: blobs are accepted, the manifest is refused).
LEVELS = {
    "view": "registry-viewer",
    "pull": "system:image-puller",
    "push": "system:image-builder",
    "edit": "registry-editor",
    "admin": "registry-admin",
}

#: The group of all service accounts of a project.
ALL_SERVICE_ACCOUNTS_OF = "system:serviceaccounts:"

#: Up to this many roles, users or groups are read one by one; a cluster's lists of them can be long.
_GET_AT_MOST = 3


@dataclasses.dataclass(frozen=True)
class State:
    bindings: Sequence[Object]
    projects: projects.Projects
    missing_roles: Sequence[str] = ()
    missing_subjects: Sequence[str] = ()
    unchecked: Sequence[str] = ()  # kinds of subjects that the caller may not read


class RegistryAccess:
    """The module ``registry_access``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._create_projects = bool(params["create_projects"])
        self._purge = bool(params["purge"])
        self._on_missing_roles = str(params["missing_roles"])
        self._on_missing_subjects = str(params["missing_subjects"])
        self.projects: set[str] = set()
        self.wanted: dict[Grant, int] = {}  # grant → index of the entry that says so, in the order of the list
        self.unwanted: dict[Grant, int] = {}
        for index, entry in enumerate(params["access"]):
            grants = parse(entry, f"access[{index}]", self._purge)
            self.projects.add(entry["project"])
            here, there = self.wanted, self.unwanted
            if (entry.get("state") or "present") == "absent":
                here, there = there, here
            for grant in grants:
                here.setdefault(grant, index)
                if grant in there:
                    raise InputError(
                        f"access[{there[grant]}] and access[{index}] contradict each other: role {grant.role.name} for"
                        f" {grant.subject} in project {grant.project} is both present and absent."
                    )

    def read(self, cluster: Cluster) -> State:
        """One LIST of role bindings, one of each kind of subject in use; roles one by one where they are few."""
        refused: dict[str, ApiError] = {}
        found = cluster.list_in(ROLE_BINDING, self.projects, refused=refused)
        known = {namespace_of(binding) for binding in found}
        written = {grant.project for grant in self.wanted}
        missing = projects.read(cluster, written - known, self._create_projects, refused)
        missing_roles: list[str] = []
        if self._on_missing_roles != "ignore":
            missing_roles = self._read_missing_roles(cluster, written - set(missing.missing))
        missing_subjects: list[str] = []
        unchecked: list[str] = []
        if self._on_missing_subjects != "ignore":
            missing_subjects, unchecked = self._read_missing_subjects(cluster, known)
        return State(found, missing, missing_roles, missing_subjects, unchecked)

    def _read_missing_roles(self, cluster: Cluster, there: set[str]) -> list[str]:
        names = {grant.role.name for grant in self.wanted if grant.role.kind == "ClusterRole"}
        found = _existing(cluster, CLUSTER_ROLE, names)
        missing = [] if found is None else [f"ClusterRole {name}" for name in sorted(names - found)]
        roles = {(grant.project, grant.role.name) for grant in self.wanted if grant.role.kind == "Role"}
        listed = cluster.list_in(ROLE, {project for project, _name in roles} & there, refused={})
        here = {(namespace_of(item), name_of(item)) for item in listed}
        return missing + [f"Role {project}/{name}" for project, name in sorted(roles - here)]

    def _read_missing_subjects(self, cluster: Cluster, known: set[str]) -> tuple[list[str], list[str]]:
        """Subjects that do not exist, and kinds of them that the caller may not read."""
        subjects = {grant.subject for grant in self.wanted}
        missing: list[Subject] = []
        unchecked: list[str] = []
        accounts = {subject for subject in subjects if subject.kind == "ServiceAccount"}
        refused: dict[str, ApiError] = {}
        found = cluster.list_in(SERVICE_ACCOUNT, {subject.namespace for subject in accounts}, refused=refused)
        there = {(namespace_of(item), name_of(item)) for item in found}
        missing += [s for s in accounts if (s.namespace, s.name) not in there and s.namespace not in refused]
        unchecked += [f"service accounts of {namespace}" for namespace in sorted(refused)]
        for kind, word in ((USER, "users"), (GROUP, "groups")):
            # names with a colon are the API server's own (system:anonymous, kube:admin) and are no objects
            real = {subject for subject in subjects if subject.kind == kind.kind and ":" not in subject.name}
            names = _existing(cluster, kind, {subject.name for subject in real})
            if names is None:
                unchecked.append(word)
            else:
                missing += [subject for subject in real if subject.name not in names]
        prefix = ALL_SERVICE_ACCOUNTS_OF
        groups = {s.name[len(prefix) :] for s in subjects if s.kind == "Group" and s.name.startswith(prefix)}
        others = groups - known - {namespace for namespace, _name in there}
        seen = projects.find(cluster, others) if others else {}
        gone = [f"project {name} (all its service accounts)" for name in sorted(others - seen.keys())]
        return [str(subject) for subject in sorted(missing)] + gone, unchecked

    def plan(self, state: State) -> Plan:
        """Stage 0: projects; 1: what is granted; 2: what is taken away."""
        changes, names = bindings.plan(state.bindings, self.wanted.keys(), self.unwanted.keys(), self._purge)
        plan = Plan([*state.projects.creation(), *changes], warnings=state.projects.warnings())
        for what, missing, reaction in (
            ("role", state.missing_roles, self._on_missing_roles),
            ("subject", state.missing_subjects, self._on_missing_subjects),
        ):
            if missing:
                text = f"These {what}s do not exist, so that a binding to them has no effect: {', '.join(missing)}."
                if reaction == "fail":
                    raise InputError(f"{text} Create them first, or set missing_{what}s to warn.")
                plan.warnings.append(text)
        plan.result["access"] = [_result(grant, names[grant]) for grant in self.wanted]
        plan.result["unchecked"] = list(state.unchecked)
        return plan

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Nothing to wait for: RBAC sees a new binding within milliseconds."""
        return {}


def parse(entry: Mapping[str, Any], where: str, purge: bool) -> list[Grant]:
    """An entry of the list, validated: what it grants or takes away."""
    project = entry["project"]
    check_project(project, f"{where}.project")
    subjects = [bindings.user(_check_text(name, f"{where}.users")) for name in entry.get("users") or ()]
    subjects += [Subject("Group", _check_text(name, f"{where}.groups")) for name in entry.get("groups") or ()]
    subjects += [_service_account(name, project, where) for name in entry.get("service_accounts") or ()]
    for name in entry.get("service_accounts_of") or ():
        check_project(name, f"{where}.service_accounts_of")
        subjects.append(Subject("Group", ALL_SERVICE_ACCOUNTS_OF + name))
    level, name = entry.get("level"), entry.get("role")
    if not subjects and not purge:
        raise InputError(f"{where}: nobody is named. Set users, groups, service_accounts or service_accounts_of.")
    if subjects and bool(level) == bool(name):
        raise InputError(f"{where}: set either level ({', '.join(LEVELS)}) or role, the name of a role.")
    kind = entry.get("role_kind") or "ClusterRole"
    if level and kind != "ClusterRole":
        raise InputError(f"{where}: role_kind is for role. The levels are cluster roles.")
    if not subjects:
        return []
    role = Role(LEVELS[level] if level else _check_role(str(name), f"{where}.role"), kind)
    return [Grant(project, role, subject) for subject in dict.fromkeys(subjects)]


def _service_account(text: str, project: str, where: str) -> Subject:
    namespace, slash, name = text.rpartition("/")
    where = f"{where}.service_accounts"
    if slash:
        check_project(namespace, where)
    check_object(name, where)
    return Subject("ServiceAccount", name, namespace or project)


def _check_text(name: str, where: str) -> str:
    if not name or name != name.strip():
        raise InputError(f"{where}: {name!r} cannot be a name: it is empty or has spaces around it.")
    return name


def _check_role(name: str, where: str) -> str:
    if name in (".", "..") or "/" in name or "%" in name:
        raise InputError(f"{where}: {name!r} cannot be the name of a role: it may not contain '/' or '%'.")
    return _check_text(name, where)


def _existing(cluster: Cluster, kind: Kind, names: Iterable[str]) -> set[str] | None:
    """Which of the names exist; None when the caller may not know, or the cluster has no such kind."""
    wanted = sorted(set(names))
    try:
        if len(wanted) > _GET_AT_MOST:
            return {name_of(item) for item in cluster.list_objects(kind)}
        found = cluster.map(lambda name: cluster.get(kind, name), wanted)
        return {name for name, item in zip(wanted, found, strict=True) if item is not None}
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def _result(grant: Grant, binding: str) -> Object:
    return {"project": grant.project, "role": grant.role.name, "subject": str(grant.subject), "binding": binding}
