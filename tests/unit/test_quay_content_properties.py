"""For any two documents: the second one is what there is after both, its export is itself, and makes another Quay alike."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quays import RunningQuay
from test_quay_content import EVERYTHING, Site

from support import run_module

ALICE = {"kind": "user", "name": "alice"}
NAMES = ["aa", "bb", "cc"]
REPOSITORIES = ["db", "web", "web/api"]
ROLES = st.sampled_from(["read", "write", "admin"])
TEXTS = st.sampled_from(["", "one", "two lines\nof text"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder, RunningQuay(Path(folder)) as running:
        yield Site(running)


@pytest.fixture(scope="module")
def other(site: Site) -> Iterator[Site]:
    """Another Quay."""
    with tempfile.TemporaryDirectory() as folder, RunningQuay(Path(folder)) as running:
        yield Site(running)


def some(names: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(sorted(names, key=str)), unique_by=str) if names else st.just([])


PRUNE = [
    {"method": "creation_date", "value": "7d", "tag_pattern": "^v", "tag_pattern_matches": False},
    {"method": "number_of_tags", "value": "10"},
]
IMMUTABLE = [{"tag_pattern": "^v", "tag_pattern_matches": True}, {"tag_pattern": "x", "tag_pattern_matches": False}]
HOOKS = [
    {
        "event": "repo_push",
        "method": "webhook",
        "event_config": {},
        "title": "hook",
        "url": "https://hooks.example.com/a",
    },
    {"event": "repo_push", "method": "quay_notification", "event_config": {}, "title": "", "target": ALICE},
]
FEDERATION = [{"issuer": "https://idp.example.com", "subject": subject} for subject in ("builder", "deployer")]
MESSAGES = [
    {"content": "soon down", "severity": "warning", "media_type": "text/plain"},
    {"content": "*again*", "severity": "info", "media_type": "text/markdown"},
]
LIMITS = [{"type": "reject", "percent": 90}, {"type": "reject", "percent": 100}, {"type": "warning", "percent": 80}]
CACHE = {"insecure": False, "expires_in": "12h"}


def text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def comparable(document: Any) -> Any:
    """Without what shall be absent; lists in which the order does not matter in one order."""
    if isinstance(document, dict):
        left = {key: value for key, value in document.items() if value != {"state": "absent"}}
        return {key: comparable(value) for key, value in left.items() if (key, value) != ("federation", [])}
    return sorted(map(comparable, document), key=text) if isinstance(document, list) else document


def mirrored(robots: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A repository that mirrors another one; Quay has no way to take the mirror away."""
    mirror = {
        "source": st.sampled_from(["quay.io/acme/web", "ghcr.io/acme/web"]),
        "robot": st.sampled_from(robots),
        "tags": st.sampled_from([["latest"], ["v*", "latest"]]),
        "start": st.just("2030-01-02T03:04:05Z"),
        "interval": st.sampled_from(["12h", "1d"]),
        "timeout": st.just("5m"),
        "enabled": st.booleans(),
        "verify_tls": st.booleans(),
        "unsigned_images": st.booleans(),
    }
    whole = {"mirror": st.fixed_dictionaries(mirror, optional={"username": st.just("ann")}), "mode": st.just("mirror")}
    rest: dict[str, Any] = {"visibility": "private", "description": "", "permissions": []}
    rest |= {"auto_prune": [], "immutability": [], "notifications": []}
    return st.fixed_dictionaries({**whole, "name": st.just("zz-copy"), **{key: st.just(rest[key]) for key in rest}})


@st.composite
def organizations(draw: st.DrawFn, name: str, full: bool = False) -> dict[str, Any]:
    """A whole organization, in the order in which an export has it. full: with everything that has a name, and no mirror."""
    teams = [*NAMES, "owners"] if full else sorted({*draw(some(NAMES)), "owners"})
    robots = NAMES if full else sorted(draw(some(NAMES)))
    people = [*({"robot": robot} for robot in robots), {"user": "alice"}, {"user": "bob"}]
    everybody = sorted([*people, *({"team": team} for team in teams)], key=lambda who: sorted(who.items()))
    ordered = {str(who): number for number, who in enumerate(everybody)}

    def some_of(them: list[Any]) -> list[dict[str, str]]:
        return sorted(draw(some(them)), key=lambda who: ordered[str(who)])

    def team(of: str) -> dict[str, Any]:
        if of == "owners":
            return {
                "name": of,
                "role": "admin",
                "description": "",
                "members": [*some_of(people), {"user": "quayadmin"}],
            }
        role = draw(st.sampled_from(["member", "creator", "admin"]))
        return {"name": of, "role": role, "description": draw(TEXTS), "members": some_of(people)}

    defaults = [
        {**who, "role": draw(ROLES), **creator}
        for who in some_of(everybody)
        for creator in draw(st.sampled_from([[{}], [{"created_by": "alice"}], [{}, {"created_by": "alice"}]]))
    ]
    return {
        "name": name,
        "email": f"{draw(st.sampled_from(NAMES))}@example.com",
        "time_machine": draw(st.sampled_from(["0s", "1d", "1w", "2w", "4w"])),
        "teams": [team(of) for of in teams],
        # a description cannot be changed
        "robots": [{"name": robot, "description": "", "federation": draw(some(FEDERATION))} for robot in robots],
        "repositories": [
            {
                "name": repository,
                "visibility": draw(st.sampled_from(["private", "public"])),
                "description": draw(TEXTS),
                "mode": draw(st.sampled_from(["normal", "read_only"])),
                "permissions": [{**who, "role": draw(ROLES)} for who in some_of(everybody)],
                "auto_prune": draw(some(PRUNE)),
                "immutability": draw(some(IMMUTABLE)),
                "notifications": draw(some(HOOKS)),
            }
            for repository in (REPOSITORIES if full else sorted(draw(some(REPOSITORIES))))
        ]
        + draw(st.lists(mirrored(robots), max_size=1) if robots and not full else st.just([])),
        "default_permissions": defaults,
        "quota": draw(
            st.one_of(
                st.just({"state": "absent"}),
                st.fixed_dictionaries({"size": st.sampled_from(["1GiB", "20GiB", "1000"]), "limits": some(LIMITS)}),
            )
        ),
        "auto_prune": draw(some(PRUNE)),
        "immutability": draw(some(IMMUTABLE)),
        "proxy_cache": draw(
            st.sampled_from([{"state": "absent"}, {**CACHE, "upstream": "docker.io"}, {**CACHE, "upstream": "quay.io"}])
        ),
        "applications": [
            {"name": "terraform", "description": draw(TEXTS), "redirect_uri": draw(TEXTS), "application_uri": ""}
        ],
    }


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """All that a Quay has."""
    alice = {"name": "alice", "email": "alice@example.com", "enabled": draw(st.booleans())}
    others = [alice, {"name": "bob", "email": "bob@example.com", "enabled": True}]
    email = {"email": "carol@example.com"} if draw(st.booleans()) else {}
    carol = {"name": "carol", **email, "enabled": True} if email else {"name": "carol", "state": "absent"}
    return {
        "organizations": [draw(organizations(name)) for name in ("first", "second")],
        "users": [*others, carol],
        "messages": draw(some(MESSAGES)),
    }


