"""Organizations that mirror a namespace of another registry, and the time that Quay keeps itself once a mirror has begun."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_quay_content import EVERYTHING, Site, check_and_run, kinds, site

__all__ = ["site"]

MIRROR = {
    "type": "quay",
    "url": "https://quay.example.net",
    "namespace": "upstream",
    "robot": "mirror",
    "start": "2030-01-02T03:04:05Z",
}


def acme(*repositories: dict[str, Any], **mirror: Any) -> dict[str, Any]:
    more = {"repositories": list(repositories)} if repositories else {}
    return {"name": "acme", "robots": [{"name": "mirror"}], "mirror": {**MIRROR, **mirror}, **more}


@pytest.fixture(autouse=True)
def allowed(site: Site) -> None:
    site.running.quay.config["SSRF_ALLOWED_HOSTS"] = ["quay.example.net", "quay.io"]


def test_a_mirror_is_made_changed_and_taken_away(site: Site) -> None:
    credentials = {"username": "ann", "password": "s3cret-upstream"}
    result = check_and_run(site, acme(repositories=["web", "team-*"], **credentials))
    assert kinds(result)[-1] == ("create", "OrganizationMirror", "acme")
    assert "s3cret" not in json.dumps(result)
    (found,) = site.export()["organizations"]
    assert (found["mirror"]["repositories"], found["mirror"]["username"]) == (["web", "team-*"], "ann")
    assert {"kind": "OrganizationMirror", "namespace": "acme", "name": "acme"} in site.left_out()
    assert site.run(found, purge=EVERYTHING)["changes"] == []
    changed = acme(interval="12h", timeout="30s", visibility="public", https_proxy="http://proxy.example.com:3128")
    assert kinds(check_and_run(site, changed)) == [("update", "OrganizationMirror", "acme")]
    gone = {"name": "acme", "mirror": {"state": "absent"}, "repositories": [{"name": "web"}]}
    result = check_and_run(site, gone)
    assert kinds(result) == [("delete", "OrganizationMirror", "acme"), ("create", "Repository", "web")]


def test_repositories_that_the_mirror_has_yet_to_make_are_a_warning(site: Site) -> None:
    web = {"name": "web", "permissions": [{"user": "alice", "role": "read"}]}
    api = {"name": "mirror", "permissions": [{"repository": "api", "role": "read"}]}
    result = site.run({**acme(web), "robots": [api]})
    assert "Repository" not in [item["kind"] for item in result["changes"]]
    assert "api, web will be as the document says in a run after that." in result["warnings"][0]
    account = site.running.quay.database.account
    site.running.quay.create_repository(account("acme"), "web", account("quayadmin"), False, "")
    result = check_and_run(site, acme(web))
    assert kinds(result) == [("create", "RepositoryPermission", "web: user alice")]


def test_an_organization_with_repositories_becomes_no_mirror(site: Site) -> None:
    site.run({"name": "acme", "repositories": [{"name": "web"}]})
    before = len(site.writes())
    assert "only of an organization without repositories" in site.run(acme({"name": "web"}))["msg"]
    assert len(site.writes()) == before


def test_a_quay_without_mirrors_of_organizations_says_so(site: Site) -> None:
    site.running.quay.config["FEATURE_ORG_MIRROR"] = False
    site.run({"name": "acme"})
    before = len(site.writes())
    assert "The feature is FEATURE_ORG_MIRROR: turn it on" in site.run(acme())["msg"]
    assert len(site.writes()) == before


@pytest.mark.parametrize(
    ("organization", "says"),
    [
        ({"mirror": {"state": "present"}}, "mirror: give type and url and namespace and robot and start."),
        (acme(url="quay.io"), "mirror.url: 'quay.io' is not a URL of https or http."),
        (acme(start="tomorrow"), "mirror.start: 'tomorrow' is not a time"),
        (acme(interval="10s"), "mirror.interval must be at least 1m."),
        (acme(timeout="10s"), "mirror.timeout must be at least 30s."),
        (acme(timeout="2h"), "mirror.timeout must be at most 1h."),
        (acme(password="x"), "mirror: give username with password."),
        (acme(robot="other"), "mirror.robot: organization acme has no robot other."),
        (
            {**acme(), "proxy_cache": {"upstream": "docker.io"}},
            "Quay takes no mirror for an organization with proxy_cache",
        ),
        (
            {**acme(), "immutability": [{"tag_pattern": "v"}]},
            "Quay takes no mirror for an organization with immutability",
        ),
    ],
)
def test_bad_mirrors_are_refused_before_anything_is_written(
    site: Site, organization: dict[str, Any], says: str
) -> None:
    before = len(site.writes())
    assert says in site.run({"name": "acme", **organization})["msg"]
    assert len(site.writes()) == before


def test_the_type_cannot_be_changed(site: Site) -> None:
    site.run(acme())
    assert "mirror.type: Quay's API cannot change it from quay to harbor." in site.run(acme(type="harbor"))["msg"]


@pytest.mark.parametrize("table", ["mirror", "organization_mirror"])
def test_quay_keeps_the_time_of_a_mirror_that_has_begun(site: Site, table: str) -> None:
    begun = {"start": "2020-01-02T03:04:05Z"}
    wanted: dict[str, Any] = acme(**begun)
    if table == "mirror":
        source = {"source": "quay.io/acme/web", "robot": "mirror", "tags": ["v*"]}
        wanted = {**wanted, "repositories": [{"name": "web", "mirror": {**source, **begun}}]}
        del wanted["mirror"]
    site.run(wanted)
    database = site.running.quay.database
    (row,) = database.all(f"SELECT * FROM {table}")
    content = {**json.loads(row["content"]), "sync_start_date": "2036-01-02T03:04:05.123456Z"}
    key = next(key for key in ("repository", "organization") if key in row)
    database.update(table, key, row[key], content=json.dumps(content))
    assert site.run(wanted)["changes"] == []
    assert site.run(*site.export()["organizations"])["changes"] == []
    if table == "mirror":
        wanted["repositories"][0]["mirror"]["start"] = "2030-01-02T03:04:05Z"
    else:
        wanted["mirror"]["start"] = "2030-01-02T03:04:05Z"
    assert [item[0] for item in kinds(check_and_run(site, wanted))] == ["update"]


def test_the_mirror_of_a_repository_is_never_deleted(site: Site) -> None:
    """Quay would take it for deleting the repository acme/web/mirror."""
    source = {"source": "quay.io/acme/web", "robot": "mirror", "tags": ["v*"], "start": "2030-01-02T03:04:05Z"}
    organization = {"name": "acme", "robots": [{"name": "mirror"}]}
    site.run({**organization, "repositories": [{"name": "web", "mirror": source}]})
    # made by hand: the document refuses the name
    site.post(
        "/api/v1/repository",
        {
            "namespace": "acme",
            "repository": "web/mirror",
            "visibility": "private",
            "description": "",
            "repo_kind": "image",
        },
    )
    for repository in (
        {"name": "web", "mirror": {**source, "enabled": False}},
        {"name": "web"},
        {"name": "web", "state": "absent"},
    ):
        site.run({**organization, "repositories": [repository]})
    refused = site.run({**organization, "repositories": []}, purge=["repositories"])
    assert "purge would delete repository 'web/mirror'" in refused["msg"]
    absent = site.run({**organization, "repositories": [{"name": "web/mirror", "state": "absent"}]})
    assert "a part of repository 'web'" in absent["msg"]
    assert not [item for item in site.running.quay.requests if item.startswith("DELETE") and item.endswith("/mirror")]
