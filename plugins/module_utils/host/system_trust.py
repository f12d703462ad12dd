# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system's own trust: which family of tools a host has, told by its files and commands and not by facts."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import ssl
from collections.abc import Callable
from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class SystemTrust:
    """Where anchors are put, the command that makes them count, and the bundle that it writes."""

    anchors: str
    command: str
    bundle: str


RED_HAT = SystemTrust(
    "/etc/pki/ca-trust/source/anchors", "update-ca-trust", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
)
DEBIAN = SystemTrust("/usr/local/share/ca-certificates", "update-ca-certificates", "/etc/ssl/certs/ca-certificates.crt")


def detect(find_command: Callable[[str], str | None]) -> SystemTrust | None:
    """The family of this host; None for one that is neither Red Hat's nor Debian's."""
    if find_command(RED_HAT.command) and Path(RED_HAT.anchors).is_dir():
        return RED_HAT
    return DEBIAN if find_command(DEBIAN.command) else None


def trusted(bundle: bytes | None) -> set[str]:
    """The certificates of the bundle, as SHA-256 fingerprints in hex."""
    text = (bundle or b"").decode("ascii", "replace")
    return {hashlib.sha256(ssl.PEM_cert_to_DER_cert(match[0])).hexdigest() for match in _BLOCK.finditer(text)}
