# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's configuration of credentials (``config.json``, podman's ``auth.json``, Secrets): reading and merging. No I/O.

The document is ``{"auths": {REGISTRY: {"auth": base64("USER:PASSWORD")}}, "credHelpers": …, "credsStore": …}``; whatever
else is in it stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import DOCKER_HUB, is_docker_hub

Config = dict[str, Any]

#: docker's key for the Docker Hub. podman's is ``docker.io``; each reads the other's.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"

#: Where an entry may hold a credential. An identity token would win over ``auth``, so none may stay behind.
_CREDENTIAL_FIELDS = ("auth", "username", "password", "identitytoken", "registrytoken")


@dataclasses.dataclass(frozen=True)
class Credential:
    username: str
    password: str = dataclasses.field(repr=False)


def parse(text: bytes | str, source: str) -> Config:
    """The document of a file or Secret (``source`` names it in the error). Empty text is an empty document."""
    if not text.strip():
        return {}
    try:
        config: Any = json.loads(text)
    except ValueError as error:
        # the error's own text has position and expectation, none of the content
        raise InputError(
            f"{source} is not JSON ({error}). Nothing was changed: repair it, or move it away and run again."
        ) from error
    auths = config.get("auths", {}) if isinstance(config, dict) else None
    if not (isinstance(auths, dict) and all(isinstance(entry, dict) for entry in auths.values())):
        raise InputError(
            f"{source} is JSON, but not a configuration of registry credentials (an object with 'auths')."
            " Nothing was changed: repair it, or move it away and run again."
        )
    return dict(config)


def dump(config: Config) -> bytes:
    """The document as docker and podman write it."""
    return (json.dumps(config, indent="\t") + "\n").encode()


def key(host: str, namespace: str = "", docker: bool = False) -> str:
    """The entry's key for a registry, or for a namespace of it (which only podman and its kin understand)."""
    if is_docker_hub(host):
        host = DOCKER_HUB_KEY if docker and not namespace else DOCKER_HUB
    return f"{host}/{namespace}" if namespace else host


def read(config: Config, entry_key: str) -> Credential | None:
    """The credential of exactly this key."""
    entry = config.get("auths", {}).get(entry_key)
    return _credential(entry) if entry is not None else None


def find(config: Config, host: str, repository: str = "") -> Credential | None:
    """The credential that a client would use for the repository: the longest matching key wins."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), 0, -1):
        credential = read(config, key(host, "/".join(parts[:length])))
        if credential:
            return credential
    auths = config.get("auths", {})
    for entry_key in sorted(auths, key=lambda name: name != host):
        if same_registry(entry_key, host):
            credential = _credential(auths[entry_key])
            if credential:
                return credential
    return None


def same_registry(entry_key: str, host: str) -> bool:
    """Whether the key names this whole registry, however it is written (``https://HOST/v1/`` in old files)."""
    name = entry_key.split("://")[-1].rstrip("/")
    for version in ("/v1", "/v2"):
        if name.endswith(version):
            name = name[: -len(version)]
    return name == host or (is_docker_hub(name) and is_docker_hub(host))


def with_credential(config: Config, entry_key: str, credential: Credential) -> Config:
    """The document with the entry set; what else the entry holds (an email address) stays."""
    result = copy.deepcopy(config)
    auths = result.setdefault("auths", {})
    kept = {name: value for name, value in auths.get(entry_key, {}).items() if name not in _CREDENTIAL_FIELDS}
    auths[entry_key] = {"auth": encode(credential), **kept}
    return result


def without(config: Config, host: str, namespace: str = "") -> Config:
    """The document without the registry's entry, in whatever way its key is written."""
    result = copy.deepcopy(config)
    for entry_key in list(result.get("auths", {})):
        if entry_key == key(host, namespace) or (not namespace and same_registry(entry_key, host)):
            del result["auths"][entry_key]
    return result


def helper(config: Config, host: str, docker: bool) -> str:
    """The credential helper that a client asks instead of reading the entry, or an empty string.

    podman and its kin know ``credHelpers`` alone, docker ``credsStore`` for all other registries too.
    """
    helpers: Mapping[str, str] = config.get("credHelpers") or {}
    for name, value in helpers.items():
        if same_registry(name, host):
            return value
    return str(config.get("credsStore") or "") if docker else ""


def encode(credential: Credential) -> str:
    return base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def _credential(entry: Mapping[str, Any]) -> Credential | None:
    """None where the entry is empty (a helper has it), cannot be read or holds only an identity token."""
    if entry.get("auth"):
        try:
            username, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            return None
        # old docker pads with zero bytes
        return Credential(username, password.rstrip("\0")) if colon else None
    if entry.get("username") and entry.get("password"):
        return Credential(entry["username"], entry["password"])
    return None
