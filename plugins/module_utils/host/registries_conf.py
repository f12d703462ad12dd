# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries without verified TLS: podman's drop-in for registries.conf, docker's daemon.json. No I/O."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

_KEY = "insecure-registries"


def drop_in(host: str) -> bytes:
    """The file that makes one registry insecure for podman, buildah, skopeo and CRI-O (registries.conf, version 2)."""
    # TOML needs no escapes: a host has neither quotes nor backslashes
    return (
        "# Written by quayside.registry.certs_d: change it there.\n"
        f'[[registry]]\nlocation = "{host}"\ninsecure = true\n'
    ).encode()


def insecure(daemon_json: bytes | None, path: str) -> list[str]:
    """docker's insecure registries. Raises InputError where the file is not what docker reads."""
    registries = _parse(daemon_json, path).get(_KEY) or []
    if not isinstance(registries, list):
        raise InputError(f"{path}: {_KEY} is not a list. Nothing was changed: repair it and run again.")
    return [str(registry) for registry in registries]


def with_insecure(daemon_json: bytes | None, path: str, add: Collection[str], remove: Collection[str]) -> bytes | None:
    """docker's configuration with these registries added and removed; as it was when that changes nothing."""
    before = insecure(daemon_json, path)
    after = [host for host in before if host not in remove] + [host for host in add if host not in before]
    if after == before:
        return daemon_json
    config = _parse(daemon_json, path)
    config[_KEY] = after
    if not after:
        del config[_KEY]
    return (json.dumps(config, indent=2) + "\n").encode()


def _parse(daemon_json: bytes | None, path: str) -> dict[str, Any]:
    if daemon_json is None or not daemon_json.strip():
        return {}
    try:
        config = json.loads(daemon_json)
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}). Nothing was changed: repair it and run again.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is JSON, but not an object. Nothing was changed: repair it and run again.")
    return config
