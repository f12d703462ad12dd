# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole Quay as one document: what has to be read for it, and the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan
from ansible_collections.quayside.registry.plugins.module_utils.quay import (
    applications,
    calls,
    default_permissions,
    messages,
    organizations,
    repositories,
    robots,
    stores,
    teams,
    users,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.applications import Applications
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.checks import (
    check_addresses,
    check_features,
    check_users,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay, QuayError
from ansible_collections.quayside.registry.plugins.module_utils.quay.mentions import after, mentioned, mentions
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, check_unique, present
from ansible_collections.quayside.registry.plugins.module_utils.quay.organization_mirror import OrganizationMirror
from ansible_collections.quayside.registry.plugins.module_utils.quay.policies import IMMUTABLE, PRUNE
from ansible_collections.quayside.registry.plugins.module_utils.quay.proxy_cache import ProxyCache
from ansible_collections.quayside.registry.plugins.module_utils.quay.quotas import Quota
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import (
    Organization,
    Part,
    Parts,
    Whose,
    complete,
    listings,
    parse,
    permission_listings,
    repository_parts,
    robot_parts,
)

#: The lists of an organization that can be purged.
PURGE = [
    "teams",
    "members",
    "robots",
    "repositories",
    "permissions",
    "labels",
    "default_permissions",
    "applications",
    "tokens",
]

#: The parts of an organization that have requests of their own.
OWN: Sequence[Part] = (Quota(), PRUNE, IMMUTABLE, ProxyCache(), OrganizationMirror(), Applications())

_PARTS = {
    "teams": teams.SPEC,
    "robots": robots.SPEC,
    "repositories": repositories.SPEC,
    "default_permissions": default_permissions.SPEC,
}
_PURGE = {"type": "list", "elements": "str", "choices": PURGE}

#: The document.
SPEC: dict[str, Any] = {
    "organizations": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **organizations.SPEC,
            **{name: {"type": "list", "elements": "dict", "options": spec} for name, spec in _PARTS.items()},
            **{part.name: part.option for part in OWN},
            "purge": _PURGE,
        },
    },
    "users": {"type": "list", "elements": "dict", "options": users.SPEC},
    "messages": {"type": "list", "elements": "dict", "options": messages.SPEC},
    "purge": {**_PURGE, "default": []},
    "purge_repositories": {"type": "bool", "default": False},
}

#: Who asks.
ME = "/api/v1/user/"


@dataclasses.dataclass
class State:
    """What was read. ``me``: who asks, as far as it matters; ``stored``: what the places for tokens hold."""

    organizations: Mapping[str, Organization]
    me: str = ""
    stored: stores.Stored = dataclasses.field(default_factory=dict)
    users: Mapping[str, Item] = dataclasses.field(default_factory=dict)
    messages: Sequence[Item] = ()


