# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host names as a client writes them: HOST or HOST:PORT. Standard library only."""

from __future__ import annotations

import re

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def split_host(text: str, what: str) -> tuple[str, int | None]:
    """Host (lower case) and port of ``HOST[:PORT]``. ``what`` names the option in the error."""
    given = text.strip()
    if "://" in given:
        raise InputError(f"{what}: {text!r} is a URL; give the host name alone, such as {_bare(given)!r}.")
    if "/" in given:
        raise InputError(f"{what}: {text!r} has a path; give the host name alone, such as {_bare(given)!r}.")
    host, colon, port = given.lower().partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f"{what}: {text!r} is not HOST or HOST:PORT: the port must be a number from 1 to 65535.")
    fault = host_fault(host)
    if fault:
        raise InputError(f"{what}: {text!r} is not a host name: {fault}.")
    return host, int(port) if colon else None


def host_fault(host: str) -> str:
    """Why this is no DNS host name as Kubernetes takes them (lower case); empty when it is one."""
    if not host:
        return "it is empty"
    if len(host) > 253:
        return "it is longer than 253 characters"
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            return f"{label!r} is not a label of 1 to 63 lower-case letters, digits and inner hyphens"
    return ""


def _bare(text: str) -> str:
    return text.partition("://")[2].partition("/")[0] if "://" in text else text.partition("/")[0]
