# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Quay does with tags by itself, in an organization or in a repository: auto-prune, and immutability.

A policy has no name: a list of them says which there are, and no others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item

_PATTERN: dict[str, Any] = {"tag_pattern": {"type": "str"}, "tag_pattern_matches": {"type": "bool", "default": True}}
AUTO_PRUNE: dict[str, Any] = {
    "method": {"type": "str", "choices": ["number_of_tags", "creation_date"], "required": True},
    "value": {"type": "str", "required": True},
    **_PATTERN,
}
IMMUTABILITY: dict[str, Any] = {**_PATTERN, "tag_pattern": {"type": "str", "required": True}}


def _prune_body(item: Item) -> dict[str, Any]:
    value = int(item["value"]) if item["method"] == "number_of_tags" else item["value"]
    body: dict[str, Any] = {"method": item["method"], "value": value}
    if item.get("tag_pattern"):
        body.update(_pattern_body(item))
    return body


def _pattern_body(item: Item) -> dict[str, Any]:
    return {"tagPattern": item["tag_pattern"], "tagPatternMatches": item["tag_pattern_matches"]}


def _check_prune(item: Item, what: str) -> None:
    number = item["method"] == "number_of_tags"
    if not re.fullmatch(r"[1-9]\d*" if number else r"[1-9]\d*[smhdw]", item["value"]):
        example = "a number such as 10" if number else "a time such as 7d"
        raise InputError(f"{what}: value {item['value']!r} does not go with {item['method']}, which takes {example}.")
    _check_pattern(item, what)


def _check_pattern(item: Item, what: str) -> None:
    try:
        re.compile(item["tag_pattern"] or "")
    except re.error as error:
        raise InputError(
            f"{what}: tag_pattern {item['tag_pattern']!r} is not a regular expression: {error}."
        ) from error


@dataclasses.dataclass(frozen=True)
class Policies:
    """One of both kinds."""

    name: str
    kind: str
    segment: str
    options: Mapping[str, Any]
    body: Callable[[Item], dict[str, Any]]
    check_one: Callable[[Item, str], None]

    @property
    def option(self) -> dict[str, Any]:
        return {"type": "list", "elements": "dict", "options": self.options}

    def path(self, base: str) -> str:
        return f"{base}/{self.segment}/"

    def check(self, wanted: Sequence[Item], what: str) -> None:
        """Refuse what cannot be meant."""
        for number, item in enumerate(wanted):
            self.check_one(item, f"{what}[{number}]")

    def plan(
        self, wanted: Sequence[Item], answer: Any, base: str, organization: str, title: str, stage: int
    ) -> list[Change]:
        """The policies as they shall be; ``answer`` is the listing (None: of what is yet to come)."""
        steps: list[Change] = []
        left = [(policy["uuid"], _normal(policy)) for policy in (answer or {}).get("policies", [])]
        bodies = [self.body(item) for item in wanted]
        for number, body in enumerate(bodies):
            if body in bodies[:number]:
                continue
            found = next((policy for policy in left if policy[1] == body), None)
            if found:
                left.remove(found)
            else:
                call = Call("POST", self.path(base), body)
                steps.append(
                    change(self.kind, organization, self._title(title, body), None, self._shown(body), stage, call)
                )
        for uuid, body in left:
            call = Call("DELETE", f"{self.path(base)}{uuid}")
            name = self._title(title, body)
            steps.append(change(self.kind, organization, name, self._shown(body), None, calls.TAKE_AWAY, call))
        return steps

    def _title(self, title: str, body: Item) -> str:
        words = [str(body[key]) for key in ("method", "value", "tagPattern") if key in body]
        return f"{title}: {' '.join(words)}"

    def _shown(self, body: Item) -> dict[str, Any]:
        shown = {key: str(body[key]) for key in ("method", "value") if key in body}
        if "tagPattern" in body:
            shown.update(tag_pattern=body["tagPattern"], tag_pattern_matches=body["tagPatternMatches"])
        return shown

    def exported(self, answer: Any) -> list[dict[str, Any]]:
        """As the document has them, in an order that does not depend on which was made first."""
        return sorted((self._shown(_normal(policy)) for policy in (answer or {}).get("policies", [])), key=str)


def _normal(policy: Item) -> dict[str, Any]:
    """A policy as the body that would make it."""
    body = {key: policy[key] for key in ("method", "value") if key in policy}
    if policy.get("tagPattern"):
        body.update(tagPattern=policy["tagPattern"], tagPatternMatches=policy["tagPatternMatches"])
    return body


PRUNE = Policies("auto_prune", "AutoPrunePolicy", "autoprunepolicy", AUTO_PRUNE, _prune_body, _check_prune)
IMMUTABLE = Policies(
    "immutability", "ImmutabilityPolicy", "immutabilitypolicy", IMMUTABILITY, _pattern_body, _check_pattern
)
