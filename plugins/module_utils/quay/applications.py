# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OAuth applications of an organization, and their named tokens. Quay takes several of the same name; the first counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import application_tokens, calls, stores
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change, organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_unique, present
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import Organization

_KIND = "OAuthApplication"
_TEXTS = ("description", "redirect_uri", "application_uri")


class Applications:
    """By name."""

    name = "applications"
    option: dict[str, Any] = {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **{text: {"type": "str"} for text in _TEXTS},
            "tokens": {"type": "list", "elements": "dict", "no_log": False, "options": application_tokens.SPEC},
        },
    }

    def path(self, base: str) -> str:
        return f"{base}/applications"

    def check(self, wanted: Sequence[Item], what: str) -> None:
        """Refuse what cannot be meant."""
        check_unique((item["name"] for item in wanted), what, lambda name: f"application {name}")
        if not all(item["name"].strip() for item in wanted):
            raise InputError(f"{what}: an application has no name.")
        for item in wanted:
            here = f"{what}[{item['name']}]"
            if item["state"] == "absent" and item["tokens"]:
                raise InputError(f"{here}: it shall be absent, and has tokens. Leave out one of both.")
            application_tokens.check(item["tokens"] or [], f"{here}.tokens")

    def plan(
        self, wanted: Sequence[Item], answer: Any, base: str, organization: str, title: str, stage: int
    ) -> list[Change]:
        """The applications as they shall be."""
        steps: list[Change] = []
        there = _there(answer)
        for item in wanted:
            name, found = item["name"], there.get(item["name"])
            before = _shown(found) if found else None
            path = self.path(base) + (f"/{found['client_id']}" if found else "")
            if item["state"] == "absent":
                if found:
                    steps.append(change(_KIND, organization, name, before, None, calls.TAKE_AWAY, Call("DELETE", path)))
                continue
            texts = {text: item[text] for text in _TEXTS if item[text] is not None}
            after = {**(before or {"name": name, **dict.fromkeys(_TEXTS, "")}), **texts}
            if before != after:
                call = Call("PUT" if found else "POST", path, after)
                steps.append(change(_KIND, organization, name, before, after, stage, call))
        return steps

    def exported(self, answer: Any) -> list[dict[str, Any]]:
        """As the document has them, without their tokens: nobody could store those again."""
        return [_shown(item) for _name, item in sorted(_there(answer).items())]


def _there(answer: Any) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for item in (answer or {}).get("applications", []):
        found.setdefault(item["name"], item)
    return found


def purge(wanted: Sequence[Item], answer: Any, base: str, organization: str) -> list[Change]:
    """Away with applications that are not in the document, and with all but the first of a name."""
    mentioned = {item["name"] for item in wanted}
    kept = {item["client_id"] for name, item in _there(answer).items() if name in mentioned}
    steps: list[Change] = []
    for item in (answer or {}).get("applications", []):
        if item["client_id"] not in kept:
            call = Call("DELETE", f"{base}/applications/{item['client_id']}")
            steps.append(change(_KIND, organization, item["name"], _shown(item), None, calls.TAKE_AWAY, call))
    return steps


def places(wanted: Sequence[Item] | None) -> list[stores.Place]:
    """Where tokens are stored."""
    tokens = [token for item in present(wanted) for token in present(item["tokens"])]
    return [place for token in tokens for place in stores.places(token)]


def token_path(base: str, client_id: str) -> str:
    """The listing of an application's tokens."""
    return f"{base}/applications/{client_id}/tokens"


def token_paths(wanted: Sequence[Item] | None, answer: Any, base: str) -> list[str]:
    """The listings of the tokens of applications that are there and whose tokens the document speaks of."""
    asked = {item["name"] for item in present(wanted) if item["tokens"] is not None}
    return [token_path(base, it["client_id"]) for name, it in _there(answer).items() if name in asked]


def all_token_paths(have: Organization) -> list[str]:
    """The listings of the tokens of all applications."""
    there = _there(have.parts.get(Applications.name))
    return [token_path(organization_path(have.name), item["client_id"]) for item in there.values()]


def token_titles(have: Organization) -> list[str]:
    """Applications and their tokens, by name."""
    found = []
    for name, item in sorted(_there(have.parts.get(Applications.name)).items()):
        answer = have.answers.get(token_path(organization_path(have.name), item["client_id"])) or {}
        found += [f"{name}: {token}" for token in sorted({str(it["name"]) for it in answer.get("tokens", [])})]
    return found


def features(wanted: Sequence[Item] | None, have: Organization) -> dict[str, tuple[str, str]]:
    """What Quay must have for tokens of applications that are yet to come: the path, who asks for it, and the feature."""
    there = _there(have.parts.get(Applications.name))
    return {
        token_path("/api/v1/organization/{orgname}", "{client_id}"): (
            f"organizations[{have.name}].applications[{item['name']}].tokens",
            "Applications have tokens with names in Quay 3.18 and newer: update it",
        )
        for item in present(wanted)
        if item["tokens"] and item["name"] not in there
    }


def plan_tokens(
    wanted: Sequence[Item], have: Organization, base: str, keeping: stores.Keeping, purges: bool
) -> tuple[list[Change], list[str]]:
    """The tokens of all applications as they shall be, and warnings."""
    steps: list[Change] = []
    warnings: list[str] = []
    there = _there(have.parts.get(Applications.name))
    for item in present(wanted):
        if item["tokens"] is None:
            continue
        client_id = there[item["name"]]["client_id"] if item["name"] in there else ""
        listing = (have.answers.get(token_path(base, client_id)) or {}).get("tokens", [])
        more, said = application_tokens.plan(
            item, listing, client_id, f"{base}/applications", have.name, keeping, purges
        )
        steps += more
        warnings += said
    return steps, warnings


def _shown(item: Item) -> dict[str, Any]:
    return {"name": item["name"], **{text: item[text] or "" for text in _TEXTS}}
