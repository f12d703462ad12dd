# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server takes as a name, checked before anything is written."""

from __future__ import annotations

import re

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")


def check_project(name: str, where: str) -> None:
    """Refuse what cannot be a project's name (RFC 1123 label). ``where`` is the option, for the message."""
    if len(name) > 63 or not _LABEL.fullmatch(name):
        raise InputError(
            f"{where}: {name!r} cannot be the name of a project: at most 63 lower case letters, digits and '-',"
            " beginning and ending with a letter or digit."
        )


def check_object(name: str, where: str) -> None:
    """Refuse what cannot be the name of a service account or Secret (RFC 1123 subdomain)."""
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        raise InputError(
            f"{where}: {name!r} cannot be such a name: at most 253 lower case letters, digits, '-' and '.', beginning and"
            " ending with a letter or digit."
        )
