# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and times as Quay takes them, so that a document is refused before the first write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

Item = Mapping[str, Any]

#: Quay: users, organizations, teams and robots (recorded in its refusals); repositories, which may have slashes.
_ACCOUNT = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_TIME = re.compile(r"(\d+)([smhdw]?)")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 255
#: PUT /repository/ORG/x/mirror is about the mirror of x, whether or not there is a repository x/mirror (recorded).
_TAKEN = ("/mirror", "/changestate")


def check_account(name: str, what: str) -> None:
    """Refuse what cannot be the name of a user, an organization, a team or a robot."""
    if not (_ACCOUNT.fullmatch(name) and 2 <= len(name) <= _LONGEST):
        raise InputError(
            f"{what}: Quay does not take the name {name!r}: 2 to 255 lower case letters and digits, with single '.', '_' or '-'"
            " between them."
            + (" Give the robot's name without the organization." if "+" in name and "robot" in what else "")
        )


def check_repository(name: str, what: str) -> None:
    """Refuse what cannot be the name of a repository."""
    if not _REPOSITORY.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"{what}: Quay does not take the name {name!r}: up to 255 lower case letters and digits, with '.', '_', '-' or '/' between"
            " them. Give it without the organization."
        )
    if taken(name):
        raise InputError(
            f"{what}: Quay's API cannot tell repository {name!r} from a part of repository {name.rpartition('/')[0]!r}."
        )


def taken(name: str) -> bool:
    """Whether Quay's API takes the name of a repository for a part of another one."""
    return name.endswith(_TAKEN)


def check_email(email: str, what: str) -> None:
    """Refuse what Quay does not take for an e-mail address."""
    if not _EMAIL.fullmatch(email):
        raise InputError(f"{what}: {email!r} is not an e-mail address.")


def check_unique(items: Iterable[Any], what: str, name: Callable[[Any], str] = str) -> None:
    """Refuse a list that says two things of the same."""
    seen: set[Any] = set()
    for item in items:
        if item in seen:
            raise InputError(f"{what}: {name(item)} is listed twice.")
        seen.add(item)


def seconds(text: str, what: str) -> int:
    """A time such as 2w, 14d, 12h or 3600 in seconds."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise InputError(f"{what}: {text!r} is not a time. Write for example 2w, 14d, 12h or 0s.")
    return int(found[1]) * _UNITS[found[2] or "s"]


def time_of(number: int) -> str:
    """The shortest text for so many seconds."""
    unit = next(unit for unit, size in _UNITS.items() if number % size == 0 and (number or unit == "s"))
    return f"{number // _UNITS[unit]}{unit}"


def present(items: Sequence[Item] | None) -> list[Item]:
    """The items of a list that shall be there."""
    return [item for item in items or [] if item["state"] == "present"]


def absent(items: Sequence[Item] | None) -> list[Item]:
    """The items of a list that shall not be there."""
    return [item for item in items or [] if item["state"] == "absent"]
