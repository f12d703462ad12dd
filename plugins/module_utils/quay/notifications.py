# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repository tells others about. Quay can neither change a notification nor tell it from another one like it.

A notification has no name: a list of them says which there are, and no others. Where it goes to may hold a secret, and so is
not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import HIDDEN, Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item

_KIND = "RepositoryNotification"
#: Quay answers 500 for what it does not know (recorded).
_EVENTS = [
    "repo_push",
    "build_queued",
    "build_start",
    "build_success",
    "build_cancelled",
    "build_failure",
    "vulnerability_found",
    "repo_mirror_sync_started",
    "repo_mirror_sync_success",
    "repo_mirror_sync_failed",
    "repo_image_expiry",
]
#: What each method has to be told.
_METHODS = {"webhook": "url", "slack": "url", "email": "email", "quay_notification": "target"}
_CONFIG = ("url", "template", "email", "target")


class Notifications:
    """By all that they are."""

    name = "notifications"
    option: dict[str, Any] = {
        "type": "list",
        "elements": "dict",
        "options": {
            "title": {"type": "str", "default": ""},
            "event": {"type": "str", "choices": _EVENTS, "required": True},
            "method": {"type": "str", "choices": list(_METHODS), "required": True},
            "url": {"type": "str", "no_log": True},
            "template": {"type": "str"},
            "email": {"type": "str"},
            "target": {
                "type": "dict",
                "options": {
                    "kind": {"type": "str", "choices": ["user", "team", "org"], "required": True},
                    "name": {"type": "str", "required": True},
                },
            },
            "event_config": {"type": "dict", "default": {}},
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/notification/"

    def check(self, wanted: Sequence[Item], what: str) -> None:
        """Refuse what cannot be meant."""
        for item in wanted:
            needed, given = _METHODS[item["method"]], {key for key in _CONFIG if item[key]}
            if needed not in given or given - {needed, "template"}:
                raise InputError(f"{what}: a notification by {item['method']} takes {needed}, and no other address.")
            if "template" in given and item["method"] != "webhook":
                raise InputError(f"{what}: template is for webhook.")

    def plan(
        self, wanted: Sequence[Item], answer: Any, base: str, organization: str, title: str, stage: int
    ) -> list[Change]:
        """The notifications as they shall be."""
        steps: list[Change] = []
        left = [(item["uuid"], _normal(item)) for item in _known(answer)]
        for item in wanted:
            body = _wanted(item)
            found = next((one for one in left if one[1] == body), None)
            if found:
                left.remove(found)
                continue
            call = Call("POST", self.path(base), _body(body))
            steps.append(change(_KIND, organization, _title(title, body), None, _shown(body), stage, call))
        for uuid, body in left:
            call = Call("DELETE", f"{self.path(base)}{uuid}")
            steps.append(change(_KIND, organization, _title(title, body), _shown(body), None, calls.TAKE_AWAY, call))
        return steps

    def exported(self, answer: Any) -> list[dict[str, Any]]:
        """As the document has them, in an order that does not depend on which was made first."""
        return sorted((_document(_normal(item)) for item in _known(answer)), key=str)


def _known(answer: Any) -> list[Item]:
    """Older methods are left as they are."""
    return [item for item in (answer or {}).get("notifications", []) if item["method"] in _METHODS]


def _normal(item: Item) -> dict[str, Any]:
    """A notification without what Quay adds."""
    config = {key: value for key, value in item["config"].items() if key in _CONFIG and value}
    shown = {key: item[key] for key in ("event", "method", "event_config")}
    return {**shown, "title": item["title"] or "", "config": config}


def _wanted(item: Item) -> dict[str, Any]:
    return _normal({**item, "config": {key: item[key] for key in _CONFIG}})


def _body(item: Item) -> dict[str, Any]:
    body = {key: item[key] for key in ("event", "method", "config")}
    return {**body, "eventConfig": item["event_config"], **({"title": item["title"]} if item["title"] else {})}


def _title(repository: str, item: Item) -> str:
    return f"{repository}: {item['event']} by {item['method']}"


def _document(item: Item) -> dict[str, Any]:
    shown = {key: value for key, value in item.items() if key != "config"}
    return {**shown, **item["config"]}


def _shown(item: Item) -> dict[str, Any]:
    shown = _document(item)
    return {**shown, **({"url": HIDDEN} if "url" in shown else {})}
