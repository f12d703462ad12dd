# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of a repository: what they point at, when they end, whether they may change, and the labels of their images.

Read for the tags that the document speaks of and no others, with one request each; more only for a tag that is not there, that
points elsewhere, or whose labels matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import calls, labels
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import Call, change
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, absent, check_unique, present

OPTION: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "digest": {"type": "str"},
        "expires": {"type": "str"},
        "immutable": {"type": "bool"},
        "labels": labels.OPTION,
    },
}

_NAME = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NEVER = "never"
_KIND = "Tag"

Answers = Mapping[str, Any]


def check(items: Sequence[Item], what: str) -> None:
    """Refuse what cannot be meant."""
    check_unique((item["name"] for item in items), what, lambda name: f"tag {name}")
    for item in items:
        here = f"{what}[{item['name']}]"
        if not _NAME.fullmatch(item["name"]):
            raise InputError(
                f"{here}: Quay does not take the name: up to 128 letters, digits, '_', '.' and '-', the first neither '.' nor '-'."
            )
        given = next((key for key in ("digest", "expires", "labels") if item[key]), "")
        if item["state"] == "absent" and given:
            raise InputError(f"{here}: it shall be absent, and has {given}. Leave out one of both.")
        if item["digest"] and not _DIGEST.fullmatch(item["digest"]):
            raise InputError(f"{here}.digest: {item['digest']!r} is not a digest: sha256: and 64 digits from 0 to f.")
        _end(item, here)
        labels.check(item["labels"] or [], f"{here}.labels")


def _end(item: Item, what: str = "") -> int | None:
    """When the tag shall end; None for never."""
    if item["expires"] in (None, _NEVER):
        return None
    try:
        return credentials.epoch(item["expires"])
    except ValueError:
        text = f"{what}.expires: {item['expires']!r} is neither {_NEVER} nor a time such as 2030-01-02T03:04:05Z."
        raise InputError(text) from None


# What has to be read


def _now(base: str, name: str) -> str:
    return f"{base}/tag/?specificTag={name}&onlyActiveTags=true"


def _history(base: str, name: str) -> str:
    return f"{base}/tag/?specificTag={name}&limit=100"


def _manifest(base: str, digest: str) -> str:
    return f"{base}/manifest/{digest}"


def _listed(answers: Answers, path: str) -> list[Item]:
    return list((answers.get(path) or {}).get("tags", []))


def needed(items: Sequence[Item], base: str, answers: Answers) -> list[str]:
    """The paths to read next, as far as the answers so far tell; none when they tell everything."""
    paths = [path for item in items for path in _needed(item, base, answers)]
    return [path for path in dict.fromkeys(paths) if path not in answers]


def _needed(item: Item, base: str, answers: Answers) -> list[str]:
    first = _now(base, item["name"])
    if first not in answers or item["state"] == "absent":
        return [first]
    there, digest = _there(item, base, answers), _target(item, base, answers)
    more = []
    if there is None or digest != there["manifest_digest"]:
        past = _history(base, item["name"])
        if past not in answers:
            return [past]
        if digest and digest not in _earlier(item, base, answers):
            more.append(_manifest(base, digest))
    if digest and item["labels"] is not None:
        more.append(labels.path(_manifest(base, digest)))
    return more


def _there(item: Item, base: str, answers: Answers) -> Item | None:
    return next(iter(_listed(answers, _now(base, item["name"]))), None)


def _earlier(item: Item, base: str, answers: Answers) -> list[str]:
    """What the tag has pointed at, the newest first."""
    return [entry["manifest_digest"] for entry in _listed(answers, _history(base, item["name"]))]


def _target(item: Item, base: str, answers: Answers) -> str:
    """What the tag shall point at; empty where nothing tells."""
    there = _there(item, base, answers)
    if item["digest"] or there:
        return str(item["digest"] or (there or {})["manifest_digest"])
    return next(iter(_earlier(item, base, answers)), "")


# The plan


def plan(
    items: Sequence[Item],
    base: str,
    organization: str,
    repository: str,
    mode: str,
    answers: Answers,
    now: float,
    purge: bool,
) -> list[Change]:
    """The tags as they shall be. ``mode``: that of the repository; ``purge``: whether other labels go."""
    what = f"organizations[{organization}].repositories[{repository}].tags"
    steps: list[Change] = []
    mentioned: dict[str, set[str]] = {}
    for item in present(items):
        keys = {label["key"] for label in item["labels"] or []}
        mentioned.setdefault(_target(item, base, answers), set()).update(keys)
    planned = labels.Planned(what, mentioned)
    for item in present(items):
        here = f"{what}[{item['name']}]"
        step = _present(item, base, organization, f"{repository}:{item['name']}", answers, now, purge, planned, here)
        steps += [step] if step else []
    for item in absent(items):
        there = _there(item, base, answers)
        if there:
            path, begin = f"{base}/tag/{item['name']}", []
            if there.get("immutable"):
                _refuse_immutable(item, f"{what}[{item['name']}]")
                begin.append(Call("PUT", path, {"immutable": False}))
            title = f"{repository}:{item['name']}"
            steps.append(
                change(_KIND, organization, title, _shown(there), None, calls.TAKE_AWAY, *begin, Call("DELETE", path))
            )
    if steps and mode != "normal":
        raise InputError(f"{what}: the mode of the repository is {mode}, in which Quay changes no tags.")
    return steps


