# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that mirrors one of another registry. Quay has no way to take a mirror away: it is disabled instead."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN_NEW, Change
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_account, seconds, time_of

_KIND = "RepositoryMirror"
_START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
#: Quay: the least that a copy may take, in seconds.
_SHORTEST = 300


class Mirror:
    """What is mirrored, and when."""

    name = "mirror"
    option: dict[str, Any] = {
        "type": "dict",
        "options": {
            "source": {"type": "str", "required": True},
            "robot": {"type": "str", "required": True},
            "tags": {"type": "list", "elements": "str", "required": True},
            "start": {"type": "str", "required": True},
            "interval": {"type": "str", "default": "1d"},
            "timeout": {"type": "str", "default": "5m"},
            "enabled": {"type": "bool", "default": True},
            "verify_tls": {"type": "bool", "default": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            **{proxy: {"type": "str"} for proxy in _PROXIES},
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/mirror"

    def check(self, wanted: Item, what: str) -> None:
        """Refuse what cannot be meant."""
        check_account(wanted["robot"], f"{what}.robot")
        if not _START.fullmatch(wanted["start"]):
            raise InputError(f"{what}.start: {wanted['start']!r} is not a time such as 2030-01-02T03:04:05Z.")
        if not wanted["tags"] or not all(wanted["tags"]):
            raise InputError(f"{what}.tags: give at least one pattern, such as latest or v*.")
        if not wanted["source"].strip():
            raise InputError(f"{what}: source is empty.")
        if wanted["password"] and not wanted["username"]:
            raise InputError(f"{what}: give username with password.")
        seconds(wanted["interval"], f"{what}.interval")
        if seconds(wanted["timeout"], f"{what}.timeout") < _SHORTEST:
            raise InputError(f"{what}.timeout must be at least {time_of(_SHORTEST)}.")

    def plan(self, wanted: Item, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The mirror as it shall be. The password, which Quay does not tell, goes with every change."""
        after = {
            **{key: wanted[key] for key in ("source", "robot", "tags", "start", "enabled", "verify_tls")},
            **{key: time_of(seconds(wanted[key], key)) for key in ("interval", "timeout")},
            **{key: wanted[key] for key in ("username", *_PROXIES) if wanted[key]},
        }
        before = self.exported(answer)
        if before == after:
            return []
        body: dict[str, Any] = {
            "external_reference": wanted["source"],
            "robot_username": f"{organization}+{wanted['robot']}",
            "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": wanted["tags"]},
            "sync_start_date": wanted["start"],
            "sync_interval": seconds(wanted["interval"], "interval"),
            "skopeo_timeout_interval": seconds(wanted["timeout"], "timeout"),
            "is_enabled": wanted["enabled"],
            "external_registry_username": wanted["username"] or None,
            "external_registry_config": {
                "verify_tls": wanted["verify_tls"],
                "proxy": {proxy: wanted[proxy] or None for proxy in _PROXIES},
            },
        }
        if wanted["password"] or not wanted["username"]:
            body["external_registry_password"] = wanted["password"]
        shown = {**after, **({"password": HIDDEN_NEW} if wanted["password"] else {})}
        call = Call("PUT" if before else "POST", self.path(base), body)
        return [change(_KIND, organization, title, before, shown, stage, call)]

    def exported(self, answer: Any) -> dict[str, Any] | None:
        """As the document has it, without the password."""
        if not answer:
            return None
        config = answer.get("external_registry_config") or {}
        proxies = {key: text for key, text in (config.get("proxy") or {}).items() if text and key in _PROXIES}
        user = answer.get("external_registry_username")
        return {
            "source": answer["external_reference"],
            "robot": answer["robot_username"].partition("+")[2],
            "tags": answer["root_rule"]["rule_value"],
            "start": answer["sync_start_date"],
            "enabled": answer["is_enabled"],
            "verify_tls": config.get("verify_tls", True),
            "interval": time_of(answer["sync_interval"]),
            "timeout": time_of(answer["skopeo_timeout_interval"]),
            **({"username": user} if user else {}),
            **proxies,
        }
