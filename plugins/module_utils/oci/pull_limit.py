# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pulls a registry still allows (docs.docker.com/docker-hub/usage/pulls): ``ratelimit-*`` of a manifest's HEAD.

The headers are ``ratelimit-limit: 100;w=21600``, ``ratelimit-remaining: 76;w=21600`` and ``docker-ratelimit-source``, an
address or a user's ID. Without a limit (some subscriptions, other registries) there are none. A HEAD counts as no pull.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Registry


def pull_limit(registry: Registry, repository: str, tag: str) -> dict[str, Any]:
    """What the module returns of one login."""
    response = registry.head_manifest(repository, tag)
    if response.status == 404:
        raise RegistryError(
            f"{registry.host} has no {repository}:{tag} to ask about: set repository and tag to an image."
        )
    return read_headers(response.headers)


def read_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    limit, window = _number(headers.get("ratelimit-limit", ""))
    remaining, remaining_window = _number(headers.get("ratelimit-remaining", ""))
    return {
        "username": "",
        "limited": limit is not None,
        "limit": limit,
        "remaining": remaining,
        "window": window or remaining_window,
        "source": headers.get("docker-ratelimit-source", ""),
    }


def _number(header: str) -> tuple[int | None, int | None]:
    """``100;w=21600`` as its two numbers."""
    value, _semicolon, window = header.partition(";w=")
    return int(value) if value.isdigit() else None, int(window) if window.isdigit() else None
