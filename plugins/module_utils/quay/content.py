# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole Quay as one document: what has to be read for it, the plan, and the document of what there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan
from ansible_collections.quayside.registry.plugins.module_utils.quay import (
    calls,
    default_permissions,
    messages,
    organizations,
    repositories,
    robots,
    teams,
    users,
)
from ansible_collections.quayside.registry.plugins.module_utils.quay.applications import Applications
from ansible_collections.quayside.registry.plugins.module_utils.quay.calls import organization_path
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import MissingApi, Quay, QuayError
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import Item, absent, check_unique, present
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
PURGE = ["teams", "members", "robots", "repositories", "permissions", "default_permissions"]

#: The parts of an organization that have requests of their own.
OWN: Sequence[Part] = (Quota(), PRUNE, IMMUTABLE, ProxyCache(), Applications())

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

_ME = "/api/v1/user/"


@dataclasses.dataclass
class State:
    """What was read. ``me``: who asks, as far as it matters; ``stored``: what the places for tokens hold."""

    organizations: Mapping[str, Organization]
    me: str = ""
    stored: robots.Stored = dataclasses.field(default_factory=dict)
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
        wanted = [robots.places(robot) for robot in present(item["robots"])]
        check_unique((place for found in wanted for place in found), f"{what}.robots.store", lambda place: place[2])

    def places(self) -> list[robots.Place]:
        """Where tokens are stored."""
        return [
            place for item in self._organizations for robot in present(item["robots"]) for place in robots.places(robot)
        ]

    def _purges(self, item: Item, part: str) -> bool:
        return part in (self._purge if item["purge"] is None else item["purge"])

    # Reading

    def parts(self, item: Item) -> Parts:
        """What has to be read of an organization: nothing that the document does not speak of."""
        everybody = self._purges(item, "permissions")
        asked: dict[str, Whose] = {
            repository["name"]: None if everybody else frozenset(map(repositories.holder, repository["permissions"]))
            for repository in present(item["repositories"])
            if repository["permissions"] is not None
        }
        members = any(team["members"] is not None for team in present(item["teams"]))
        kinds = {who.kind for who in _mentioned(item)}
        return Parts(
            robots=item["robots"] is not None or members or "robot" in kinds or (everybody and bool(asked)),
            tokens=any(robot["store"] for robot in present(item["robots"])),
            people=members or (bool(asked) and (everybody or "user" in kinds)),
            repositories=item["repositories"] is not None,
            defaults=item["default_permissions"] is not None or (everybody and bool(asked)),
            permissions=asked,
            own=[part for part in OWN if item[part.name] is not None],
            federations=frozenset(it["name"] for it in present(item["robots"]) if it["federation"] is not None),
            of_repositories={it["name"]: repositories.parts(it) for it in present(item["repositories"])},
        )

    def read(self, quay: Quay) -> State:
        """The organizations, in three rounds of requests; users only where somebody is mentioned that those do not show."""
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
            more += [*robot_parts(found[item["name"]], parts), *repository_parts(found[item["name"]], parts)]
        calls.read(quay, more, answers)
        for item, parts in wanted:
            complete(found[item["name"]], parts, answers)
        for item in self._organizations:
            found.setdefault(item["name"], parse(item["name"], Parts(), answers))
        self._check_users(quay, found, answers)
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
            return str(quay.request("GET", _ME, about="see who this is")["username"])
        except QuayError as error:
            if error.status == 401:  # a good token without the scope user:read
                return ""
            raise

    def _check_users(self, quay: Quay, found: Mapping[str, Organization], answers: dict[str, Any]) -> None:
        """Refuse users that Quay does not have, before anything is written."""
        unknown: dict[str, str] = {}
        for item in present(self._organizations):
            have = found[item["name"]]
            known = {*have.people, quay.user}
            known |= {default.delegate.name for default in have.defaults if default.delegate.kind == "user"}
            known |= {default.created_by for default in have.defaults}
            for who, where in _mentions(item):
                if who.kind == "user" and who.name not in known:
                    unknown.setdefault(who.name, where)
        made = {item["name"] for item in present(self._users)}
        gone = {item["name"] for item in absent(self._users)}
        if not unknown.keys() - made:
            return
        try:
            calls.read(quay, [users.PATH], answers)
        except MissingApi:
            return
        except QuayError as error:
            if error.status == 403:  # no superuser: Quay itself will say
                return
            raise
        there = {item["username"] for item in answers[users.PATH]["users"]} - gone | made
        for name in sorted(unknown.keys() - there):
            raise InputError(f"{unknown[name]}: Quay has no user {name}. Add it to users, or correct the name.")

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
                plan.changes += self._parts(item, have, state, plan.warnings, now)
        return plan

    def _parts(self, item: Item, have: Organization, state: State, warnings: list[str], now: float) -> Iterable[Change]:
        def purges(part: str) -> bool:
            return self._purges(item, part)

        if item["teams"] is not None:
            yield from teams.plan(item["teams"], have, purges("teams"), purges("members"), state.me)
        if item["robots"] is not None:
            steps, more = robots.plan(item["robots"], have, purges("robots"), state.stored, self._host, now)
            yield from steps
            warnings += more
        if item["repositories"] is not None:
            yield from repositories.plan(
                item["repositories"], have, purges("repositories"), purges("permissions"), state.me
            )
        if item["default_permissions"] is not None:
            yield from default_permissions.plan(item["default_permissions"], have, purges("default_permissions"))
        base = organization_path(item["name"])
        for part in OWN:
            if item[part.name] is not None:
                answer = have.parts.get(part.name)
                yield from part.plan(item[part.name], answer, base, have.name, have.name, calls.TEAM_AND_ROBOT)

    def _check_references(self, item: Item, have: Organization) -> None:
        """Refuse teams and robots that will not be there."""
        will_be = {"team": _after(item["teams"], have.teams, self._purges(item, "teams"), {organizations.OWNERS})}
        will_be["robot"] = _after(item["robots"], have.robots, self._purges(item, "robots"), set())
        for who, where in _mentions(item):
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


