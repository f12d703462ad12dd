# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An organization as Quay has it, and the requests that tell: listings, and of those the fewest.

Who is in which team comes from two listings (members, robots), not from one for each team. Roles in repositories come from a
listing for each team and robot that has any, or from one for each repository that a user has a permission of his own for,
whichever are fewer.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from ansible_collections.quayside.registry.plugins.module_utils.plan import Change
from ansible_collections.quayside.registry.plugins.module_utils.quay import delegates
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import organization_path, repository_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate

Answers = Mapping[str, Any]
#: Of whom the permissions for a repository are asked for; None: of everybody.
Whose: TypeAlias = "frozenset[Delegate] | None"


class Part(Protocol):
    """A part of an organization or a repository that one request of its own tells."""

    @property
    def name(self) -> str:
        """The option's name."""

    @property
    def option(self) -> Mapping[str, Any]:
        """The option's specification."""

    def path(self, base: str) -> str:
        """Where it is, below an organization or a repository."""

    def check(self, wanted: Any, what: str) -> None:
        """Refuse what cannot be meant."""

    def plan(self, wanted: Any, answer: Any, base: str, organization: str, title: str, stage: int) -> list[Change]:
        """The changes that make it as wanted; ``answer`` is what Quay answers at its path, None for what is yet to come."""

    def exported(self, answer: Any) -> Any:
        """As the document has it."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What has to be read of an organization. ``permissions``: for which repositories; None: for all."""

    robots: bool = True
    tokens: bool = False
    people: bool = True
    repositories: bool = True
    defaults: bool = True
    permissions: Mapping[str, Whose] | None = None
    #: the parts that have a request of their own: of the organization, and of some of its repositories or of all
    own: Sequence[Part] = ()
    #: the robots whose federation is read; None: of all
    federations: frozenset[str] | None = None
    of_repositories: Mapping[str, Sequence[Part]] | Sequence[Part] = ()

    def of_repository(self, name: str) -> Sequence[Part]:
        if isinstance(self.of_repositories, Mapping):
            return self.of_repositories.get(name, ())
        return self.of_repositories


@dataclasses.dataclass
class Team:
    role: str
    description: str = ""
    synced: bool = False
    repositories: int = 0
    members: set[Delegate] = dataclasses.field(default_factory=set)
    #: which group it is synced with; None where Quay does not say
    group: Mapping[str, str] | None = None
    #: who has not answered an invitation yet
    invited: set[Delegate] = dataclasses.field(default_factory=set)
    #: the users that addresses belong to, of whom is in it
    accepted: dict[Delegate, Delegate] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Robot:
    description: str = ""
    created: str = ""
    token: str = dataclasses.field(default="", repr=False)
    repositories: frozenset[str] = frozenset()
    #: who may act as it, as (issuer, subject)
    federation: frozenset[tuple[str, str]] = frozenset()


@dataclasses.dataclass
class Repository:
    visibility: str = "private"
    description: str = ""
    state: str = "NORMAL"
    starred: bool = False
    permissions: dict[Delegate, str] = dataclasses.field(default_factory=dict)
    #: what Quay answers of the parts that were read, by name
    parts: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Default:
    """A default permission. ``created_by``: whose new repositories it is for; empty for everybody's."""

    id: str
    delegate: Delegate
    created_by: str
    role: str


@dataclasses.dataclass
class Organization:
    """What was read; what was not is empty."""

    name: str
    exists: bool = False
    email: str = ""
    time_machine: int = 0
    teams: dict[str, Team] = dataclasses.field(default_factory=dict)
    robots: dict[str, Robot] = dataclasses.field(default_factory=dict)
    repositories: dict[str, Repository] = dataclasses.field(default_factory=dict)
    defaults: list[Default] = dataclasses.field(default_factory=list)
    #: who has permissions of his own: the repositories of each user
    people: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    #: what Quay answers of the parts that were read, by name
    parts: dict[str, Any] = dataclasses.field(default_factory=dict)
    #: all answers by path
    answers: Answers = dataclasses.field(default_factory=dict, repr=False)


def _robots_path(name: str, parts: Parts) -> str:
    return organization_path(name, "robots") + f"?permissions=true&token={'true' if parts.tokens else 'false'}"


def _repositories_path(name: str) -> str:
    return f"/api/v1/repository?namespace={name}"


def listings(name: str, parts: Parts) -> list[str]:
    """The paths of the listings of an organization that exists."""
    return [
        *([_robots_path(name, parts)] if parts.robots else []),
        *([organization_path(name, "members"), organization_path(name, "collaborators")] if parts.people else []),
        *([_repositories_path(name)] if parts.repositories else []),
        *([organization_path(name, "prototypes")] if parts.defaults else []),
        *(part.path(organization_path(name)) for part in parts.own),
    ]


