# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, as a superuser makes them; not those that another system signs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN_NEW, Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, segment
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    check_account,
    check_email,
    check_unique,
)

PATH = "/api/v1/superuser/users/"
SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "email": {"type": "str"},
    "enabled": {"type": "bool"},
    "password": {"type": "str", "no_log": True},
    "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
}


def check(items: list[Item], what: str = "users") -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"user {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        check_account(item["name"], here)
        if item["email"]:
            check_email(item["email"], f"{here}.email")
        password = item["password"]
        if password is not None and (len(password) < 8 or re.search(r"\s", password)):
            raise InputError(f"{here}.password is too weak for Quay: at least 8 characters, and no blanks.")
        if item["update_password"] == "always" and password is None:
            raise InputError(f"{here}: update_password is always, and there is no password.")


def plan(items: list[Item], there: Mapping[str, Item]) -> list[Change]:
    """The users as they shall be; ``there`` as Quay lists them. A superuser can be neither changed nor deleted."""
    steps: list[Change] = []
    for item in items:
        found = there.get(item["name"])
        before = _shown(found) if found else None
        path = PATH + segment(item["name"])
        if item["state"] == "absent":
            if found:
                _refuse_superuser(found)
                gone = Call("DELETE", path)
                steps.append(change("User", "", item["name"], before, None, calls.DELETE_ORGANIZATION, gone))
            continue
        wanted = {"email": item["email"] or None, "enabled": item["enabled"]}
        different = calls.differences(before or {"email": "", "enabled": True}, wanted)
        after: dict[str, Any] = {**(before or {"name": item["name"], "email": "", "enabled": True}), **different}
        body = dict(different)
        if item["password"] is not None and (found is None or item["update_password"] == "always"):
            body["password"] = item["password"]
            after["password"] = HIDDEN_NEW
        steps_: list[Call] = []
        if found is None:
            new = {"username": item["name"], **({"email": body.pop("email")} if "email" in body else {})}
            steps_.append(Call("POST", PATH, new))
        if body:
            if found:
                _refuse_superuser(found)
            steps_.append(Call("PUT", path, body))
        if steps_:
            steps.append(change("User", "", item["name"], before, after, calls.USER, *steps_))
    return steps


def _refuse_superuser(found: Item) -> None:
    if found.get("super_user"):
        raise InputError(
            f"users[{found['username']}]: Quay lets nobody change or delete a superuser. Take the user out of SUPER_USERS in its"
            " config.yaml first, or out of the document."
        )


def _shown(user: Item) -> dict[str, Any]:
    email = user["email"] or ""
    return {"name": user["username"], "email": email if "@" in email else "", "enabled": user["enabled"]}


def exported(there: Mapping[str, Item]) -> list[dict[str, Any]]:
    """As the document has them, without passwords."""
    shown = (_shown(user) for _name, user in sorted(there.items()))
    return [{key: value for key, value in user.items() if value != ""} for user in shown]
