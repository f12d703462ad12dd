"""For any two documents: the second one is what there is after both, and its export is itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quays import RunningQuay
from test_quay_content import EVERYTHING, Site

NAMES = ["aa", "bb", "cc"]
ROLES = st.sampled_from(["read", "write", "admin"])
TEXTS = st.sampled_from(["", "one", "two lines\nof text"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as folder, RunningQuay(Path(folder)) as running:
        yield Site(running)


def some(names: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(sorted(names, key=str)), unique_by=str) if names else st.just([])


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
            }
            for repository in sorted(draw(some(["web", "web/api", "db"])))
        ],
        "default_permissions": defaults,
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
        assert site.export()["organizations"] == list(document)
