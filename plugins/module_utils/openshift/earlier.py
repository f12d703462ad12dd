# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks before a module have created, or in check mode only would have: its option ``earlier_changes``.

So check mode can tell what a run will do to things that do not exist yet. A run itself finds them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    NAMESPACE,
    PROJECT_REQUEST,
    SERVICE_ACCOUNT,
    Kind,
)

#: The option as the modules have it.
EARLIER_CHANGES = {"type": "list", "elements": "dict", "default": []}


class Earlier:
    """From the ``changes`` that modules of this collection return."""

    def __init__(self, changes: Iterable[Mapping[str, Any]]) -> None:
        self._made = frozenset(
            (change["kind"], change.get("namespace") or "", change["name"])
            for change in changes
            if change.get("action") == "create"
        )

    def includes(self, kind: Kind, namespace: str = "", name: str = "") -> bool:
        """Whether it was created; without a name, any of the kind."""
        return any(
            made == kind.kind and (not name or (where, called) == (namespace, name))
            for made, where, called in self._made
        )

    @property
    def projects(self) -> frozenset[str]:
        """Names."""
        kinds = (NAMESPACE.kind, PROJECT_REQUEST.kind)
        return frozenset(name for kind, _where, name in self._made if kind in kinds)

    @property
    def service_accounts(self) -> frozenset[tuple[str, str]]:
        """(namespace, name)"""
        return frozenset((where, name) for kind, where, name in self._made if kind == SERVICE_ACCOUNT.kind)
