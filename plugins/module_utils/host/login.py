# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login that a client on this host would use for a registry."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.host.auth_file import default_path
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential


def find_login(
    options: Sequence[Mapping[str, Any]], files: Files, host: str, repository: str, required: bool = True
) -> Credential | None:
    """The credential that the first of ``options`` gives (``username`` and ``password``, or ``auth_file``).

    If none gives one, that of the files that podman looks at; None when there is none at all. Raises InputError for a
    credential that is asked for and is not there; unless it is ``required``, an auth_file may have none for this registry.
    """
    for given in options:
        username, password, path = given["username"], given["password"], given["auth_file"]
        if bool(username) != bool(password):
            raise InputError("username and password belong together: give both or none.")
        if username and path:
            raise InputError("username and auth_file exclude each other: leave one away.")
        if username:
            return Credential(username, password)
        if path:
            return _from_file(path, files, host, repository, required)
    for path in _podman_files():
        content = files.read(path)
        credential = auth.find(auth.parse(content, path), host, repository) if content else None
        if credential:
            return credential
    return None


def _from_file(path: str, files: Files, host: str, repository: str, required: bool) -> Credential | None:
    content = files.read(path)
    if content is None:
        raise InputError(
            f"auth_file: there is no file {path} on this host. Log in with quayside.registry.registry_auth."
        )
    config = auth.parse(content, path)
    credential = auth.find(config, host, repository)
    if credential:
        return credential
    helper = auth.helper(config, host, docker=True)
    if helper:
        raise InputError(
            f"auth_file: {path} leaves {host} to the credential helper {helper}, which is not asked: give username and password."
        )
    if not required:
        return None
    raise InputError(f"auth_file: {path} has no credential for {host}. Log in with quayside.registry.registry_auth.")


def _podman_files() -> list[str]:
    return [
        default_path(False, os.environ, os.geteuid()),
        *(str(Path(path).expanduser()) for path in ("~/.config/containers/auth.json", "~/.docker/config.json")),
    ]