def emptied(site: Site) -> Site:
    """Without organizations and what they leave behind."""
    for name in site.running.names("organization"):
        site.call("DELETE", f"/api/v1/organization/{name}")
    run_module("quay_content", **site.options, users=[{"name": "carol", "state": "absent"}], messages=[])
    return site


def there(site: Site) -> Any:
    """What there is, without the superuser whom nobody can change."""
    found = site.export(users=True)
    found["users"] = [user for user in found["users"] if user["name"] != "quayadmin"]
    return comparable(found)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=documents(), two=documents())
def test_the_last_document_is_what_there_is(site: Site, other: Site, one: Any, two: Any) -> None:
    purge = {"purge": EVERYTHING, "purge_repositories": True}

    def run(where: Site, document: Any, check: bool = False) -> Any:
        return run_module("quay_content", check=check, **where.options, **document, **purge)

    emptied(site)
    for document in (one, two):
        predicted = run(site, document, check=True)
        result = run(site, document)
        assert "failed" not in result, result["msg"]
        assert (predicted["changes"], predicted["diff"]) == (result["changes"], result["diff"])
        assert run(site, document)["changes"] == []
        left = [user for user in document["users"] if "state" not in user]
        assert there(site) == comparable({**document, "users": left})
    export = site.export(users=True)
    result = run(emptied(other), export)
    assert "failed" not in result, result["msg"]
    assert comparable(other.export(users=True)) == comparable(export)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=documents(), data=st.data())
def test_a_document_in_parts_is_the_same_document(site: Site, document: Any, data: st.DataObject) -> None:
    emptied(site)
    parts = []
    for whole in document["organizations"]:
        pieces: list[dict[str, Any]] = [{"name": whole["name"]} for _piece in range(3)]
        for key, value in whole.items():
            for item in value if isinstance(value, list) else [value]:
                piece = data.draw(st.sampled_from(pieces))
                piece[key] = [*piece.get(key, []), item] if isinstance(value, list) else item
            if value == []:
                pieces[0][key] = []
        parts += pieces
    order = data.draw(st.permutations(parts))
    whole, split = (site.run(*them, check=True)["changes"] for them in (document["organizations"], order))
    assert sorted(map(text, whole)) == sorted(map(text, split))


#: What tells an item of a list from the others, where they have no name.
IDENTITY = ("name", "user", "robot", "team", "created_by")
#: Lists that a document says whole.
WHOLE = ("auto_prune", "immutability", "notifications", "federation", "limits")


@st.composite
def parts_of(draw: st.DrawFn, item: Any) -> Any:
    """What a document may say of it: not every attribute, not every item."""
    if isinstance(item, list):
        return [draw(parts_of(one)) for one in item if draw(st.booleans())]
    if not isinstance(item, dict):
        return item
    whole = (*WHOLE, "quota", "proxy_cache")
    return {
        key: value if key in whole else draw(parts_of(value))
        for key, value in item.items()
        if key in (*IDENTITY, "role") or draw(st.booleans())
    }


def identity(item: Any) -> str:
    return text({key: item[key] for key in IDENTITY if key in item})


def together(there: Any, said: Any) -> Any:
    """What there is when a document has been applied to what there was, without purge."""
    if not isinstance(said, dict):
        return said
    found = dict(there)
    for key, value in said.items():
        if isinstance(value, list) and key not in WHOLE:
            items = {identity(item): item for item in there[key]}
            items |= {identity(item): together(items.get(identity(item), {}), item) for item in value}
            found[key] = list(items.values())
        elif isinstance(value, dict):
            found[key] = value
        else:
            found[key] = together(there.get(key), value)
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(whole=organizations("first", full=True), other=organizations("first", full=True), data=st.data())
def test_what_a_document_does_not_speak_of_stays(site: Site, whole: Any, other: Any, data: st.DataObject) -> None:
    emptied(site)
    assert "failed" not in site.run(whole, purge=EVERYTHING)
    said = data.draw(parts_of(other))
    result = site.run(said)
    assert "failed" not in result, result["msg"]
    assert site.run(said)["changes"] == []
    assert comparable(site.export()["organizations"]) == comparable([together(whole, said)])
