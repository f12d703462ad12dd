# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects that must be there before something can be written in them: found, or created where asked.

A project is looked for as its namespace, since whoever may do anything in a project may get its namespace, and the list of
one's own projects lags a second behind (OpenShift: the project authorization cache).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    NAMESPACE,
    PROJECT_REQUEST,
    Kind,
    Object,
    changes,
    name_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change

#: Up to this many namespaces are read one by one; a cluster's list of them can be long.
_GET_AT_MOST = 8


@dataclasses.dataclass(frozen=True)
class Projects:
    """Which of the projects asked for do not exist, and as what kind of object the caller may create them.

    ``hidden`` are those where nothing is to be written, and of which the caller learns nothing.
    """

    missing: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    creator: Kind = NAMESPACE

    def creation(self) -> list[Change]:
        """The missing projects as changes of stage 0: whatever is written in them comes in a later stage."""
        return [change for name in self.missing for change in changes(self.creator, None, self._new(name))]

    def warnings(self) -> list[str]:
        return [
            f"Project {name} does not exist, or you may not see it: nothing is removed there." for name in self.hidden
        ]

    def _new(self, name: str) -> Object:
        if self.creator == PROJECT_REQUEST:  # carries no labels over to the project
            metadata = {"name": name}
            return {"apiVersion": PROJECT_REQUEST.api_version, "kind": PROJECT_REQUEST.kind, "metadata": metadata}
        return new(self.creator, name)


def read(cluster: Cluster, names: Iterable[str], create: bool, refused: Mapping[str, ApiError]) -> Projects:
    """Look for the projects ``names``, which something is to be written in.

    ``refused`` holds the namespaces that a LIST was refused in (``Cluster.list_in``): for one that exists, that is the
    error. Without ``create`` a missing project is one. Without anything to look for no request is made.
    """
    wanted = sorted(set(names))
    found = find(cluster, {*wanted, *refused})
    for name, item in sorted(found.items()):
        if name in refused:
            raise refused[name]
        if item["metadata"].get("deletionTimestamp"):
            raise RegistryError(f"Project {name} is being deleted. Run again when it is gone.")
    hidden = tuple(sorted(set(refused) - set(wanted)))
    missing = tuple(name for name in wanted if name not in found)
    if not missing:
        return Projects(hidden=hidden)
    if not create:
        one = len(missing) == 1
        raise RegistryError(
            f"Project{'' if one else 's'} {', '.join(missing)} {'does' if one else 'do'} not exist, or you may not see"
            f" {'it' if one else 'them'}. Set create_projects to true to create {'it' if one else 'them'}."
        )
    return Projects(missing, hidden, _creator(cluster))


def find(cluster: Cluster, names: Iterable[str]) -> dict[str, Object]:
    """Name → Namespace of those that exist and that the caller may see."""
    wanted = set(names)
    if len(wanted) > _GET_AT_MOST:
        try:
            return {name_of(item): item for item in cluster.list_objects(NAMESPACE) if name_of(item) in wanted}
        except ApiError as error:
            if error.status != 403:
                raise

    def look(name: str) -> Object | None:
        try:
            return cluster.get(NAMESPACE, name)
        except ApiError as error:
            if error.status == 403:  # what an ordinary user is told of a missing project, too
                return None
            raise

    return {name_of(item): item for item in cluster.map(look, sorted(wanted)) if item is not None}


def _creator(cluster: Cluster) -> Kind:
    if cluster.allowed("create", NAMESPACE):
        return NAMESPACE
    # OpenShift answers whether the caller may request projects; `oc new-project` asks the same
    cluster.request("GET", PROJECT_REQUEST.path(), about="create a project")
    return PROJECT_REQUEST