def parse(name: str, parts: Parts, answers: Answers) -> Organization:
    """The organization without the permissions for its repositories."""
    details = answers.get(organization_path(name))
    if details is None:
        return Organization(name)
    found = Organization(name, True, _email(details), details.get("tag_expiration_s") or 0, answers=answers)
    for team, item in (details.get("teams") or {}).items():
        shown = item["role"], item["description"], bool(item.get("is_synced")), item["repo_count"]
        found.teams[team] = Team(*shown)
    for item in (answers.get(_robots_path(name, parts)) or {}).get("robots", []):
        robot = Delegate("robot", item["name"].partition("+")[2])
        repositories = frozenset(item.get("repositories") or ())
        created, token = item["created"], item.get("token", "")
        found.robots[robot.name] = Robot(item["description"] or "", created, token, repositories)
        _join(found, robot, item.get("teams") or [])
    for kind in ("members", "collaborators"):
        for item in (answers.get(organization_path(name, kind)) or {}).get(kind, []):
            if "+" in item["name"]:
                continue
            user = Delegate("user", item["name"])
            found.people[user.name] = frozenset(item.get("repositories") or ())
            _join(found, user, item.get("teams") or [])
    for item in (answers.get(_repositories_path(name)) or {}).get("repositories", []):
        visibility = "public" if item["is_public"] else "private"
        shown_ = visibility, item["description"] or "", item.get("state", "NORMAL"), item.get("is_starred", False)
        found.repositories[item["name"]] = Repository(*shown_)
    for item in (answers.get(organization_path(name, "prototypes")) or {}).get("prototypes", []):
        delegate = _delegate(item["delegate"], name)
        if delegate:
            creator = (item.get("activating_user") or {}).get("name", "")
            found.defaults.append(Default(item["id"], delegate, creator, item["role"]))
    found.parts = {part.name: answers.get(part.path(organization_path(name))) for part in parts.own}
    return found


def _email(details: Mapping[str, Any]) -> str:
    """Quay keeps a UUID for an organization without an address."""
    email = details.get("email") or ""
    try:
        uuid.UUID(email)
    except ValueError:
        return email
    return ""


def _delegate(item: Mapping[str, Any], organization: str) -> Delegate | None:
    if item["kind"] == "team":
        return Delegate("team", item["name"])
    return delegates.from_account(item["name"], organization)


def _join(found: Organization, who: Delegate, teams: Iterable[Mapping[str, Any]]) -> None:
    for team in teams:
        if team["name"] in found.teams:
            found.teams[team["name"]].members.add(who)


def _asked(found: Organization, parts: Parts) -> dict[str, Whose]:
    if parts.permissions is None:
        return dict.fromkeys(found.repositories)
    return {name: whose for name, whose in parts.permissions.items() if name in found.repositories}


def _federated(found: Organization, parts: Parts) -> list[str]:
    return [name for name in found.robots if parts.federations is None or name in parts.federations]


def robot_parts(found: Organization, parts: Parts) -> list[str]:
    """The paths of the federations of robots that are there."""
    return [organization_path(found.name, "robots", name, "federation") for name in _federated(found, parts)]


def repository_parts(found: Organization, parts: Parts) -> list[str]:
    """The paths of the parts of repositories that are there."""
    return [
        part.path(repository_path(found.name, name))
        for name in found.repositories
        for part in parts.of_repository(name)
    ]


def permission_listings(found: Organization, parts: Parts) -> list[str]:
    """The paths of the fewest listings that tell the permissions asked for."""
    asked = _asked(found, parts)

    def wanted(who: Delegate, repository: str) -> bool:
        whose = asked[repository]
        return whose is None or who in whose

    teams = [
        name
        for name, team in found.teams.items()
        if team.repositories and any(wanted(Delegate("team", name), repository) for repository in asked)
    ]
    if len(teams) <= len(asked):
        paths = [organization_path(found.name, "team", name, "permissions") for name in teams]
    else:
        paths = [repository_path(found.name, name, "/permissions/team/") for name in asked]
    users = {
        repository
        for user, repositories in found.people.items()
        for repository in repositories & asked.keys()
        if wanted(Delegate("user", user), repository)
    }
    left = [
        (name, repository)
        for name, robot in found.robots.items()
        for repository in robot.repositories & asked.keys() - users
        if wanted(Delegate("robot", name), repository)
    ]
    robots, repositories = {name for name, _repository in left}, {repository for _name, repository in left}
    if len(robots) <= len(repositories):
        paths += [organization_path(found.name, "robots", name, "permissions") for name in sorted(robots)]
    else:
        users |= repositories
    return paths + [repository_path(found.name, name, "/permissions/user/") for name in sorted(users)]


def complete(found: Organization, parts: Parts, answers: Answers) -> None:
    """Add to what ``parse`` made: permissions, federations of robots, and the parts of repositories."""
    for name in _federated(found, parts):
        listing = answers.get(organization_path(found.name, "robots", name, "federation")) or []
        found.robots[name].federation = frozenset((item["issuer"], item["subject"]) for item in listing)
    for name, there_ in found.repositories.items():
        base = repository_path(found.name, name)
        there_.parts = {part.name: answers.get(part.path(base)) for part in parts.of_repository(name)}
    for kind, names in (("team", found.teams), ("robots", found.robots)):
        for name in names:
            listing = answers.get(organization_path(found.name, kind, name, "permissions")) or {}
            for item in listing.get("permissions", []):
                of = found.repositories.get(item["repository"]["name"])
                if of:
                    of.permissions[Delegate(kind.rstrip("s"), name)] = item["role"]
    for repository in _asked(found, parts):
        there = found.repositories[repository].permissions
        teams = answers.get(repository_path(found.name, repository, "/permissions/team/")) or {}
        for name, item in teams.get("permissions", {}).items():
            there[Delegate("team", name)] = item["role"]
        users = answers.get(repository_path(found.name, repository, "/permissions/user/")) or {}
        for name, item in users.get("permissions", {}).items():
            who = delegates.from_account(name, found.name)
            if who:
                there[who] = item["role"]
