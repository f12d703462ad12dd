# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of registries as nodes know them: ``HOST[:PORT][/NAMESPACE…]`` or ``*.HOST`` (containers-registries.conf). No I/O."""

from __future__ import annotations

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci import reference


def check_source(text: str, where: str) -> str:
    """A registry or a part of one, or with ``*.`` all registries below a domain. ``where`` is the option, for the message."""
    wildcard, _star, domain = text.rpartition("*.")
    if "*" in text:
        if not text.startswith("*.") or wildcard or "*" in domain or "/" in domain or ":" in domain:
            raise InputError(
                f"{where}: {text!r} is not a wildcard that nodes understand: write '*.example.com', without port and path."
            )
        reference.registry_host(domain, where)
        return text
    return check_place(text, where)


def check_place(text: str, where: str) -> str:
    """A registry or a part of one."""
    if "*" in text:
        raise InputError(f"{where}: {text!r} has a wildcard, which cannot stand here. Name the registry.")
    if text.startswith("["):
        raise InputError(f"{where}: {text!r} is an IPv6 address, which the API does not take. Give the host a name.")
    reference.registry_scope(text, where)
    return text


def covers(source: str, host: str) -> bool:
    """Whether the source names the whole registry at this host (``HOST[:PORT]``)."""
    return source == host or (source.startswith("*.") and host.partition(":")[0].endswith(source[1:]))