def _present(
    item: Item,
    base: str,
    organization: str,
    title: str,
    answers: Answers,
    now: float,
    purge: bool,
    planned: labels.Planned,
    here: str,
) -> Change | None:
    there, digest, end = _there(item, base, answers), _target(item, base, answers), _end(item)
    if end is not None and end <= now:
        if there is None:
            return None  # as it shall be by now
        raise InputError(f"{here}.expires: {item['expires']} is over. Give a later time, or state: absent.")
    earlier = _earlier(item, base, answers)
    if not digest:
        raise InputError(f"{here}: there is no such tag, and none that could be restored. Push it first.")
    moves = there is None or there["manifest_digest"] != digest
    if moves and digest not in earlier and not answers.get(_manifest(base, digest)):
        raise InputError(f"{here}.digest: the repository has no such image.")
    entry = there or next(iter(_listed(answers, _history(base, item["name"]))), {})
    if item["immutable"] and entry and "immutable" not in entry:
        raise InputError(
            f"{here}.immutable: this Quay lacks it. The feature is FEATURE_IMMUTABLE_TAGS: turn it on, or take what needs it out of the"
            " document."
        )
    path = f"{base}/tag/{item['name']}"
    before: Item = {} if moves else there or {}
    steps: list[Call] = []
    if moves and digest in earlier:
        steps.append(Call("POST", f"{path}/restore", {"manifest_digest": digest}))
    elif moves:
        steps.append(Call("PUT", path, {"manifest_digest": digest}))
    if item["expires"] is not None and (moves or _ends(before) != end):
        steps.append(Call("PUT", path, {"expiration": end}))
    had: list[Item] = []
    kept: list[dict[str, str]] | None = None
    if item["labels"] is not None:
        manifest = _manifest(base, digest)
        had = (answers.get(labels.path(manifest)) or {}).get("labels", [])
        more, kept = planned.plan(item["labels"], had, digest, manifest, purge, item["name"])
        steps += more
    locked = bool((there or {}).get("immutable"))
    if locked and steps:
        _refuse_immutable(item, here)
    begin = [Call("PUT", path, {"immutable": False})] if locked and item["immutable"] is False else []
    if item["immutable"] and (moves or not locked):
        if (_ends(before) if item["expires"] is None else end) is not None:
            raise InputError(
                f"{here}: Quay makes no tag immutable that ends. Leave out immutable, or say expires: never."
            )
        steps.append(Call("PUT", path, {"immutable": True}))
    if not begin + steps:
        return None
    after = {**_shown(before), "name": item["name"], "digest": digest}
    if item["expires"] is not None:
        after["expires"] = item["expires"]
    if item["immutable"] is not None:
        after["immutable"] = item["immutable"]
    old = _shown(there) if there else None
    if kept is not None:
        after["labels"] = kept
        if old:
            old["labels"] = [] if moves else labels.shown(had)
    return change(_KIND, organization, title, old, after, calls.PERMISSION, *begin, *steps)


def _refuse_immutable(item: Item, here: str) -> None:
    if item["immutable"] is not False:
        raise InputError(f"{here}: the tag is immutable. To change it nevertheless, say immutable: false.")


def _ends(entry: Item) -> int | None:
    return int(entry["end_ts"]) if entry.get("end_ts") else None


def _shown(entry: Item) -> dict[str, Any]:
    """As the document has it, without labels."""
    if not entry:
        return {}
    end = _ends(entry)
    return {
        "name": entry["name"],
        "digest": entry["manifest_digest"],
        **({"expires": credentials.timestamp(end)} if end else {}),
        **({"immutable": True} if entry.get("immutable") else {}),
    }


# The export


def listing(base: str) -> str:
    """The path of all tags of now."""
    return f"{base}/tag/?limit=100&onlyActiveTags=true"


def label_listings(base: str, answers: Answers) -> list[str]:
    """The paths of the labels of all images that tags point at."""
    return [labels.path(_manifest(base, entry["manifest_digest"])) for entry in _listed(answers, listing(base))]


def exported(base: str, answers: Answers) -> list[dict[str, Any]]:
    """As the document has them."""
    found = []
    for entry in sorted(_listed(answers, listing(base)), key=lambda entry: str(entry["name"])):
        had = (answers.get(labels.path(_manifest(base, entry["manifest_digest"]))) or {}).get("labels", [])
        own = labels.shown(had)
        found.append({**_shown(entry), **({"labels": own} if own else {})})
    return found
