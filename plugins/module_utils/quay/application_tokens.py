# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named tokens of OAuth applications (Quay 3.18). Quay shows one only in the answer that makes it, and takes a name twice.

What keeps a token keeps its id, too: so it is known which of Quay's tokens it is, and that none was lost.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, stores
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay
from ansible_collections.quayside.registry.plugins.module_utils.quay.first_user import SCOPE
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import (
    Item,
    absent,
    check_unique,
    present,
    seconds,
)

SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "scopes": {"type": "list", "elements": "str", "choices": SCOPE.split()},
    "expires_in": {"type": "str"},
    **stores.SPEC,
}

_KIND = "OAuthToken"
#: Quay: no token lives longer, and without expires_in each lives that long.
_LONGEST = 10 * 31557600
#: Quay takes the time of the end a moment before that of the beginning.
_INEXACT = 60
#: What is kept of a token that Quay made.
_KEPT = ("token", "token_id", "token_issued", "token_expires")


def check(items: Sequence[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"token {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        if not item["name"] or item["name"] != item["name"].strip():
            raise InputError(f"{what}: {item['name']!r} is no name: it is empty, or begins or ends with a blank.")
        if item["state"] == "absent":
            continue
        if not item["scopes"]:
            raise InputError(f"{here}: give scopes.")
        if not item["store"]:
            raise InputError(f"{here}: give store: Quay shows a token only when it is made.")
        stores.check(item, here)
        life = _life(item, f"{here}.expires_in")
        if not 0 < life <= _LONGEST:
            raise InputError(f"{here}.expires_in must be more than 0, and at most {_LONGEST // 86400}d.")
        if item["rotate"] and seconds(item["rotate"]["after"], f"{here}.rotate.after") >= life:
            raise InputError(f"{here}.rotate.after must be less than expires_in: the token ends before it is renewed.")


def _life(item: Item, what: str = "expires_in") -> int:
    return _LONGEST if item["expires_in"] is None else seconds(item["expires_in"], what)


def plan(
    application: Item,
    listing: Sequence[Item],
    client_id: str,
    base: str,
    organization: str,
    keeping: stores.Keeping,
    purge: bool,
) -> tuple[list[Change], list[str]]:
    """The tokens of an application as they shall be, and kept where they shall be; and warnings.

    listing: the tokens that are there; base: the path of the organization's applications; client_id: empty for an application
    that is yet to come.
    """
    steps: list[Change] = []
    warnings: list[str] = []
    name = application["name"]

    def path(quay: Quay) -> str:
        return f"{base}/{client_id or _client_id(quay, base, name)}/tokens"

    def title(token: str) -> str:
        return f"{name}: {token}"

    def delete(there: Item) -> Change:
        call = Call("DELETE", f"{base}/{client_id}/tokens/{there['uuid']}")
        shown = {"name": there["name"], "scopes": sorted(there["scope"].split())}
        return change(_KIND, organization, title(there["name"]), shown, None, calls.TAKE_AWAY, call)

    for item in present(application["tokens"]):
        same = [there for there in listing if there["name"] == item["name"]]
        wanted = stores.places(item)
        kept, there = _kept(item, wanted, keeping, same)
        of = f"{organization}/{title(item['name'])}"
        shown = {"application": name, "name": item["name"]}
        if there and _fits(item, there, keeping.now):
            for place in wanted:
                content = keeping.stored.get(place) or {}
                right = {"host": keeping.host, **{key: kept.get(key, "") for key in _KEPT}}
                if any(content.get(key) != text for key, text in right.items()):
                    steps.append(stores.keep(place, of, shown, right, bool(content), calls.PERMISSION))
        else:
            steps.append(_make(item, same, title(item["name"]), organization, path))
            if same and not there:
                warnings.append(
                    f"Token {item['name']} of application {name} in organization {organization} was not kept where store says, and Quay"
                    " shows it only once: another one takes its place."
                )
            for place in wanted:
                content = keeping.stored.get(place) or {}
                steps.append(stores.keep(place, of, shown, {"host": keeping.host}, bool(content), calls.PERMISSION))
            there = None
        steps += [delete(one) for one in same if one is not there]
    gone = {item["name"] for item in absent(application["tokens"])}
    mentioned = {item["name"] for item in application["tokens"]}
    steps += [delete(one) for one in listing if one["name"] in gone or (purge and one["name"] not in mentioned)]
    return steps, warnings


def _client_id(quay: Quay, base: str, name: str) -> str:
    """That of an application that has been made meanwhile."""
    listing = quay.request("GET", base, about="list the OAuth applications")["applications"]
    return str(next(item["client_id"] for item in listing if item["name"] == name))


def _kept(
    item: Item, places: Sequence[stores.Place], keeping: stores.Keeping, same: Sequence[Item]
) -> tuple[Mapping[str, str], Item | None]:
    """What is kept of a token that is there, and the token: one that is as wanted, if there is. A killed run leaves two."""
    known = {there["uuid"]: there for there in same}
    contents = [content for place in places if (content := keeping.stored.get(place))]
    found = [(it, known[it["token_id"]]) for it in contents if it.get("token") and it.get("token_id") in known]
    return next((one for one in found if _fits(item, one[1], keeping.now)), found[0] if found else ({}, None))


def _fits(item: Item, there: Item, now: float) -> bool:
    """Whether a token is as wanted, and neither over nor to be renewed."""
    begin, end = _moment(there["created"]), _moment(there["expires_at"])
    old = item["rotate"] and now - begin >= seconds(item["rotate"]["after"], "rotate.after")
    same = set(there["scope"].split()) == set(item["scopes"]) and abs(end - begin - _life(item)) <= _INEXACT
    return same and end > now and not old


def _moment(text: str | None) -> float:
    """Seconds since the epoch of ``2036-11-20T11:58:48.568347Z``; 0 for none."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def _make(item: Item, same: Sequence[Item], title: str, organization: str, path: Callable[[Quay], str]) -> Change:
    body: dict[str, Any] = {"name": item["name"], "scope": " ".join(sorted(item["scopes"])), "expiration": _life(item)}
    before = {"name": item["name"], "scopes": sorted(same[0]["scope"].split())} if same else None
    after = {"name": item["name"], "scopes": sorted(item["scopes"])}
    stage = calls.REPOSITORY_AND_MEMBER
    return change(_KIND, organization, title, before, after, stage, Call("POST", path, body))


def made(changes: Change, answer: Any) -> tuple[str, dict[str, str]] | None:
    """Whose token a change made, and what is kept of it."""
    if changes.kind != _KIND or not isinstance(answer, dict) or "token" not in answer:
        return None
    begin, end = (credentials.timestamp(int(_moment(answer[key]))) for key in ("created", "expires_at"))
    content = {"token": answer["token"], "token_id": answer["uuid"], "token_issued": begin, "token_expires": end}
    return f"{changes.namespace}/{changes.name}", content
