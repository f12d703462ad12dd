# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody who runs a Quay wants to see of it: how full organizations are, which mirrors fail, which tokens end.

Reads only, three listings for each organization, and holds no secret.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.quay import calls
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import organization_path, repository_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError
from ansible_collections.quayside.registry.plugins.module_utils.quay.export import visible

#: Quay: the state of a repository that mirrors another, and of a mirror whose last run failed.
_MIRRORS, _FAILED = "MIRROR", "FAIL"

Row = dict[str, Any]


@dataclasses.dataclass
class Found:
    """What was read; ``unread``: what whoever asks may not see. The ``uuid`` of a token is none of its secret."""

    organizations: list[Row] = dataclasses.field(default_factory=list)
    mirrors: list[Row] = dataclasses.field(default_factory=list)
    tokens: list[Row] = dataclasses.field(default_factory=list)
    unread: list[str] = dataclasses.field(default_factory=list)


def read(quay: Quay) -> Found:
    """All organizations that whoever asks can see."""
    found, answers = Found(), dict[str, Any]()
    listed = {item["name"]: item for item in visible(quay)}
    # an administrator's own listing tells no quotas
    plain = [name for name, item in listed.items() if "quota_report" not in item]
    _ask(quay, map(organization_path, plain), answers, found.unread)
    listed |= {name: answers.get(organization_path(name)) or {} for name in plain}
    _ask(quay, [path for name in listed for path in _listings(name)], answers, found.unread)
    repositories = {name: _all(answers, _listings(name)[1], "repositories") for name in listed}
    applications = {name: _all(answers, _listings(name)[2], "applications") for name in listed}
    mirrors = {
        repository_path(name, item["name"], "/mirror"): (name, item["name"])
        for name, items in repositories.items()
        for item in items
        if item.get("state") == _MIRRORS
    }
    tokens = {
        organization_path(name, "applications", item["client_id"], "tokens"): (name, item["name"])
        for name, items in applications.items()
        for item in items
    }
    _ask(quay, [*mirrors, *tokens], answers, found.unread)
    for name in sorted(listed):
        robots = answers.get(_listings(name)[0])
        found.organizations.append(
            {
                "organization": name,
                "repositories": len(repositories[name]),
                "public": sum(bool(item["is_public"]) for item in repositories[name]),
                "robots": len(robots["robots"]) if robots else None,
                **quota(listed[name]),
            }
        )
    found.mirrors = [_mirror(*mirrors[path], answers[path]) for path in sorted(mirrors) if answers.get(path)]
    found.tokens = [
        {"name": item["name"], "application": "/".join(tokens[path]), "uuid": item["uuid"], "not_after": _moment(item)}
        for path in sorted(tokens)
        for item in _all(answers, path, "tokens")
        if item.get("expires_at")
    ]
    return found


def quota(item: Mapping[str, Any]) -> Row:
    """What an organization may use in bytes (None: all that there is), what it does, and whether that is too much.

    ``state`` is V(exceeded) from where Quay refuses pushes on, or would if it were told to, V(warning) from where it warns on.
    """
    there: Mapping[str, Any] = next(iter(item.get("quotas") or []), {})
    used = (item.get("quota_report") or {}).get("quota_bytes")
    size = there.get("limit_bytes")
    shown = {"quota": size, "used": used, "state": ""}
    if not size or used is None:
        return shown
    limits: dict[str, list[int]] = {}
    for limit in there.get("limits") or []:
        limits.setdefault(limit["type"], []).append(limit["limit_percent"])
    percent = 100 * used / size
    if percent >= min(limits.get("Reject", [100])):
        shown["state"] = "exceeded"
    elif percent >= min(limits.get("Warning", [100])):
        shown["state"] = "warning"
    return shown


def _ask(quay: Quay, paths: Iterable[str], answers: dict[str, Any], refused: list[str]) -> None:
    """Add what is answered: None for what this Quay has not, and for what whoever asks may not see, which is noted."""

    def ask(path: str) -> Any:
        found: dict[str, Any] = {}
        try:
            calls.read(quay, [path], found)
        except MissingApi:
            return None
        except QuayError as error:
            if error.status != 403:
                raise
            refused.append(str(error))
        return found.get(path)

    asked = list(paths)
    with ThreadPoolExecutor(max_workers=calls.WORKERS) as pool:
        answers.update(zip(asked, pool.map(ask, asked), strict=True))


def _listings(organization: str) -> tuple[str, str, str]:
    return (
        organization_path(organization, "robots") + "?permissions=false&token=false",
        f"/api/v1/repository?namespace={organization}",
        organization_path(organization, "applications"),
    )


def _all(answers: Mapping[str, Any], path: str, field: str) -> Sequence[Row]:
    return (answers.get(path) or {}).get(field) or []


def _mirror(organization: str, repository: str, answer: Mapping[str, Any]) -> Row:
    enabled, status = bool(answer["is_enabled"]), str(answer["sync_status"])
    return {
        "organization": organization,
        "repository": repository,
        "source": answer["external_reference"],
        "enabled": enabled,
        "status": status,
        "failing": enabled and status == _FAILED,
        "next": answer["sync_start_date"],
        "interval": answer["sync_interval"],
        "retries_left": answer["sync_retries_remaining"],
    }


def _moment(item: Mapping[str, Any]) -> str:
    """``2036-11-20T11:58:48.568347Z`` without the fraction."""
    return str(item["expires_at"])[:19] + "Z"
