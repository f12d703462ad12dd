# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Teams whose members are those of a group elsewhere: of LDAP, of OIDC, or of Keystone."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Team

#: Quay's API calls the group another name for each kind of authentication: LDAP, OIDC, Keystone.
_GROUPS = ("group_dn", "group_name", "group_id")
OPTION: dict[str, Any] = {
    "type": "dict",
    "options": {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        **{group: {"type": "str"} for group in _GROUPS},
    },
}


def _group(wanted: Item) -> dict[str, str]:
    return {group: wanted[group] for group in _GROUPS if wanted[group]}


def check(wanted: Item, what: str) -> None:
    """Refuse what cannot be meant."""
    if wanted["state"] == "present" and len(_group(wanted)) != 1:
        raise InputError(
            f"{what}: give exactly one of group_dn (Quay with LDAP), group_name (OIDC) or group_id (Keystone)."
        )


def begins(wanted: Item | None, there: Team | None) -> bool:
    """Whether a team that is not synced shall be."""
    return bool(wanted and wanted["state"] == "present" and not (there and there.synced))


def plan(wanted: Item, there: Team | None, organization: str, team: str) -> list[Change]:
    """The group as it shall be. Quay does not take another one for a team that is synced: that one goes first."""
    path = organization_path(organization, "team", team, "syncing")
    synced = bool(there and there.synced)
    group = dict((there.group if there else None) or {})
    before = {"team": team, **group} if synced else None
    stop = [Call("DELETE", path)] if synced else []
    if wanted["state"] == "absent":
        return [change("TeamSync", organization, team, before, None, calls.TEAM_AND_ROBOT, *stop)] if synced else []
    if synced and not group:
        raise RegistryError(
            f"Quay does not show which group team {team} of organization {organization} is synced with: it shows it to superusers only."
            " Connect as one of them, or leave sync out."
        )
    if group == _group(wanted):
        return []
    after = {"team": team, **_group(wanted)}
    stage = calls.REPOSITORY_AND_MEMBER
    return [change("TeamSync", organization, team, before, after, stage, *stop, Call("POST", path, _group(wanted)))]