class Content:
    """The document, checked. Raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any], host: str) -> None:
        self._organizations: Sequence[Item] = merge(params["organizations"])
        self._users: list[Item] | None = params["users"]
        self._messages: Sequence[Item] | None = params["messages"]
        self._purge: Sequence[str] = params["purge"]
        self._purge_repositories: bool = params["purge_repositories"]
        self._host = host
        users.check(self._users or [])
        people = {item["name"] for item in present(self._users)}
        for item in self._organizations:
            if item["name"] in people and item["state"] == "present":
                text = "users has one of the same name, and Quay takes a name only once."
                raise InputError(f"organizations[{item['name']}]: {text}")
            self._check(item)
        check_unique(self.places(), "store", lambda place: place[2])

    def _check(self, item: Item) -> None:
        what = f"organizations[{item['name']}]"
        organizations.check(item, what)
        given = [name for name in (*_PARTS, *(part.name for part in OWN)) if item[name]]
        if item["state"] == "absent" and given:
            raise InputError(f"{what}: it shall be absent, and has {given[0]}. Leave out one of both.")
        for name, kind in (
            ("teams", teams),
            ("robots", robots),
            ("repositories", repositories),
            ("default_permissions", default_permissions),
        ):
            kind.check(item[name] or [], f"{what}.{name}")
        for part in OWN:
            if item[part.name]:
                part.check(item[part.name], f"{what}.{part.name}")
        repositories.check_granted(item["repositories"], robots.permissions(item["robots"]), what)
        if item["mirror"] and item["mirror"]["state"] == "present":
            cached = item["proxy_cache"] and item["proxy_cache"]["state"] == "present"
            if cached or item["immutability"]:
                other = "proxy_cache" if cached else "immutability"
                raise InputError(
                    f"{what}: Quay takes no mirror for an organization with {other}. Leave out one of both."
                )

    def places(self) -> list[stores.Place]:
        """Where tokens are stored."""
        found: list[stores.Place] = []
        for item in self._organizations:
            found += [place for robot in present(item["robots"]) for place in stores.places(robot)]
            found += applications.places(item["applications"])
        return found

    def _purges(self, item: Item, part: str) -> bool:
        return part in (self._purge if item["purge"] is None else item["purge"])

    # Reading

    def parts(self, item: Item) -> Parts:
        """What has to be read of an organization: nothing that the document does not speak of."""
        everybody = self._purges(item, "permissions")
        granted = robots.permissions(item["robots"])
        asked: dict[str, Whose] = {
            name: frozenset(map(repositories.holder, entries)) for name, entries in granted.items()
        }
        for repository in present(item["repositories"]):
            name, entries = repository["name"], repository["permissions"]
            if entries is not None:
                whose = frozenset(map(repositories.holder, [*entries, *granted.get(name, [])]))
                asked[name] = None if everybody else whose
        members = any(team["members"] is not None for team in present(item["teams"]))
        kinds = {who.kind for who in mentioned(item)}
        return Parts(
            robots=item["robots"] is not None or members or "robot" in kinds or (everybody and bool(asked)),
            tokens=any(robot["store"] for robot in present(item["robots"])),
            people=members or (bool(asked) and (everybody or "user" in kinds)),
            repositories=item["repositories"] is not None or bool(granted),
            defaults=item["default_permissions"] is not None or (everybody and bool(asked)),
            permissions=asked,
            own=[part for part in OWN if item[part.name] is not None],
            federations=frozenset(it["name"] for it in present(item["robots"]) if it["federation"] is not None),
            of_repositories={it["name"]: repositories.parts(it) for it in present(item["repositories"])},
        )

    def read(self, quay: Quay) -> State:
        """The organizations, in three rounds of requests, and some more for tags; users only where those do not tell enough."""
        answers: dict[str, Any] = {}
        first = [organization_path(item["name"]) for item in self._organizations]
        first += [users.PATH] if self._users is not None else []
        first += [messages.PATH] if self._messages is not None else []
        calls.read(quay, first, answers)
        wanted = [
            (item, self.parts(item))
            for item in present(self._organizations)
            if answers[organization_path(item["name"])] is not None
        ]
        calls.read(quay, [path for item, parts in wanted for path in listings(item["name"], parts)], answers)
        found = {item["name"]: parse(item["name"], parts, answers) for item, parts in wanted}
        more = [path for item, parts in wanted for path in permission_listings(found[item["name"]], parts)]
        for item, parts in wanted:
            have = found[item["name"]]
            more += [*robot_parts(have, parts), *repository_parts(have, parts), *teams.listings(item["teams"], have)]
            more += repositories.tags_needed(item["repositories"], have)
            listed = have.parts.get("applications")
            more += applications.token_paths(item["applications"], listed, organization_path(have.name))
        while more:
            calls.read(quay, more, answers)
            more = [
                path
                for item, _parts in wanted
                for path in repositories.tags_needed(item["repositories"], found[item["name"]])
            ]
        for item, parts in wanted:
            complete(found[item["name"]], parts, answers)
            teams.complete(found[item["name"]], answers)
        for item in self._organizations:
            found.setdefault(item["name"], parse(item["name"], Parts(), answers))
        check_users(quay, self._organizations, self._users, found, answers)
        check_addresses(quay, self._organizations, found, answers)
        check_features(quay, self._organizations, found)
        self._check_tags(quay, found)
        there = {item["username"]: item for item in (answers.get(users.PATH) or {}).get("users", [])}
        shown = (answers.get(messages.PATH) or {}).get("messages", [])
        return State(found, self._me(quay, found), users=there, messages=shown)

    def _me(self, quay: Quay, found: Mapping[str, Organization]) -> str:
        """Who asks: the maker of what is made. A session knows; with a token it is asked for only where it matters."""
        new = any(
            not found[item["name"]].exists
            or (
                self._purges(item, "permissions")
                and any(it["name"] not in found[item["name"]].repositories for it in present(item["repositories"]))
            )
            for item in present(self._organizations)
        )
        if quay.user or not new:
            return quay.user
        try:
            return str(quay.request("GET", ME, about="see who this is")["username"])
        except QuayError as error:
            if error.status == 401:  # a good token without the scope user:read
                return ""
            raise

    def _check_tags(self, quay: Quay, found: Mapping[str, Organization]) -> None:
        """Refuse to purge repositories with tags, unless that is wanted."""
        if self._purge_repositories:
            return
        lost = {
            repositories.tags_path(item["name"], name): f"{item['name']}/{name}"
            for item in present(self._organizations)
            if item["repositories"] is not None and self._purges(item, "repositories")
            for name in repositories.purged(item["repositories"], found[item["name"]])
        }
        answers: dict[str, Any] = {}
        calls.read(quay, lost, answers)
        full = [name for path, name in lost.items() if (answers[path] or {}).get("tags")]
        if full:
            raise InputError(
                f"purge: these repositories have tags and are not in the document: {', '.join(full)}. Add them to it, or set"
                " purge_repositories: true to delete them with all their images."
            )

    # Planning

    def plan(self, state: State, now: float) -> Plan:
        """The changes."""
        plan = Plan()
        plan.changes += users.plan(self._users or [], state.users)
        if self._messages is not None:
            plan.changes += messages.plan(self._messages, state.messages)
        for item in self._organizations:
            have = state.organizations[item["name"]]
            plan.changes += organizations.plan(item, have)
            if item["state"] == "present":
                if not have.exists:
                    have = organizations.begun(item["name"], state.me)
                self._check_references(item, have)
                keeping = stores.Keeping(state.stored, self._host, now)
                plan.changes += self._parts(item, have, state.me, plan.warnings, keeping)
        return plan

    def _parts(
        self, item: Item, have: Organization, me: str, warnings: list[str], keeping: stores.Keeping
    ) -> Iterable[Change]:
        def purges(part: str) -> bool:
            return self._purges(item, part)

        if item["teams"] is not None:
            yield from teams.plan(item["teams"], have, purges("teams"), purges("members"), me)
        if item["robots"] is not None:
            steps, more = robots.plan(item["robots"], have, purges("robots"), keeping)
            yield from steps
            warnings += more
        granted = robots.permissions(item["robots"])
        items: Sequence[Item] | None = item["repositories"]
        if items is not None or granted:
            mentioned_ = {*(it["name"] for it in present(items)), *granted}
            later = _yet_to_come(item, mentioned_, have, warnings)
            granted = {name: entries for name, entries in granted.items() if name not in later}
            how = repositories.Planning(set(filter(purges, PURGE)), me, keeping.now, granted)
            items = None if items is None else [it for it in items if it["name"] not in later]
            yield from repositories.plan(items, have, how)
        if item["default_permissions"] is not None:
            yield from default_permissions.plan(item["default_permissions"], have, purges("default_permissions"))
        base = organization_path(item["name"])
        for part in OWN:
            if item[part.name] is not None:
                answer = have.parts.get(part.name)
                yield from part.plan(item[part.name], answer, base, have.name, have.name, calls.TEAM_AND_ROBOT)
        if item["applications"] is not None:
            listed = have.parts.get("applications")
            steps, more = applications.plan_tokens(item["applications"], have, base, keeping, purges("tokens"))
            yield from steps
            warnings += more
            if purges("applications"):
                yield from applications.purge(item["applications"], listed, base, have.name)

    def _check_references(self, item: Item, have: Organization) -> None:
        """Refuse teams and robots that will not be there."""
        will_be = {"team": after(item["teams"], have.teams, self._purges(item, "teams"), {organizations.OWNERS})}
        will_be["robot"] = after(item["robots"], have.robots, self._purges(item, "robots"), set())
        for who, where in mentions(item):
            if who.kind in will_be and who.name not in will_be[who.kind]:
                raise InputError(
                    f"{where}: organization {item['name']} has no {who.kind} {who.name}. Add it to {who.kind}s, or correct the name."
                )


def merge(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The organizations, each once: what several parts of a document say of one is put together."""
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        there = found.setdefault(item["name"], dict(item))
        for key, value in item.items():
            if value is None or value is there[key]:
                continue
            if there[key] is None:
                there[key] = value
            elif isinstance(value, list) and key != "purge":
                there[key] = [*there[key], *value]
            elif there[key] != value:
                raise InputError(
                    f"organizations[{item['name']}].{key}: one part of the document says {there[key]}, another {value}."
                )
    return list(found.values())


def _yet_to_come(item: Item, names: Iterable[str], have: Organization, warnings: list[str]) -> set[str]:
    """Of these repositories those that an organization which is a mirror has yet to make: nobody else can."""
    if not item["mirror"] or item["mirror"]["state"] == "absent":
        return set()
    if have.repositories and not have.parts.get("mirror"):
        raise InputError(
            f"organizations[{have.name}].mirror: Quay makes a mirror only of an organization without repositories, and this one has"
            f" {next(iter(have.repositories))}."
        )
    later = set(names) - have.repositories.keys()
    if later:
        warnings.append(
            f"Organization {have.name} is a mirror, which alone makes its repositories: {', '.join(sorted(later))} will be as the document"
            " says in a run after that."
        )
    return later