def _after(items: Sequence[Item] | None, there: Iterable[str], purge: bool, always: set[str]) -> set[str]:
    """The names that will be there."""
    names = {item["name"] for item in present(items)}
    kept = set() if items is not None and purge else set(there)
    return names | always | (kept - {item["name"] for item in absent(items)})


def _mentions(item: Item) -> Iterable[tuple[Delegate, str]]:
    """Everybody who shall get something, and where the document says so."""
    what = f"organizations[{item['name']}]"
    for team in present(item["teams"]):
        for entry in present(team["members"]):
            yield teams.member(entry), f"{what}.teams[{team['name']}].members"
    for repository in present(item["repositories"]):
        for entry in present(repository["permissions"]):
            yield repositories.holder(entry), f"{what}.repositories[{repository['name']}].permissions"
        if repository["mirror"]:
            mirror = Delegate("robot", repository["mirror"]["robot"])
            yield mirror, f"{what}.repositories[{repository['name']}].mirror.robot"
    for entry in present(item["default_permissions"]):
        where = f"{what}.default_permissions"
        yield default_permissions.key(entry)[0], where
        creator = entry["created_by"] or ""
        if creator:
            namespace, plus, short = creator.partition("+")
            if not plus:
                yield Delegate("user", creator), f"{where}.created_by"
            elif namespace == item["name"]:
                yield Delegate("robot", short), f"{where}.created_by"


def _mentioned(item: Item) -> set[Delegate]:
    """Everybody whom the document speaks of, whether present or absent."""
    found = {who for who, _where in _mentions(item)}
    for repository in present(item["repositories"]):
        found |= set(map(repositories.holder, repository["permissions"] or []))
    return found | {default_permissions.key(entry)[0] for entry in item["default_permissions"] or []}


def names(quay: Quay) -> list[str]:
    """The organizations that whoever asks can see: a superuser all, anybody else those that he administers."""
    try:
        found = quay.request("GET", "/api/v1/superuser/organizations/", about="list the organizations")["organizations"]
    except QuayError as error:
        if error.status != 403 and not isinstance(error, MissingApi):
            raise
        own = quay.request("GET", _ME, about="list one's own organizations")["organizations"]
        found = [item for item in own if item["is_org_admin"]]
    return sorted(item["name"] for item in found)


def export(quay: Quay, wanted: Sequence[str], with_users: bool) -> dict[str, Any]:
    """The document of these organizations. Raises InputError for one that is not there. Parts that this Quay lacks are left out."""
    answers: dict[str, Any] = {}
    calls.read(quay, map(organization_path, wanted), answers)
    for name in wanted:
        if answers[organization_path(name)] is None:
            raise InputError(f"organizations: Quay has no organization {name}.")
    parts = _offered(quay)
    calls.read(quay, [path for name in wanted for path in listings(name, parts)], answers)
    found = [parse(name, parts, answers) for name in wanted]
    more = [path for have in found for path in permission_listings(have, parts)]
    more += [path for have in found for path in (*robot_parts(have, parts), *repository_parts(have, parts))]
    calls.read(quay, more, answers)
    for have in found:
        complete(have, parts, answers)
    content: dict[str, Any] = {"organizations": [_exported(have, parts.own) for have in found]}
    if with_users:
        calls.read(quay, [users.PATH, messages.PATH], answers)
        there = {item["username"]: item for item in answers[users.PATH]["users"]}
        content["users"] = users.exported(there)
        content["messages"] = [messages.shown(item) for item in answers[messages.PATH]["messages"]]
    return content


def _offered(quay: Quay) -> Parts:
    """Everything that this Quay has, as its discovery document says."""
    document = quay.request("GET", "/api/v1/discovery", about="see which features Quay has")["paths"]
    organization, repository = "/api/v1/organization/{orgname}", "/api/v1/repository/{repository}"
    return Parts(
        own=[part for part in OWN if part.path(organization) in document],
        of_repositories=[part for part in repositories.PARTS if part.path(repository) in document],
        federations=None if f"{organization}/robots/{{robot_shortname}}/federation" in document else frozenset(),
    )


def _exported(have: Organization, own: Sequence[Part]) -> dict[str, Any]:
    shown = {key: text for key, text in organizations.shown(have).items() if text}
    parts = {part.name: part.exported(have.parts[part.name]) for part in own}
    return {
        **shown,
        "teams": teams.exported(have),
        "robots": robots.exported(have),
        "repositories": repositories.exported(have),
        "default_permissions": default_permissions.exported(have),
        **{name: value for name, value in parts.items() if value is not None},
    }
