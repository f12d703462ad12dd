# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An organization that is a cache of another registry."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, seconds, time_of

_KIND = "ProxyCache"
#: Quay: how long a tag is taken for current, unless told otherwise.
_LIFE = 86400


class ProxyCache:
    """Quay can only make and delete it, and never tells the user name: both are given when it is made."""

    name = "proxy_cache"
    option: dict[str, Any] = {
        "type": "dict",
        "options": {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "upstream": {"type": "str"},
            "insecure": {"type": "bool", "default": False},
            "expires_in": {"type": "str", "default": "1d"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/proxycache"

    def check(self, wanted: Item, what: str) -> None:
        """Refuse what cannot be meant."""
        if wanted["state"] == "present" and not wanted["upstream"]:
            raise InputError(f"{what}: give upstream.")
        if bool(wanted["username"]) != bool(wanted["password"]):
            raise InputError(f"{what}: give username and password, or neither.")
        if not seconds(wanted["expires_in"], f"{what}.expires_in"):
            raise InputError(f"{what}.expires_in must be more than 0.")

    def plan(self, wanted: Item, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The cache as it shall be."""
        before, path = self.exported(answer), self.path(base)
        gone = [Call("DELETE", path)] if before else []
        if wanted["state"] == "absent":
            return [change(_KIND, organization, title, before, None, calls.TAKE_AWAY, *gone)] if before else []
        life = seconds(wanted["expires_in"], "expires_in")
        after = {"upstream": wanted["upstream"], "insecure": wanted["insecure"], "expires_in": time_of(life)}
        if before == after:
            return []
        body = {"upstream_registry": wanted["upstream"], "insecure": wanted["insecure"], "expiration_s": life}
        if wanted["username"]:
            body.update(upstream_registry_username=wanted["username"], upstream_registry_password=wanted["password"])
        return [change(_KIND, organization, title, before, after, stage, *gone, Call("POST", path, body))]

    def exported(self, answer: Any) -> dict[str, Any] | None:
        """As the document has it, without the credentials."""
        if not (answer or {}).get("upstream_registry"):
            return None
        life = time_of(answer["expiration_s"] or _LIFE)
        return {"upstream": answer["upstream_registry"], "insecure": bool(answer["insecure"]), "expires_in": life}
