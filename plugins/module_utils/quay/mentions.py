# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a document speaks of, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.quayside.registry.plugins.module_utils.quay import default_permissions, repositories, teams
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, absent, present


def after(items: Sequence[Item] | None, there: Iterable[str], purge: bool, always: set[str]) -> set[str]:
    """The names that will be there."""
    names = {item["name"] for item in present(items)}
    kept = set() if items is not None and purge else set(there)
    return names | always | (kept - {item["name"] for item in absent(items)})


def mentions(item: Item) -> Iterable[tuple[Delegate, str]]:
    """Everybody who shall get something, and where the document says so."""
    what = f"organizations[{item['name']}]"
    for team in present(item["teams"]):
        for entry in present(team["members"]):
            yield teams.member(entry), f"{what}.teams[{team['name']}].members"
    for repository in present(item["repositories"]):
        for entry in present(repository["permissions"]):
            yield repositories.holder(entry), f"{what}.repositories[{repository['name']}].permissions"
        if repository["mirror"]:
            mirror = Delegate("robot", repository["mirror"]["robot"])
            yield mirror, f"{what}.repositories[{repository['name']}].mirror.robot"
    if item["mirror"] and item["mirror"]["state"] == "present":
        yield Delegate("robot", item["mirror"]["robot"]), f"{what}.mirror.robot"
    for entry in present(item["default_permissions"]):
        where = f"{what}.default_permissions"
        yield default_permissions.key(entry)[0], where
        creator = entry["created_by"] or ""
        if creator:
            namespace, plus, short = creator.partition("+")
            if not plus:
                yield Delegate("user", creator), f"{where}.created_by"
            elif namespace == item["name"]:
                yield Delegate("robot", short), f"{where}.created_by"


def mentioned(item: Item) -> set[Delegate]:
    """Everybody whom the document speaks of, whether present or absent."""
    found = {who for who, _where in mentions(item)}
    for repository in present(item["repositories"]):
        found |= set(map(repositories.holder, repository["permissions"] or []))
    return found | {default_permissions.key(entry)[0] for entry in item["default_permissions"] or []}
