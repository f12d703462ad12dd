"""For any two documents: the second one is what there is after both, and its export is itself."""

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

ALICE = {"kind": "user", "name": "alice"}
NAMES = ["aa", "bb", "cc"]
ROLES = st.sampled_from(["read", "write", "admin"])
TEXTS = st.sampled_from(["", "one", "two lines\nof text"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
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
LIMITS = [{"type": "reject", "percent": 90}, {"type": "reject", "percent": 100}, {"type": "warning", "percent": 80}]
CACHE = {"insecure": False, "expires_in": "12h"}


def text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def comparable(document: Any) -> Any:
    """Without what shall be absent; lists in which the order does not matter in one order."""
    if isinstance(document, dict):
        return {key: comparable(value) for key, value in document.items() if value != {"state": "absent"}}
    return sorted(map(comparable, document), key=text) if isinstance(document, list) else document


@st.composite
def organizations(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A whole organization, in the order in which an export has it."""
    teams = sorted({*draw(some(NAMES)), "owners"})
    robots = sorted(draw(some(NAMES)))
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
        "robots": [{"name": robot, "description": ""} for robot in robots],
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
            for repository in sorted(draw(some(["web", "web/api", "db"])))
        ],
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


DOCUMENTS = st.tuples(*(organizations(name) for name in ("first", "second")))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=DOCUMENTS, two=DOCUMENTS)
def test_the_last_document_is_what_there_is(site: Site, one: Any, two: Any) -> None:
    purge = {"purge": EVERYTHING, "purge_repositories": True}
    for name in site.running.names("organization"):
        site.call("DELETE", f"/api/v1/organization/{name}")
    for document in (one, two):
        predicted = site.run(*document, **purge, check=True)
        result = site.run(*document, **purge)
        assert "failed" not in result, result["msg"]
        assert (predicted["changes"], predicted["diff"]) == (result["changes"], result["diff"])
        assert site.run(*document, **purge)["changes"] == []
        assert comparable(site.export()["organizations"]) == comparable(list(document))
