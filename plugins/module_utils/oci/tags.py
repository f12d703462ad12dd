# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tags of a repository are meant: by pattern, and the newest by version. Pure."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

#: semver.org's grammar, with an optional ``v`` before it and minor and patch optional, as tags are written.
_VERSION = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)


@dataclasses.dataclass(frozen=True)
class Filter:
    """Tags that match the glob and the regular expression, where given; of those the ``newest`` versions, where given."""

    glob: str = ""
    regex: str = ""
    newest: int = 0

    @classmethod
    def parse(cls, options: Mapping[str, Any], what: str) -> Filter:
        """Raises InputError where it cannot be meant, or chooses nothing."""
        glob, regex, newest = options["glob"] or "", options["regex"] or "", options["newest"]
        if not glob and not regex and newest is None:
            raise InputError(f"{what}: give glob, regex or newest. All tags are meant by glob: '*'.")
        if newest is not None and newest < 1:
            raise InputError(f"{what}: newest is a number of versions, 1 or more.")
        try:
            re.compile(regex)
        except re.error as error:
            raise InputError(f"{what}: regex {regex!r} is not a regular expression: {error}.") from error
        return cls(glob, regex, newest or 0)

    def choose(self, tags: Sequence[str]) -> list[str]:
        """The chosen tags: the newest version first where versions are asked for, otherwise in the order of their names."""
        chosen = [
            tag
            for tag in tags
            if (not self.glob or fnmatch.fnmatchcase(tag, self.glob))
            and (not self.regex or re.fullmatch(self.regex, tag))
        ]
        if not self.newest:
            return sorted(chosen)
        versions = [(key, tag) for key, tag in ((version(tag), tag) for tag in chosen) if key is not None]
        return [tag for _key, tag in sorted(versions, reverse=True)[: self.newest]]

    def __str__(self) -> str:
        parts = [f"glob {self.glob!r}" if self.glob else "", f"regex {self.regex!r}" if self.regex else ""]
        return " and ".join(filter(None, [*parts, "a version" if self.newest else ""]))


def version(tag: str) -> tuple[Any, ...] | None:
    """What to compare a version by, as semver.org says (a pre-release is older than its release); None if it is none."""
    match = _VERSION.fullmatch(tag)
    if not match:
        return None
    numbers = tuple(int(part or 0) for part in match.groups()[:3])
    if match[4] is None:
        return (*numbers, (1,))
    parts = match[4].split(".")
    return (*numbers, (0, *((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)))
