"""Which listings tell the permissions of an organization: the fewest."""

from __future__ import annotations

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay.delegates import Delegate
from ansible_collections.quayside.registry.plugins.module_utils.quay.names import check_repository, seconds, time_of
from ansible_collections.quayside.registry.plugins.module_utils.quay.state import (
    Organization,
    Parts,
    Repository,
    Robot,
    Team,
    permission_listings,
)

ACME = "/api/v1/organization/acme"
REPOSITORY = "/api/v1/repository/acme"
ALICE, CI, DEVELOPERS = Delegate("user", "alice"), Delegate("robot", "ci"), Delegate("team", "developers")


def acme(
    repositories: int, teams: int = 0, robots: int = 0, people: dict[str, frozenset[str]] | None = None
) -> Organization:
    names = [f"r{number}" for number in range(repositories)]
    return Organization(
        "acme",
        True,
        teams={
            **{f"t{number}": Team("member", repositories=1) for number in range(teams)},
            "idle": Team("member"),
        },
        robots={
            **{f"b{number}": Robot(repositories=frozenset(names)) for number in range(robots)},
            "idle": Robot(),
        },
        repositories={name: Repository() for name in names},
        people=people or {},
    )


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        (acme(0), []),
        (acme(5), []),
        (acme(5, teams=1), [f"{ACME}/team/t0/permissions"]),
        (acme(1, teams=3), [f"{REPOSITORY}/r0/permissions/team/"]),
        (acme(5, robots=1), [f"{ACME}/robots/b0/permissions"]),
        (acme(1, robots=3), [f"{REPOSITORY}/r0/permissions/user/"]),
        (acme(3, people={"alice": frozenset({"r1"})}), [f"{REPOSITORY}/r1/permissions/user/"]),
        # that of r0 tells of the robots, too
        (acme(1, robots=1, people={"alice": frozenset({"r0"})}), [f"{REPOSITORY}/r0/permissions/user/"]),
    ],
)
def test_the_fewest_listings_tell_all_permissions(found: Organization, paths: list[str]) -> None:
    assert permission_listings(found, Parts()) == paths


@pytest.mark.parametrize(
    ("whose", "paths"),
    [
        (frozenset(), []),
        (frozenset({Delegate("team", "t0")}), [f"{ACME}/team/t0/permissions"]),
        (frozenset({ALICE}), [f"{REPOSITORY}/r0/permissions/user/"]),
        (frozenset({CI, DEVELOPERS}), []),  # who have none
    ],
)
def test_only_those_are_asked_for_whom_the_document_mentions(whose: frozenset[Delegate], paths: list[str]) -> None:
    found = acme(2, teams=2, robots=2, people={"alice": frozenset({"r0"})})
    assert permission_listings(found, Parts(permissions={"r0": whose, "yet-to-come": None})) == paths


@pytest.mark.parametrize(
    ("text", "number", "shortest"),
    [("2w", 1209600, "2w"), ("14d", 1209600, "2w"), ("36h", 129600, "36h"), ("0s", 0, "0s"), ("90", 90, "90s")],
)
def test_times(text: str, number: int, shortest: str) -> None:
    assert seconds(text, "time") == number
    assert time_of(number) == shortest


@pytest.mark.parametrize("text", ["", "soon", "-1d", "1y", "1.5d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="is not a time"):
        seconds(text, "time")


@pytest.mark.parametrize("name", ["web", "team/api", "a.b_c__d--e", "x" * 255])
def test_names_of_repositories(name: str) -> None:
    check_repository(name, "name")


@pytest.mark.parametrize("name", ["", "Web", "we b", "/web", "web/", "a//b", "-a", "x" * 256, "acme+web"])
def test_names_that_quay_refuses(name: str) -> None:
    with pytest.raises(InputError, match="Quay does not take the name"):
        check_repository(name, "name")
