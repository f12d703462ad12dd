# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror of a repository and that of an organization have in common: when it is done, and how the other side is reached."""

from __future__ import annotations

import re
import time
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN_NEW
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_account, seconds, time_of

_START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def options(required: bool) -> dict[str, Any]:
    """The options; ``required``: those that a mirror needs are needed always."""
    return {
        "robot": {"type": "str", "required": required},
        "start": {"type": "str", "required": required},
        "interval": {"type": "str", "default": "1d"},
        "timeout": {"type": "str", "default": "5m"},
        "enabled": {"type": "bool", "default": True},
        "verify_tls": {"type": "bool", "default": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        **{proxy: {"type": "str"} for proxy in _PROXIES},
    }


def check(wanted: Item, what: str, interval: int, shortest: int, longest: int) -> None:
    """Refuse what cannot be meant: an ``interval`` that is shorter, a timeout that is ``shortest`` or ``longest``."""
    check_account(wanted["robot"], f"{what}.robot")
    if not _START.fullmatch(wanted["start"]) or _epoch(wanted["start"]) is None:
        raise InputError(f"{what}.start: {wanted['start']!r} is not a time such as 2030-01-02T03:04:05Z.")
    if wanted["password"] and not wanted["username"]:
        raise InputError(f"{what}: give username with password.")
    if seconds(wanted["interval"], f"{what}.interval") < interval:
        raise InputError(f"{what}.interval must be at least {time_of(interval)}.")
    timeout = seconds(wanted["timeout"], f"{what}.timeout")
    if timeout < shortest:
        raise InputError(f"{what}.timeout must be at least {time_of(shortest)}.")
    if timeout > longest:
        raise InputError(f"{what}.timeout must be at most {time_of(longest)}.")


def wanted_document(wanted: Item) -> dict[str, Any]:
    """As an export has it."""
    return {
        **{key: wanted[key] for key in ("robot", "start", "enabled", "verify_tls")},
        **{key: time_of(seconds(wanted[key], key)) for key in ("interval", "timeout")},
        **{key: wanted[key] for key in ("username", *_PROXIES) if wanted[key]},
    }


def document(answer: Item, timeout: str) -> dict[str, Any]:
    """As the document has what Quay answers, without the password. ``timeout``: what Quay calls that."""
    config = answer.get("external_registry_config") or {}
    proxies = {key: text for key, text in (config.get("proxy") or {}).items() if text and key in _PROXIES}
    user = answer.get("external_registry_username")
    return {
        "robot": (answer["robot_username"] or "").partition("+")[2],
        "start": re.sub(r"\.\d+", "", answer["sync_start_date"]),
        "enabled": answer["is_enabled"],
        "verify_tls": config.get("verify_tls", True),
        "interval": time_of(answer["sync_interval"]),
        "timeout": time_of(answer[timeout]),
        **({"username": user} if user else {}),
        **proxies,
    }


def same(before: Item | None, after: Item) -> bool:
    """Whether a mirror is as wanted. Quay moves the start of one that has begun to when it is done next."""
    if before is None:
        return False
    begun = (_epoch(after["start"]) or 0) <= min(time.time(), _epoch(before["start"]) or 0)
    return {**before, "start": after["start"] if begun else before["start"]} == after


def _epoch(moment: str) -> int | None:
    try:
        return credentials.epoch(moment)
    except ValueError:
        return None


def body(wanted: Item, organization: str, timeout: str) -> dict[str, Any]:
    """What Quay is told. Without a user name those that it has go; a password that is not given stays."""
    told: dict[str, Any] = {
        "robot_username": f"{organization}+{wanted['robot']}",
        "sync_start_date": wanted["start"],
        "sync_interval": seconds(wanted["interval"], "interval"),
        timeout: seconds(wanted["timeout"], "timeout"),
        "is_enabled": wanted["enabled"],
        "external_registry_username": wanted["username"] or None,
        "external_registry_config": {
            "verify_tls": wanted["verify_tls"],
            "proxy": {proxy: wanted[proxy] or None for proxy in _PROXIES},
        },
    }
    if wanted["password"] or not wanted["username"]:
        told["external_registry_password"] = wanted["password"]
    return told


def shown(wanted: Item, after: Item) -> dict[str, Any]:
    """As a diff shows what will be there."""
    return {**after, **({"password": HIDDEN_NEW} if wanted["password"] else {})}
