"""Teams whose members come from elsewhere, and members who have to be invited."""

from __future__ import annotations

from typing import Any

import pytest
from test_quay_content import Site, check_and_run, kinds, site

from support import run_module

__all__ = ["site"]

DEVS = {"group_dn": "cn=devs,dc=example,dc=com"}
OPS = {"group_dn": "cn=ops,dc=example,dc=com"}


def acme(**devs: Any) -> dict[str, Any]:
    return {"name": "acme", "teams": [{"name": "devs", **devs}]}


def team(site: Site) -> dict[str, Any]:
    (found,) = [item for item in site.export()["organizations"][0]["teams"] if item["name"] == "devs"]
    return found


def requests_of(site: Site, *organizations: Any, **more: Any) -> list[str]:
    """Those of a run that changes nothing, without those that sign in."""
    before = len(site.running.quay.requests)
    assert site.run(*organizations, **more)["changes"] == []
    return list(site.running.quay.requests[before + 2 :])


# Teams that are synced


@pytest.fixture
def ldap(site: Site) -> Site:
    site.running.quay.config.update(FEATURE_TEAM_SYNCING=True, AUTHENTICATION_TYPE="LDAP")
    return site


def test_a_team_is_synced_with_a_group_then_another_then_none(ldap: Site) -> None:
    result = check_and_run(ldap, acme(sync=DEVS))
    assert kinds(result)[-1] == ("create", "TeamSync", "devs")
    assert team(ldap)["sync"] == DEVS
    assert ldap.run(*ldap.export()["organizations"])["changes"] == []
    assert len(requests_of(ldap, acme(sync=DEVS))) == 2  # the organization, and the team's group
    assert kinds(check_and_run(ldap, acme(sync=OPS))) == [("update", "TeamSync", "devs")]
    members = [{"user": "alice"}]
    result = check_and_run(ldap, acme(sync={"state": "absent"}, members=members))
    assert kinds(result) == [("delete", "TeamSync", "devs"), ("create", "TeamMember", "devs: user alice")]
    assert team(ldap)["members"] == members


def test_robots_are_in_a_synced_team_as_the_document_says(ldap: Site) -> None:
    wanted = {**acme(sync=DEVS, members=[{"robot": "ci"}]), "robots": [{"name": "ci"}]}
    check_and_run(ldap, wanted)
    assert ldap.run(wanted, purge=["members"])["changes"] == []
    result = check_and_run(ldap, {**wanted, **acme(sync=DEVS, members=[])}, purge=["members"])
    assert kinds(result) == [("delete", "TeamMember", "devs: robot ci")]


def test_a_quay_that_syncs_no_teams_says_so_before_anything_is_written(site: Site) -> None:
    before = len(site.writes())
    result = site.run(acme(sync=DEVS))
    assert "teams[devs].sync: this Quay lacks it. The feature is FEATURE_TEAM_SYNCING: turn it on" in result["msg"]
    assert len(site.writes()) == before


def test_who_is_no_superuser_does_not_see_the_group(ldap: Site) -> None:
    ldap.run(
        {"name": "acme", "teams": [{"name": "owners", "members": [{"user": "alice"}]}]},
        acme(sync=DEVS),
        users=[{"name": "alice", "password": "alice-Pa55word", "update_password": "always"}],
    )
    own = {"quay_host": ldap.running.url, "quay_username": "alice", "quay_password": "alice-Pa55word"}
    result = run_module("quay_content", **own, organizations=[acme(sync=DEVS)])
    assert "Quay does not show which group team devs of organization acme is synced with" in result["msg"]


@pytest.mark.parametrize(
    ("devs", "says"),
    [
        ({"sync": {}}, "sync: give exactly one of group_dn"),
        ({"sync": {**DEVS, "group_id": "x"}}, "sync: give exactly one of group_dn"),
        ({"sync": DEVS, "members": [{"user": "alice"}]}, "members: user alice cannot be in it, because the group"),
        ({"members": [{"email": "nope"}]}, "members.email: 'nope' is not an e-mail address."),
    ],
)
def test_bad_teams_are_refused_before_anything_is_written(ldap: Site, devs: dict[str, Any], says: str) -> None:
    before = len(ldap.writes())
    assert says in ldap.run(acme(**devs))["msg"]
    assert len(ldap.writes()) == before


