# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document of what there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay import (
    applications,
    calls,
    default_permissions,
    messages,
    organizations,
    repositories,
    robots,
    tags,
    teams,
    users,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import organization_path, repository_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.checks import DISCOVERY
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError
from ansible_collections.quayside.registry.plugins.module_utils.quay.content import ME, OWN
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import (
    Organization,
    Part,
    Parts,
    complete,
    listings,
    parse,
    permission_listings,
    repository_parts,
    robot_parts,
)

_ORGANIZATION = "/api/v1/organization/{orgname}"
_TOKENS = applications.token_path(_ORGANIZATION, "{client_id}")


def names(quay: Quay) -> list[str]:
    """The organizations that whoever asks can see: a superuser all, anybody else those that he administers."""
    try:
        found = quay.request("GET", "/api/v1/superuser/organizations/", about="list the organizations")["organizations"]
    except QuayError as error:
        if error.status != 403 and not isinstance(error, MissingApi):
            raise
        own = quay.request("GET", ME, about="list one's own organizations")["organizations"]
        found = [item for item in own if item["is_org_admin"]]
    return sorted(item["name"] for item in found)


@dataclasses.dataclass(frozen=True)
class Export:
    """The document, and the secrets that are not in it."""

    content: dict[str, Any]
    left_out: list[dict[str, str]]


def export(quay: Quay, wanted: Sequence[str], with_users: bool, with_tags: bool) -> Export:
    """The document of these organizations. Raises InputError for one that is not there. Parts that this Quay lacks are left out."""
    answers: dict[str, Any] = {}
    calls.read(quay, map(organization_path, wanted), answers)
    for name in wanted:
        if answers[organization_path(name)] is None:
            raise InputError(f"organizations: Quay has no organization {name}.")
    offered = quay.request("GET", DISCOVERY, about="see which features Quay has")["paths"]
    parts = _offered(offered)
    calls.read(quay, [path for name in wanted for path in listings(name, parts)], answers)
    found = [parse(name, parts, answers) for name in wanted]
    more: list[str] = []
    for have in found:
        more += [*permission_listings(have, parts), *robot_parts(have, parts), *repository_parts(have, parts)]
        invited = f"{_ORGANIZATION}/team/{{teamname}}/invite/{{email}}" in offered
        more += [teams.listing(have.name, name) for name, team in have.teams.items() if team.synced or invited]
        if _TOKENS in offered:
            more += applications.all_token_paths(have)
        if with_tags:
            more += [tags.listing(base) for base in _bases(have)]
    calls.read(quay, more, answers)
    if with_tags:
        calls.read(
            quay, [path for have in found for it in _bases(have) for path in tags.label_listings(it, answers)], answers
        )
    for have in found:
        complete(have, parts, answers)
        teams.complete(have, answers)
    content: dict[str, Any] = {"organizations": [_exported(have, parts.own, with_tags) for have in found]}
    left_out = [secret for have in found for secret in _secrets(have)]
    if with_users:
        calls.read(quay, [users.PATH, messages.PATH], answers)
        there = {item["username"]: item for item in answers[users.PATH]["users"]}
        content["users"] = users.exported(there)
        content["messages"] = [messages.shown(item) for item in answers[messages.PATH]["messages"]]
        left_out += [_secret("UserPassword", "", name) for name in sorted(there)]
    return Export(content, left_out)


def _bases(have: Organization) -> list[str]:
    return [repository_path(have.name, name) for name in have.repositories]


def _secret(kind: str, namespace: str, name: str) -> dict[str, str]:
    return {"kind": kind, "namespace": namespace, "name": name}


def _secrets(have: Organization) -> list[dict[str, str]]:
    """What Quay keeps for itself, or shows only once."""
    found = [_secret("RobotToken", have.name, name) for name in sorted(have.robots)]
    found += [_secret("OAuthToken", have.name, name) for name in applications.token_titles(have)]
    for kind, part in (("ProxyCache", "proxy_cache"), ("OrganizationMirror", "mirror")):
        found += [_secret(kind, have.name, have.name)] if _has_credentials(have.parts.get(part)) else []
    for name, repository in sorted(have.repositories.items()):
        if _has_credentials(repository.parts.get("mirror")):
            found.append(_secret("RepositoryMirror", have.name, name))
    return found


def _has_credentials(answer: Any) -> bool:
    """Whether there may be credentials: of a proxy cache Quay does not say."""
    return bool(answer and (answer.get("upstream_registry") or answer.get("external_registry_username")))


def _offered(document: Mapping[str, Any]) -> Parts:
    """Everything that this Quay has, as its discovery document says."""
    return Parts(
        own=[part for part in OWN if part.path(_ORGANIZATION) in document],
        of_repositories=[
            part for part in repositories.PARTS if part.path("/api/v1/repository/{repository}") in document
        ],
        federations=None if f"{_ORGANIZATION}/robots/{{robot_shortname}}/federation" in document else frozenset(),
    )


def _exported(have: Organization, own: Sequence[Part], with_tags: bool) -> dict[str, Any]:
    shown = {key: text for key, text in organizations.shown(have).items() if text}
    parts = {part.name: part.exported(have.parts[part.name]) for part in own}
    return {
        **shown,
        "teams": teams.exported(have),
        "robots": robots.exported(have),
        "repositories": repositories.exported(have, with_tags),
        "default_permissions": default_permissions.exported(have),
        **{name: value for name, value in parts.items() if value is not None},
    }
