# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused once Quay has been read, and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay import applications, calls, teams, users
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError
from ansible_collections.quayside.registry.plugins.module_utils.quay.mentions import mentions
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, absent, present
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization

DISCOVERY = "/api/v1/discovery"

Found = Mapping[str, Organization]


def check_users(
    quay: Quay, wanted: Sequence[Item], accounts: Sequence[Item] | None, found: Found, answers: dict[str, Any]
) -> None:
    """Refuse users that Quay does not have, before anything is written."""
    unknown: dict[str, str] = {}
    for item in present(wanted):
        have = found[item["name"]]
        known = {*have.people, quay.user}
        known |= {who.name for team in have.teams.values() for who in team.invited}
        known |= {default.delegate.name for default in have.defaults if default.delegate.kind == "user"}
        known |= {default.created_by for default in have.defaults}
        for who, where in mentions(item):
            if who.kind == "user" and who.name not in known:
                unknown.setdefault(who.name, where)
    made = {item["name"] for item in present(accounts)}
    gone = {item["name"] for item in absent(accounts)}
    if not unknown.keys() - made:
        return
    try:
        calls.read(quay, [users.PATH], answers)
    except MissingApi:
        return
    except QuayError as error:
        if error.status == 403:  # no superuser: Quay itself will say
            return
        raise
    there = {item["username"] for item in answers[users.PATH]["users"]} - gone | made
    for name in sorted(unknown.keys() - there):
        raise InputError(f"{unknown[name]}: Quay has no user {name}. Add it to users, or correct the name.")


def check_addresses(quay: Quay, wanted: Sequence[Item], found: Found, answers: dict[str, Any]) -> None:
    """See who has accepted an invitation: he is in the team by his name. Only a superuser sees whose an address is."""
    asked: dict[str, str] = {}
    for item in present(wanted):
        asked.update(teams.unanswered(item["teams"], found[item["name"]]))
    if not asked:
        return
    try:
        calls.read(quay, [users.PATH], answers)
    except QuayError as error:
        if error.status != 403 and not isinstance(error, MissingApi):
            raise
        address, where = next(iter(asked.items()))
        raise InputError(
            f"{where}: only a superuser sees whether {address} has accepted an invitation. Connect as one, or give the user's name"
            " instead of the address."
        ) from error
    names = {item["email"]: item["username"] for item in answers[users.PATH]["users"] if item["email"] in asked}
    for have in found.values():
        teams.accept(have, names)


def check_features(quay: Quay, wanted: Sequence[Item], found: Found) -> None:
    """Refuse what Quay lacks and no answer has shown yet, before anything is written."""
    asked: dict[str, tuple[str, str]] = {}
    for item in present(wanted):
        asked.update(teams.features(item["teams"], found[item["name"]]))
        asked.update(applications.features(item["applications"], found[item["name"]]))
    if not asked:
        return
    offered = quay.request("GET", DISCOVERY, about="see which features Quay has")["paths"]
    for path, (where, feature) in asked.items():
        if path not in offered:
            raise InputError(f"{where}: this Quay lacks it. {feature}, or take what needs it out of the document.")