def test_people_are_not_put_into_a_team_that_is_synced(ldap: Site) -> None:
    ldap.run(acme(sync=DEVS))
    assert "the team is synced with a group elsewhere" in ldap.run(acme(members=[{"user": "alice"}]))["msg"]


# Invitations


@pytest.fixture
def mailing(site: Site) -> Site:
    site.running.quay.config["FEATURE_MAILING"] = True
    return site


def accept(site: Site, name: str, email: str = "") -> None:
    """What happens when somebody follows the link in the mail."""
    database = site.running.quay.database
    (found,) = database.all("SELECT rowid AS id, team FROM team_invitation WHERE email = ? OR email IS NULL", email)
    account = database.account(name) or {}
    database.delete("team_invitation", "rowid", found["id"])
    database.insert("team_member", team=found["team"], account=account["id"])


def test_who_is_invited_is_not_invited_again(mailing: Site) -> None:
    wanted = acme(members=[{"user": "alice"}])
    result = check_and_run(mailing, wanted)
    assert kinds(result)[-1] == ("create", "TeamMember", "devs: user alice")
    assert team(mailing)["members"] == [{"user": "alice"}]
    # the organization, robots, members, collaborators, and who is invited
    assert len(requests_of(mailing, wanted)) == 5
    assert mailing.run(*mailing.export()["organizations"])["changes"] == []
    accept(mailing, "alice")
    assert len(requests_of(mailing, wanted, purge=["members"])) == 4


def test_an_invitation_is_taken_back(mailing: Site) -> None:
    mailing.run(acme(members=[{"user": "alice"}, {"email": "carol@example.com"}]))
    gone = [{"user": "alice", "state": "absent"}, {"email": "carol@example.com", "state": "absent"}]
    result = check_and_run(mailing, acme(members=gone))
    assert kinds(result) == [
        ("delete", "TeamInvitation", "devs: email carol@example.com"),
        ("delete", "TeamMember", "devs: user alice"),
    ]
    assert team(mailing)["members"] == []


def test_an_address_is_invited_until_somebody_has_accepted(mailing: Site) -> None:
    wanted = acme(members=[{"email": "carol@example.com"}])
    result = check_and_run(mailing, wanted)
    assert kinds(result)[-1] == ("create", "TeamInvitation", "devs: email carol@example.com")
    assert mailing.run(*mailing.export()["organizations"])["changes"] == []
    mailing.run(users=[{"name": "carol", "email": "carol@example.com"}])
    accept(mailing, "carol", "carol@example.com")
    assert mailing.run(wanted, purge=["members"])["changes"] == []
    gone = acme(members=[{"email": "carol@example.com", "state": "absent"}])
    assert mailing.run(gone)["changes"] == []  # an address that is in the team has a name


def test_only_a_superuser_sees_whether_an_address_has_accepted(mailing: Site) -> None:
    mailing.run(
        {"name": "acme", "teams": [{"name": "owners", "members": [{"user": "alice"}]}]},
        users=[{"name": "alice", "password": "alice-Pa55word", "update_password": "always"}],
    )
    accept(mailing, "alice")
    own = {"quay_host": mailing.running.url, "quay_username": "alice", "quay_password": "alice-Pa55word"}
    invite = [acme(members=[{"email": "carol@example.com"}])]
    assert run_module("quay_content", **own, organizations=invite)["changed"]
    assert run_module("quay_content", **own, organizations=invite)["changes"] == []
    more = [acme(members=[{"email": "dave@example.com"}])]
    assert (
        "only a superuser sees whether dave@example.com" in run_module("quay_content", **own, organizations=more)["msg"]
    )


def test_a_quay_without_mail_says_so_before_anything_is_written(site: Site) -> None:
    before = len(site.writes())
    result = site.run(acme(members=[{"email": "carol@example.com"}]))
    assert "teams[devs].members: this Quay lacks it. The feature is FEATURE_MAILING: turn it on" in result["msg"]
    assert len(site.writes()) == before
