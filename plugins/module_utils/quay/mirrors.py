# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that mirrors one of another registry. Quay has no way to take a mirror away: it is disabled instead.

DELETE of its path is never sent: Quay takes it for that of a repository whose name ends with /mirror.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import mirroring
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item

_KIND = "RepositoryMirror"
#: Quay: what a copy may take, in seconds. It has no upper limit.
_TIMEOUT = (300, 10**9)
_CALLED = "skopeo_timeout_interval"


class Mirror:
    """What is mirrored, and when."""

    name = "mirror"
    option: dict[str, Any] = {
        "type": "dict",
        "options": {
            "source": {"type": "str", "required": True},
            "tags": {"type": "list", "elements": "str", "required": True},
            "unsigned_images": {"type": "bool", "default": False},
            **mirroring.options(required=True),
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/mirror"

    def check(self, wanted: Item, what: str) -> None:
        """Refuse what cannot be meant."""
        if not wanted["tags"] or not all(wanted["tags"]):
            raise InputError(f"{what}.tags: give at least one pattern, such as latest or v*.")
        if not wanted["source"].strip():
            raise InputError(f"{what}: source is empty.")
        mirroring.check(wanted, what, 0, *_TIMEOUT)

    def plan(self, wanted: Item, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The mirror as it shall be. The password, which Quay does not tell, goes with every change."""
        own = {key: wanted[key] for key in ("source", "tags", "unsigned_images")}
        after = {**own, **mirroring.wanted_document(wanted)}
        before = self.exported(answer)
        if mirroring.same(before, after):
            return []
        body = {
            "external_reference": wanted["source"],
            "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": wanted["tags"]},
            **mirroring.body(wanted, organization, _CALLED),
        }
        body["external_registry_config"]["unsigned_images"] = wanted["unsigned_images"]
        call = Call("PUT" if before else "POST", self.path(base), body)
        return [change(_KIND, organization, title, before, mirroring.shown(wanted, after), stage, call)]

    def exported(self, answer: Any) -> dict[str, Any] | None:
        """As the document has it, without the password."""
        if not answer:
            return None
        config = answer.get("external_registry_config") or {}
        what = {
            "source": answer["external_reference"],
            "tags": answer["root_rule"]["rule_value"],
            "unsigned_images": config.get("unsigned_images", False),
        }
        return {**what, **mirroring.document(answer, _CALLED)}
