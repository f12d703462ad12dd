"""A document that cannot be meant is refused in one sentence, which says where, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quays import RunningQuay
from test_quay_content import Site, acme

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.quay import names
from support import run_module
from world.simulators.quay import repositories, users


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with RunningQuay(tmp_path_factory.mktemp("quay")) as running:
        yield Site(running)


def refused(site: Site, **document: Any) -> str:
    """What it is refused with."""
    before = len(site.writes())
    result = run_module("quay_content", **site.options, **document)
    assert result.get("failed"), result
    assert len(site.writes()) == before
    return str(result["msg"])


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"organisations": []}, "organisations: there is no such option. Did you mean organizations?"),
        (
            {"organizations": [acme(reposotories=[])]},
            "organizations[acme].reposotories: there is no such option. Did you mean repositories?",
        ),
        (
            {"organizations": [acme(repositories=[{"name": "web", "permission": []}])]},
            "organizations[acme].repositories[web].permission: there is no such option. Did you mean permissions?",
        ),
        (
            {"organizations": [acme(quota={"size": "1GiB", "limits": [{"type": "reject", "percentage": 90}]})]},
            "organizations[acme].quota.limits[0].percentage: there is no such option. Did you mean percent?",
        ),
        (
            {"organizations": [acme(teams=[{"name": "devs", "members": [{"group": "x"}]}])]},
            "organizations[acme].teams[devs].members[0].group: there is no such option. There are email, robot, state, user.",
        ),
        (
            {"organizations": [acme(repositories=[{"name": "web", "permissions": [{"user": "bob", "role": "pull"}]}])]},
            "organizations[acme].repositories[web].permissions[0].role: 'pull' is none of read, write, admin.",
        ),
        (
            {"organizations": [acme(teams=[{"name": "devs"}, {"role": "admin"}])]},
            "organizations[acme].teams[1]: name is missing.",
        ),
        ({"users": [{"name": "carol", "state": "gone"}]}, "users[carol].state: 'gone' is none of present, absent."),
        (
            {"users": [{"name": "acme"}], "organizations": [acme()]},
            "organizations[acme]: users has one of the same name, and Quay takes a name only once.",
        ),
        (
            {
                "users": [{"name": "bob", "state": "absent"}],
                "organizations": [acme(teams=[{"name": "devs", "members": [{"user": "bob"}]}])],
            },
            "organizations[acme].teams[devs].members: Quay has no user bob. Add it to users, or correct the name.",
        ),
        ({"organizations": [acme(), acme(state="absent")]}, "one part of the document says present, another absent."),
    ],
)
def test_options_that_cannot_be(site: Site, document: dict[str, Any], says: str) -> None:
    assert says in refused(site, **document)


GOOD = ["aa", "a1", "0a", "a-b", "a_b", "a.b.c", "a" * 255]
BAD = ["", "a", "Acme", "a b", "a/b", "a+b", "-a", "a-", ".a", "a__b", "a--b", "a..b", "a._b", "ä1", "a" * 256]
WRONG_REPOSITORIES = ["", "Web", "we b", "/web", "web/", "a//b", "a..b", "a___b", "-a", "a-", "ä", "a" * 256]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["organizations", "teams", "robots", "users"])
def test_names_that_quay_does_not_take(site: Site, kind: str, name: str) -> None:
    item = [{"name": name}]
    document = {kind: item} if kind in ("organizations", "users") else {"organizations": [acme(**{kind: item})]}
    says = refused(site, **document)
    assert f"{kind}[{name}]" in says
    assert f": Quay does not take the name {name!r}: 2 to 255 lower case letters and digits" in says


@pytest.mark.parametrize("name", WRONG_REPOSITORIES)
def test_names_of_repositories_that_quay_does_not_take(site: Site, name: str) -> None:
    says = refused(site, organizations=[acme(repositories=[{"name": name}])])
    assert f"repositories[{name}]: Quay does not take the name" in says


@given(st.one_of(st.text("aB0._-+/ ", max_size=6), st.sampled_from(GOOD + BAD)))
def test_names_are_held_to_the_rules_of_the_recorded_quay(name: str) -> None:
    assert taken(names.check_account, name) == (not users.why_not_name(name))


@given(st.one_of(st.text("aB0._-+/ ", max_size=6), st.sampled_from(GOOD + WRONG_REPOSITORIES)))
def test_names_of_repositories_are_held_to_the_rules_of_the_recorded_quay(name: str) -> None:
    assert taken(names.check_repository, name) == repositories.valid_name(name)


def taken(check: Any, name: str) -> bool:
    try:
        check(name, "here")
    except InputError:
        return False
    return True


def test_who_has_tried_too_many_passwords_is_told_how_long_to_wait(tmp_path: Path) -> None:
    with RunningQuay(tmp_path) as running:
        site = Site(running)
        database = running.quay.database
        superuser = database.account("quayadmin") or {}
        database.update(
            "account", "id", superuser["id"], invalid_logins=10, last_invalid_login=running.quay.now()
        )  # and waits for 2^10 / 2 seconds
        says = site.run(acme())["msg"]
        assert "Too many login attempts." in says
        assert says.endswith((" Run again in 511 seconds.", " Run again in 510 seconds."))
        assert running.names("organization") == []
