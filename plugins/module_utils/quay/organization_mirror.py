# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An organization that mirrors a namespace of another registry. Quay takes only one without repositories for it."""

from __future__ import annotations

from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, mirroring
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item

_KIND = "OrganizationMirror"
#: Quay: the least time between two, and what a copy may take, in seconds.
_INTERVAL, _TIMEOUT = 60, (30, 3600)
_CALLED = "skopeo_timeout"
_NEEDED = ("type", "url", "namespace", "robot", "start")


class OrganizationMirror:
    """What is mirrored, and when."""

    name = "mirror"
    option: dict[str, Any] = {
        "type": "dict",
        "options": {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "type": {"type": "str", "choices": ["quay", "harbor"]},
            "url": {"type": "str"},
            "namespace": {"type": "str"},
            "repositories": {"type": "list", "elements": "str", "default": []},
            "visibility": {"type": "str", "choices": ["private", "public"], "default": "private"},
            **mirroring.options(required=False),
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/mirror"

    def check(self, wanted: Item, what: str) -> None:
        """Refuse what cannot be meant."""
        if wanted["state"] == "absent":
            return
        missing = [key for key in _NEEDED if not (wanted[key] or "").strip()]
        if missing:
            raise InputError(f"{what}: give {' and '.join(missing)}.")
        if not wanted["url"].startswith(("http://", "https://")):
            raise InputError(f"{what}.url: {wanted['url']!r} is not a URL of https or http.")
        mirroring.check(wanted, what, _INTERVAL, *_TIMEOUT)

    def plan(self, wanted: Item, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The mirror as it shall be. The password, which Quay does not tell, goes with every change."""
        before, path = self.exported(answer), self.path(base)
        if wanted["state"] == "absent":
            gone = Call("DELETE", path)
            return [change(_KIND, organization, title, before, None, calls.ORGANIZATION, gone)] if before else []
        own = ("type", "url", "namespace", "repositories", "visibility")
        after = {**{key: wanted[key] for key in own}, **mirroring.wanted_document(wanted)}
        if mirroring.same(before, after):
            return []
        if before and before["type"] != wanted["type"]:
            raise InputError(
                f"organizations[{organization}].mirror.type: Quay's API cannot change it from {before['type']} to {wanted['type']}. Take"
                " the mirror and its repositories away first."
            )
        body = {
            "external_registry_url": wanted["url"],
            "external_namespace": wanted["namespace"],
            "repository_filters": wanted["repositories"],
            "visibility": wanted["visibility"],
            **mirroring.body(wanted, organization, _CALLED),
        }
        call = (
            Call("PUT", path, body)
            if before
            else Call("POST", path, {"external_registry_type": wanted["type"], **body})
        )
        # after its robot
        made = calls.REPOSITORY_AND_MEMBER
        return [change(_KIND, organization, title, before, mirroring.shown(wanted, after), made, call)]

    def exported(self, answer: Any) -> dict[str, Any] | None:
        """As the document has it, without the password."""
        if not answer:
            return None
        what = {
            "type": answer["external_registry_type"],
            "url": answer["external_registry_url"],
            "namespace": answer["external_namespace"],
            "repositories": answer["repository_filters"],
            "visibility": answer["visibility"],
        }
        return {**what, **mirroring.document(answer, _CALLED)}
