# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a permission or a membership is for: a user, a robot of the organization, one of its teams, or who has an address."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import check_account, check_email

#: Who is stronger, comes later.
ROLES = ["read", "write", "admin"]


@dataclasses.dataclass(frozen=True, order=True)
class Delegate:
    """``kind`` is user, robot, team or email. Robots by the name that they have in their organization."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def account(self, organization: str) -> str:
        """The name that Quay's API knows it by."""
        return f"{organization}+{self.name}" if self.kind == "robot" else self.name

    def shown(self) -> dict[str, str]:
        return {self.kind: self.name}


def options(*kinds: str) -> dict[str, dict[str, Any]]:
    """The options that name a delegate."""
    return {kind: {"type": "str"} for kind in kinds}


def of(entry: Mapping[str, Any], what: str, *kinds: str) -> Delegate:
    """The one that an entry names. Raises InputError."""
    given = [kind for kind in kinds if entry[kind]]
    if len(given) != 1:
        choices = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
        raise InputError(f"{what}: give exactly one of {choices}" + (f", not {' and '.join(given)}." if given else "."))
    delegate = Delegate(given[0], entry[given[0]])
    (check_email if delegate.kind == "email" else check_account)(delegate.name, f"{what}.{delegate.kind}")
    return delegate


def from_account(name: str, organization: str) -> Delegate | None:
    """The delegate of an account's name as Quay's API has it; None for a robot of elsewhere."""
    namespace, plus, short = name.partition("+")
    if not plus:
        return Delegate("user", name)
    return Delegate("robot", short) if namespace == organization else None
