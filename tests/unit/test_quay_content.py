"""A Quay and its document: applied, repeated, purged, exported; refused before anything is written."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from quays import RunningQuay, large_organization

from support import run_module

PASSWORD = "quaypass12345"
EVERYTHING = ["teams", "members", "robots", "repositories", "permissions", "default_permissions"]
READS = 6  # the listings of one organization, before those of permissions


class Site:
    """A Quay with a superuser and the users alice and bob."""

    def __init__(self, running: RunningQuay) -> None:
        self.running = running
        self.options = {"quay_host": running.url, "quay_username": "quayadmin", "quay_password": PASSWORD}
        body = {"username": "quayadmin", "password": PASSWORD, "access_token": True}
        answer = requests.post(f"{running.url}/api/v1/user/initialize", json=body)
        self.bearer = answer.json()["access_token"]
        for name in ("alice", "bob"):
            self.post("/api/v1/superuser/users/", {"username": name, "email": f"{name}@example.com"})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        answer = requests.request(method, self.running.url + path, json=body, headers=headers)
        assert answer.ok, answer.text
        return answer.json() if answer.text else None

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def run(self, *organizations: Any, **more: Any) -> dict[str, Any]:
        return run_module("quay_content", **{**self.options, "organizations": list(organizations), **more})

    def export(self, **more: Any) -> dict[str, Any]:
        result = run_module("quay_content_info", **self.options, **more)
        assert "content" in result, result
        return dict(result["content"])

    def left_out(self) -> list[dict[str, str]]:
        """The secrets that an export leaves out."""
        return list(run_module("quay_content_info", **self.options)["left_out"])

    def writes(self) -> list[str]:
        """The requests so far that wrote, without those that sign in."""
        return [
            item for item in self.running.quay.requests if not item.startswith("GET") and not item.endswith("/signin")
        ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with RunningQuay(tmp_path / "quay") as running:
        yield Site(running)


ACME: dict[str, Any] = {
    "name": "acme",
    "email": "acme@example.com",
    "time_machine": "1w",
    "teams": [
        {
            "name": "developers",
            "role": "creator",
            "description": "write",
            "members": [{"user": "alice"}, {"robot": "ci"}],
        },
        {"name": "owners", "role": "admin", "members": [{"user": "quayadmin"}]},
    ],
    "robots": [{"name": "ci", "description": "builds"}, {"name": "pull"}],
    "repositories": [
        {
            "name": "web",
            "visibility": "public",
            "description": "the site",
            "permissions": [
                {"team": "developers", "role": "write"},
                {"robot": "ci", "role": "write"},
                {"user": "bob", "role": "read"},
            ],
        },
        {"name": "team/api", "mode": "read_only", "permissions": [{"robot": "pull", "role": "read"}]},
    ],
    "default_permissions": [
        {"team": "developers", "role": "read"},
        {"robot": "ci", "role": "write", "created_by": "alice"},
    ],
}


def acme(**parts: Any) -> dict[str, Any]:
    return {"name": "acme", **parts}


def kinds(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["action"], item["kind"], item["name"]) for item in result["changes"]]


def check_and_run(site: Site, *organizations: Any, **more: Any) -> dict[str, Any]:
    """Check mode predicts, the run does exactly that, and the second run changes nothing."""
    before = len(site.writes())
    predicted = site.run(*organizations, check=True, **more)
    assert len(site.writes()) == before
    result = site.run(*organizations, **more)
    assert "failed" not in result, result
    assert (predicted["changes"], predicted["diff"]) == (result["changes"], result["diff"])
    before = len(site.writes())
    again = site.run(*organizations, **more)
    assert (again["changed"], again["changes"]) == (False, []), again
    assert len(site.writes()) == before
    return result


def test_a_document_makes_an_organization_and_all_that_is_in_it(site: Site) -> None:
    result = check_and_run(site, ACME)
    assert kinds(result) == [
        ("create", "Organization", "acme"),
        ("create", "Team", "developers"),
        ("create", "Robot", "ci"),
        ("create", "Robot", "pull"),
        ("create", "TeamMember", "developers: robot ci"),
        ("create", "TeamMember", "developers: user alice"),
        ("create", "Repository", "web"),
        ("create", "Repository", "team/api"),
        ("create", "RepositoryPermission", "web: robot ci"),
        ("create", "RepositoryPermission", "web: team developers"),
        ("create", "RepositoryPermission", "web: user bob"),
        ("create", "RepositoryPermission", "team/api: robot pull"),
        ("create", "DefaultPermission", "team developers"),
        ("create", "DefaultPermission", "robot ci in repositories of alice"),
    ]
    assert json.loads(result["diff"][0]["after"]) == {
        "name": "acme",
        "email": "acme@example.com",
        "time_machine": "1w",
    }


def test_an_export_changes_nothing_and_makes_another_quay_alike(site: Site, tmp_path: Path) -> None:
    site.run(ACME)
    document = site.export()
    (acme,) = document["organizations"]
    assert {item["name"]: item["visibility"] for item in acme["repositories"]} == {
        "team/api": "private",
        "web": "public",
    }
    # who makes a repository administers it
    assert {"user": "quayadmin", "role": "admin"} in acme["repositories"][1]["permissions"]
    again = site.run(*document["organizations"], purge=EVERYTHING)
    assert again["changes"] == []
    with RunningQuay(tmp_path / "other") as running:
        other = Site(running)
        check_and_run(other, *document["organizations"], purge=EVERYTHING)
        assert other.export() == document


def test_an_export_of_what_is_not_there(site: Site) -> None:
    result = run_module("quay_content_info", **site.options, organizations=["nosuch"])
    assert result["msg"] == "organizations: Quay has no organization nosuch."


def test_what_is_not_mentioned_stays_and_is_not_read(site: Site) -> None:
    site.run(ACME)
    before, count = site.export(), len(site.running.quay.requests)
    result = site.run({"name": "acme", "email": "new@example.com"})
    assert kinds(result) == [("update", "Organization", "acme")]
    assert site.running.quay.requests[count + 2 :] == [
        "GET /api/v1/organization/acme",
        "PUT /api/v1/organization/acme",
    ]
    before["organizations"][0]["email"] = "new@example.com"
    assert site.export() == before


def test_a_team_changes_its_role_and_members(site: Site) -> None:
    site.run(ACME)
    team = {
        "name": "developers",
        "role": "member",
        "members": [{"user": "bob"}, {"user": "alice", "state": "absent"}],
    }
    result = check_and_run(site, {"name": "acme", "teams": [team]})
    assert kinds(result) == [
        ("update", "Team", "developers"),
        ("create", "TeamMember", "developers: user bob"),
        ("delete", "TeamMember", "developers: user alice"),
    ]
    (found,) = [item for item in site.export()["organizations"][0]["teams"] if item["name"] == "developers"]
    assert found["members"] == [{"robot": "ci"}, {"user": "bob"}]
    assert found["description"] == "write"


def test_a_repository_changes(site: Site) -> None:
    site.run(ACME)
    web = {
        "name": "web",
        "visibility": "private",
        "description": "",
        "mode": "read_only",
        "permissions": [{"robot": "ci", "role": "read"}, {"user": "bob", "state": "absent"}],
    }
    result = check_and_run(site, {"name": "acme", "repositories": [web]})
    assert kinds(result) == [
        ("update", "Repository", "web"),
        ("update", "RepositoryPermission", "web: robot ci"),
        ("delete", "RepositoryPermission", "web: user bob"),
    ]


def test_a_default_permission_changes_and_goes(site: Site) -> None:
    site.run(ACME)
    defaults = [{"team": "developers", "role": "admin"}, {"robot": "ci", "created_by": "alice", "state": "absent"}]
    result = check_and_run(site, {"name": "acme", "default_permissions": defaults})
    assert [item[0] for item in kinds(result)] == ["update", "delete"]


def test_of_default_permissions_that_are_there_twice_the_first_counts_and_purge_removes_the_rest(site: Site) -> None:
    site.run(ACME)
    body = {"role": "admin", "delegate": {"kind": "team", "name": "developers"}}
    site.post("/api/v1/organization/acme/prototypes", body)
    wanted = {"name": "acme", "default_permissions": ACME["default_permissions"]}
    assert site.run(wanted)["changes"] == []
    result = check_and_run(site, wanted, purge=["default_permissions"])
    assert kinds(result) == [("delete", "DefaultPermission", "team developers")]


def test_purge_takes_away_what_is_not_in_the_document_and_only_that(site: Site) -> None:
    site.run(ACME, {"name": "other", "robots": [{"name": "kept"}]})
    small: dict[str, Any] = {"name": "acme", "teams": [], "robots": [{"name": "ci"}], "repositories": [{"name": "web"}]}
    result = check_and_run(site, {**small, "purge": EVERYTHING}, purge_repositories=True)
    assert sorted(kinds(result)) == [
        ("delete", "Repository", "team/api"),
        ("delete", "Robot", "pull"),
        ("delete", "Team", "developers"),
    ]
    assert [item["robots"] for item in site.export()["organizations"]] == [
        [{"name": "ci", "description": "builds"}],
        [{"name": "kept", "description": ""}],
    ]


def test_purged_permissions_of_a_new_repository_are_exactly_those_of_the_document(site: Site) -> None:
    web = {"name": "web", "permissions": [{"user": "alice", "role": "read"}]}
    result = check_and_run(site, {"name": "acme", "repositories": [web]}, purge=["permissions"])
    assert kinds(result)[-1] == ("delete", "RepositoryPermission", "web: user quayadmin")
    (found,) = site.export()["organizations"][0]["repositories"]
    assert found["permissions"] == [{"user": "alice", "role": "read"}]


def test_an_absent_organization_goes_with_all_that_is_in_it(site: Site) -> None:
    site.run(ACME)
    result = check_and_run(site, {"name": "acme", "state": "absent"})
    assert kinds(result) == [("delete", "Organization", "acme")]
    assert site.export() == {"organizations": []}


def test_items_that_shall_be_absent_go(site: Site) -> None:
    site.run(ACME)
    gone: dict[str, Any] = {
        "name": "acme",
        "teams": [{"name": "developers", "state": "absent"}],
        "robots": [{"name": "pull", "state": "absent"}],
        "repositories": [{"name": "web", "state": "absent"}, {"name": "nosuch", "state": "absent"}],
    }
    assert [item[0] for item in kinds(check_and_run(site, gone))] == ["delete"] * 3


def test_a_token_is_enough(site: Site) -> None:
    site.options = {"quay_host": site.running.url, "quay_token": site.bearer}
    check_and_run(site, ACME, purge=EVERYTHING)


def test_another_run_is_read_in_a_few_requests(site: Site) -> None:
    repositories = [
        {
            "name": f"r{number}",
            "permissions": [{"team": "developers", "role": "read"}, {"robot": "ci", "role": "write"}],
        }
        for number in range(120)
    ]
    wanted = {**ACME, "repositories": repositories}
    site.run(wanted, purge=EVERYTHING)
    count = len(site.running.quay.requests)
    assert site.run(wanted, purge=EVERYTHING)["changes"] == []
    made = site.running.quay.requests[count:]
    sign_in, second_page, team, robot = 2, 1, 1, 1
    assert len(made) == sign_in + READS + second_page + team + robot, made


# The parts with requests of their own

FULL: dict[str, Any] = {
    "name": "acme",
    "quota": {"size": "20GiB", "limits": [{"type": "reject", "percent": 100}, {"type": "warning", "percent": 80}]},
    "auto_prune": [
        {"method": "number_of_tags", "value": "10"},
        {"method": "creation_date", "value": "7d", "tag_pattern": "^v.*", "tag_pattern_matches": False},
    ],
    "immutability": [{"tag_pattern": "^v1"}],
    "applications": [{"name": "terraform", "description": "tf"}],
    "repositories": [
        {
            "name": "web",
            "auto_prune": [{"method": "number_of_tags", "value": "3"}],
            "notifications": [
                {
                    "event": "repo_push",
                    "method": "webhook",
                    "title": "hook",
                    "url": "https://hooks.example.com/T0KEN",
                }
            ],
        }
    ],
}


def test_the_other_parts_are_made_and_kept(site: Site, tmp_path: Path) -> None:
    result = check_and_run(site, FULL)
    assert [item["kind"] for item in result["changes"]] == [
        "Organization",
        "Quota",
        "AutoPrunePolicy",
        "AutoPrunePolicy",
        "ImmutabilityPolicy",
        "OAuthApplication",
        "Repository",
        "RepositoryNotification",
        "AutoPrunePolicy",
    ]
    assert "T0KEN" not in json.dumps(result)
    document = site.export(users=True)
    (found,) = document["organizations"]
    assert {key: found[key] for key in ("quota", "immutability")} == {
        "quota": FULL["quota"],
        "immutability": [{"tag_pattern": "^v1", "tag_pattern_matches": True}],
    }
    assert [item["name"] for item in document["users"]] == ["alice", "bob", "quayadmin"]
    again = run_module("quay_content", **site.options, **document)
    assert again["changes"] == []
    with RunningQuay(tmp_path / "other") as running:
        other = Site(running)
        run_module("quay_content", **other.options, **document)
        assert other.export(users=True) == document


def test_the_other_parts_change(site: Site) -> None:
    site.run(FULL)
    changed = {
        **FULL,
        "quota": {"size": "1TiB", "limits": [{"type": "reject", "percent": 90}]},
        "auto_prune": FULL["auto_prune"][:1],
        "immutability": [],
        "applications": [{"name": "terraform", "redirect_uri": "https://example.com/cb"}],
        "repositories": [{"name": "web", "auto_prune": [], "notifications": []}],
    }
    result = check_and_run(site, changed)
    assert [(item[0], item[1]) for item in kinds(result)] == [
        ("update", "Quota"),
        ("update", "OAuthApplication"),
        ("delete", "RepositoryNotification"),
        ("delete", "AutoPrunePolicy"),
        ("delete", "AutoPrunePolicy"),
        ("delete", "ImmutabilityPolicy"),
    ]
    (found,) = site.export()["organizations"]
    assert found["applications"][0]["description"] == "tf"
    gone = {"name": "acme", "quota": {"state": "absent"}, "applications": [{"name": "terraform", "state": "absent"}]}
    assert [item[0] for item in kinds(check_and_run(site, gone))] == ["delete", "delete"]


def test_a_proxy_cache_is_made_anew_where_it_differs(site: Site) -> None:
    cache = {"upstream": "docker.io", "username": "ann", "password": "s3cret-upstream"}
    site.running.quay.config["SSRF_ALLOWED_HOSTS"] = ["docker.io", "quay.io"]
    result = check_and_run(site, {"name": "hub", "proxy_cache": cache})
    assert kinds(result)[1] == ("create", "ProxyCache", "hub")
    assert "s3cret" not in json.dumps(result)
    other = {**cache, "upstream": "quay.io", "expires_in": "12h"}
    assert kinds(check_and_run(site, {"name": "hub", "proxy_cache": other})) == [("update", "ProxyCache", "hub")]
    gone = {"name": "hub", "proxy_cache": {"state": "absent"}}
    assert kinds(check_and_run(site, gone)) == [("delete", "ProxyCache", "hub")]


def test_a_mirror_is_made_and_changed(site: Site) -> None:
    mirror = {
        "source": "quay.io/acme/web",
        "robot": "ci",
        "tags": ["latest", "v*"],
        "start": "2030-01-02T03:04:05Z",
        "username": "ann",
        "password": "s3cret-upstream",
        "https_proxy": "http://proxy.example.com:3128",
    }

    def document(**more: Any) -> dict[str, Any]:
        return {
            "name": "acme",
            "robots": [{"name": "ci"}],
            "repositories": [{"name": "web", "mirror": {**mirror, **more}}],
        }

    result = check_and_run(site, document())
    assert kinds(result)[-1] == ("create", "RepositoryMirror", "web")
    assert "s3cret" not in json.dumps(result)
    result = check_and_run(site, document(interval="12h", enabled=False, unsigned_images=True))
    assert kinds(result) == [("update", "RepositoryMirror", "web")]
    exported = site.export()["organizations"]
    assert exported[0]["repositories"][0]["mode"] == "mirror"
    assert site.run(*exported, purge=EVERYTHING)["changes"] == []


def test_a_robot_that_a_mirror_uses_goes_with_its_repository_and_not_without_it(site: Site) -> None:
    site.run(acme(robots=[{"name": "ci"}], repositories=[mirrored()]))
    gone = acme(robots=[{"name": "ci", "state": "absent"}])
    assert "Give the mirror another robot." in site.run(gone)["msg"]
    both = {**gone, "repositories": [{"name": "web", "state": "absent"}]}
    assert [item[1] for item in kinds(check_and_run(site, both))] == ["Repository", "Robot"]


def test_a_repository_that_is_no_mirror_any_more_becomes_one_again(site: Site) -> None:
    document = acme(robots=[{"name": "ci"}], repositories=[mirrored()])
    site.run(document)
    site.run(acme(repositories=[{"name": "web", "mode": "normal"}]))
    exported = site.export()["organizations"]
    assert "mirror" not in exported[0]["repositories"][0]
    assert site.run(*exported)["changes"] == []
    assert kinds(check_and_run(site, document)) == [("update", "Repository", "web")]
    assert site.export()["organizations"][0]["repositories"][0]["mode"] == "mirror"


def test_of_two_that_are_the_same_one_is_enough(site: Site) -> None:
    site.run(FULL)
    body = {"event": "repo_push", "method": "webhook", "config": {"url": "https://hooks.example.com/T0KEN"}}
    path = "/api/v1/repository/acme/web/notification/"
    site.post(path, {**body, "eventConfig": {}, "title": "hook"})
    assert kinds(check_and_run(site, FULL)) == [("delete", "RepositoryNotification", "web: repo_push by webhook")]


def test_users_come_change_and_go(site: Site) -> None:
    carol = {"name": "carol", "email": "carol@example.com", "password": "carol-Pa55word", "enabled": False}
    result = check_and_run(
        site, {"name": "acme", "teams": [{"name": "devs", "members": [{"user": "carol"}]}]}, users=[carol]
    )
    assert kinds(result)[0] == ("create", "User", "carol")
    assert "carol-Pa55word" not in json.dumps(result)
    assert kinds(check_and_run(site, users=[{"name": "carol", "enabled": True}])) == [("update", "User", "carol")]
    always = {"name": "carol", "password": "another-Pa55word", "update_password": "always"}
    assert site.run(users=[always])["changed"]
    signed_in = {**site.options, "quay_username": "carol", "quay_password": "another-Pa55word"}
    assert run_module("quay_content", **signed_in, organizations=[])["changes"] == []
    assert kinds(check_and_run(site, users=[{"name": "carol", "state": "absent"}])) == [("delete", "User", "carol")]


def test_messages_are_those_of_the_document(site: Site) -> None:
    one, two = {"content": "soon down"}, {"content": "up again", "severity": "warning"}
    assert kinds(check_and_run(site, messages=[one])) == [("create", "Message", "soon down")]
    result = check_and_run(site, messages=[two])
    assert kinds(result) == [("create", "Message", "up again"), ("delete", "Message", "soon down")]


@pytest.mark.parametrize(
    ("feature", "part"),
    [
        ("FEATURE_QUOTA_MANAGEMENT", {"quota": {"size": "1GiB"}}),
        ("FEATURE_PROXY_CACHE", {"proxy_cache": {"upstream": "docker.io"}}),
        ("FEATURE_AUTO_PRUNE", {"auto_prune": [{"method": "creation_date", "value": "7d"}]}),
    ],
)
def test_a_feature_that_quay_lacks_is_named_where_the_document_asks_for_it(
    site: Site, feature: str, part: dict[str, Any]
) -> None:
    site.running.quay.config[feature] = False
    site.run({"name": "acme"})
    before = len(site.writes())
    assert f"The feature is {feature}: turn it on" in site.run({"name": "acme", **part})["msg"]
    assert len(site.writes()) == before
    assert site.run(*site.export()["organizations"])["changes"] == []


def test_a_purge_of_repositories_with_tags_is_refused(site: Site) -> None:
    site.run(ACME)
    site.running.quay.push("acme", "web", "latest")
    empty = {"name": "acme", "repositories": [], "purge": ["repositories"]}
    before = len(site.writes())
    assert "these repositories have tags and are not in the document: acme/web." in site.run(empty)["msg"]
    assert len(site.writes()) == before
    assert len(check_and_run(site, empty, purge_repositories=True)["changes"]) == 2


def undocumented(site: Site, begin: int) -> set[str]:
    """The requests since the first ``begin`` that are not in the recorded discovery document."""
    file = Path(__file__).parent.parent / "world" / "recordings" / "quay_discovery.json"
    paths = json.loads(file.read_text())
    known = {
        (method.upper(), re.compile(re.sub(r"\\{[^}]*\\}", "[^?]+", re.escape(path))))
        for path, methods in paths.items()
        for method in methods
    }
    # recorded, and not in the document
    others = {"GET /csrf_token", "POST /api/v1/signin", "GET /api/v1/superuser/organizations/"}
    return {
        item
        for item in set(site.running.quay.requests[begin:]) - others
        if not any(item.split()[0] == method and pattern.fullmatch(item.split()[1]) for method, pattern in known)
    }


def test_every_request_is_one_that_the_recorded_quay_documents(site: Site) -> None:
    begin = len(site.running.quay.requests)
    more = acme(repositories=[{**mirrored(), "name": "mirrored"}])
    mirrored_later = acme(repositories=[{**mirrored(interval="2d"), "name": "mirrored"}])
    emptied = acme(**{part: [] for part in ("teams", "robots", "repositories", "auto_prune", "immutability")})
    for document, options in (
        (ACME, {"users": [{"name": "carol", "enabled": False}], "messages": [{"content": "soon"}]}),
        (FULL, {}),
        (more, {}),
        (mirrored_later, {}),
        (acme(quota={"size": "1TiB", "limits": []}), {"messages": []}),
        (acme(repositories=[{"name": "web", "visibility": "private", "mode": "normal", "permissions": []}]), {}),
        ({**emptied, "quota": {"state": "absent"}}, {"purge": EVERYTHING}),
        (acme(state="absent"), {"users": [{"name": "carol", "state": "absent"}]}),
    ):
        result = site.run(document, **options)
        assert result.get("changed"), result
        site.export()
    assert not undocumented(site, begin)
    assert len(set(site.running.quay.requests[begin:])) > 40


def test_every_request_for_tags_tokens_and_organization_mirrors_is_documented(site: Site, tmp_path: Path) -> None:
    site.running.quay.config["SSRF_ALLOWED_HOSTS"] = ["quay.example.net"]
    site.run(acme(repositories=[{"name": "web"}]))
    earlier, _now = (site.running.quay.push("acme", "web", "v1") for _image in range(2))
    begin = len(site.running.quay.requests)
    token = {"name": "plan", "scopes": ["repo:read"], "store": {"file": str(tmp_path / "plan.json")}}
    mirror = {"type": "quay", "url": "https://quay.example.net", "namespace": "up", "robot": "ci"}
    mirror["start"] = "2030-01-02T03:04:05Z"
    label = {"key": "team", "value": "devs"}
    tagged = {"name": "v1", "expires": "never", "labels": [label], "immutable": True}

    def web(*tags: dict[str, Any], **more: Any) -> dict[str, Any]:
        return acme(repositories=[{"name": "web", "tags": list(tags), **more}])

    for document, purge in (
        (acme(applications=[{"name": "terraform", "tokens": [token]}]), []),
        (acme(applications=[{"name": "terraform", "tokens": []}]), ["tokens"]),
        (acme(applications=[]), ["applications"]),
        ({"name": "copy", "robots": [{"name": "ci"}], "mirror": mirror}, []),
        ({"name": "copy", "mirror": {**mirror, "interval": "2d"}}, []),
        ({"name": "copy", "mirror": {"state": "absent"}}, []),
        (web(tagged, star=True), []),
        (web({**tagged, "immutable": False, "labels": []}), ["labels"]),
        (web({"name": "v1", "digest": earlier, "expires": "2035-01-01T00:00:00Z"}), []),
        (web({"name": "new", "digest": earlier, "labels": [label]}), []),
        (web({"name": "v1", "state": "absent"}, star=False), []),
        (web({"name": "v1"}), []),
    ):
        result = site.run(document, purge=purge)
        assert result.get("changed"), result
        site.export(tags=True)
    assert not undocumented(site, begin)
    assert site.running.unrecorded() == []


@pytest.mark.parametrize(("spread", "listings"), [(False, 3), (True, 25)])
def test_requests_grow_with_organizations_alone(site: Site, spread: bool, listings: int) -> None:
    """``listings``: of who has permissions. With few that have them an organization is read in at most 12 requests."""
    documents = [large_organization(number, repositories=30, spread=spread) for number in range(4)]
    site.run(*documents, purge=EVERYTHING)
    sign_in = 2
    for count in (1, 2, 4):
        begin = len(site.running.quay.requests)
        assert site.run(*documents[:count], purge=EVERYTHING)["changes"] == []
        assert len(site.running.quay.requests) - begin == sign_in + (READS + listings) * count


# Tokens of robots


def robot(file: Path, **more: Any) -> dict[str, Any]:
    return {"name": "acme", "robots": [{"name": "ci", "store": {"file": str(file)}, **more}]}


def token(site: Site) -> str:
    return str(site.call("GET", "/api/v1/organization/acme/robots/ci")["token"])


def test_a_new_robots_token_is_stored_in_the_same_call_and_shown_nowhere(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "ci.json"
    result = check_and_run(site, robot(file))
    assert kinds(result)[1:] == [("create", "Robot", "ci"), ("create", "File", str(file))]
    kept = json.loads(file.read_text())
    assert (kept["username"], kept["password"], kept["host"]) == ("acme+ci", token(site), site.running.host)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept["password"] not in json.dumps(result)


def test_a_token_that_is_not_stored_any_more_is_stored_again(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    site.run(robot(file))
    before = token(site)
    site.post("/api/v1/organization/acme/robots/ci/regenerate", {})
    assert before != token(site)
    assert kinds(check_and_run(site, robot(file))) == [("update", "File", str(file))]
    assert json.loads(file.read_text())["password"] == token(site)
    file.unlink()
    assert kinds(check_and_run(site, robot(file))) == [("create", "File", str(file))]


def test_an_old_token_is_replaced(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    site.run(robot(file, rotate={"after": "30d"}))
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "token_issued": "2020-01-01T00:00:00Z"}))
    result = check_and_run(site, robot(file, rotate={"after": "30d"}))
    assert kinds(result) == [("update", "RobotToken", "ci"), ("update", "File", str(file))]
    now = json.loads(file.read_text())
    assert now["password"] == token(site) != kept["password"]


def test_who_else_may_act_as_a_robot(site: Site) -> None:
    entry = {"issuer": "https://idp.example.com", "subject": "system:serviceaccount:builds:builder"}
    other = {**entry, "subject": "system:serviceaccount:builds:other"}
    result = check_and_run(site, acme(robots=[{"name": "ci", "federation": [entry]}]))
    assert kinds(result)[-1] == ("create", "RobotFederation", "ci")
    assert site.run(*site.export()["organizations"])["changes"] == []
    result = check_and_run(site, acme(robots=[{"name": "ci", "federation": [other, entry]}]))
    assert kinds(result) == [("update", "RobotFederation", "ci")]
    result = check_and_run(site, acme(robots=[{"name": "ci", "federation": []}]))
    assert kinds(result) == [("delete", "RobotFederation", "ci")]


# Favourites, and what robots say of their permissions


def test_a_favourite_comes_and_goes(site: Site) -> None:
    wanted = acme(repositories=[{"name": "web", "star": True}])
    assert kinds(check_and_run(site, wanted))[-1] == ("create", "Star", "web")
    (found,) = site.export()["organizations"]
    assert found["repositories"][0]["star"] is True
    assert site.run(found)["changes"] == []
    assert kinds(check_and_run(site, acme(repositories=[{"name": "web", "star": False}]))) == [
        ("delete", "Star", "web")
    ]


def robot_may(*permissions: dict[str, Any]) -> dict[str, Any]:
    return acme(robots=[{"name": "ci", "permissions": list(permissions)}])


def test_a_robot_says_what_it_may(site: Site) -> None:
    site.run(acme(repositories=[{"name": "web"}, {"name": "api"}]))
    web, api = ({"repository": name, "role": "write"} for name in ("web", "api"))
    result = check_and_run(site, robot_may(web, api))
    assert [item[2] for item in kinds(result)] == ["ci", "api: robot ci", "web: robot ci"]
    both = {
        **robot_may(web),
        "repositories": [
            {"name": "new", "permissions": [{"robot": "ci", "role": "read"}]},
            {"name": "web", "permissions": [{"robot": "ci", "role": "write"}]},
        ],
    }
    result = check_and_run(site, both, purge=["permissions"])
    assert [item[2] for item in kinds(result)][:2] == ["new", "new: robot ci"]
    result = check_and_run(site, robot_may({"repository": "web", "role": "read"}, {**api, "state": "absent"}))
    assert [(item[0], item[2]) for item in kinds(result)] == [("update", "web: robot ci"), ("delete", "api: robot ci")]


def test_a_robots_permissions_are_no_list_that_is_purged(site: Site) -> None:
    site.run(acme(repositories=[{"name": "web", "permissions": [{"user": "alice", "role": "read"}]}]))
    wanted = {**robot_may({"repository": "web", "role": "write"}), "repositories": [{"name": "web"}]}
    result = check_and_run(site, wanted, purge=["permissions"])
    assert [item[2] for item in kinds(result)] == ["ci", "web: robot ci"]


# What is refused, before anything is written


def mirrored(**more: Any) -> dict[str, Any]:
    mirror = {"source": "quay.io/acme/web", "robot": "ci", "tags": ["v*"], "start": "2030-01-02T03:04:05Z"}
    return {"name": "web", "mirror": {**mirror, **more}}


@pytest.mark.parametrize(
    ("organization", "says"),
    [
        ({"name": "Acme"}, "organizations[Acme]"),
        ({"name": "a"}, "2 to 255 lower case"),
        (acme(email="nope"), "organizations[acme].email: 'nope' is not an e-mail address."),
        (acme(time_machine="soon"), "organizations[acme].time_machine: 'soon' is not a time."),
        (acme(state="absent", teams=[{"name": "devs"}]), "it shall be absent, and has teams"),
        (acme(teams=[{"name": "Devs"}]), "organizations[acme].teams[Devs]: Quay does not take the name"),
        (acme(teams=[{"name": "devs"}, {"name": "devs"}]), "teams: team devs is listed twice."),
        (acme(teams=[{"name": "owners", "role": "member"}]), "Quay keeps the team owners"),
        (acme(teams=[{"name": "owners", "state": "absent"}]), "Quay keeps the team owners"),
        (acme(teams=[{"name": "devs", "members": [{}]}]), "give exactly one of user, robot or email."),
        (
            acme(teams=[{"name": "devs", "members": [{"user": "alice", "robot": "ci"}]}]),
            "exactly one of user, robot or email, not user and robot.",
        ),
        (
            acme(teams=[{"name": "devs", "members": [{"robot": "ci"}]}]),
            "teams[devs].members: organization acme has no robot ci. Add it to robots",
        ),
        (acme(teams=[{"name": "devs", "members": [{"user": "nobody"}]}]), "members: Quay has no user nobody."),
        (acme(robots=[{"name": "acme+ci"}]), "Give the robot's name without the organization."),
        (acme(robots=[{"name": "ci", "description": "x" * 256}]), "at most 255 characters"),
        (acme(robots=[{"name": "ci", "federation": [{"issuer": "idp", "subject": "s"}]}]), "'idp' is not a URL"),
        (robot_may({"repository": "web"}), "robots[ci].permissions[web]: give a role."),
        (
            robot_may({"repository": "web", "role": "read"}),
            "organization acme has no repository web. Add it to repositories",
        ),
        (
            {
                **robot_may({"repository": "web", "role": "read"}),
                "repositories": [{"name": "web", "permissions": [{"robot": "ci", "role": "write"}]}],
            },
            "robots[ci].permissions[web]: repository web says something else of this robot.",
        ),
        (
            {
                **robot_may({"repository": "web", "role": "read"}),
                "repositories": [{"name": "web", "state": "absent"}],
            },
            "repositories[web]: it shall be absent, and robot ci has a permission for it.",
        ),
        (acme(robots=[{"name": "ci", "store": {}}]), "store: give secret, file or both."),
        (acme(robots=[{"name": "ci", "rotate": {"after": "30d"}}]), "rotate: give store, too"),
        (acme(robots=[{"name": "ci", "store": {"file": "/tmp/x"}, "rotate": {"after": "0d"}}]), "must be more than 0"),
        (acme(robots=[{"name": name, "store": {"file": "/tmp/x"}} for name in ("ci", "cd")]), "/tmp/x is listed twice"),
        (acme(repositories=[{"name": "Web"}]), "repositories[Web]: Quay does not take the name 'Web'"),
        (acme(repositories=[{"name": "web/mirror"}]), "a part of repository 'web'"),
        (acme(repositories=[{"name": "web", "permissions": [{"user": "bob"}]}]), "permissions[user bob]: give a role."),
        (
            acme(repositories=[{"name": "web", "permissions": [{"user": "nobody", "role": "read"}]}]),
            "repositories[web].permissions: Quay has no user nobody. Add it to users",
        ),
        (
            acme(repositories=[{"name": "web", "permissions": [{"team": "devs", "role": "read"}]}]),
            "organization acme has no team devs. Add it to teams",
        ),
        (acme(default_permissions=[{"user": "bob"}]), "default_permissions[user bob]: give a role."),
        (
            acme(default_permissions=[{"user": "bob", "role": "read"}, {"user": "bob", "role": "write"}]),
            "default_permissions: user bob is listed twice.",
        ),
        (acme(quota={"size": "much"}), "quota.size: 'much' is not a size."),
        (acme(quota={}), "quota: give a size."),
        (acme(quota={"size": "1GiB", "limits": [{"type": "reject", "percent": 101}]}), "percent must be from 1 to 100"),
        (acme(auto_prune=[{"method": "number_of_tags", "value": "7d"}]), "'7d' does not go with number_of_tags"),
        (acme(auto_prune=[{"method": "creation_date", "value": "7"}]), "which takes a time such as 7d."),
        (acme(immutability=[{"tag_pattern": "["}]), "tag_pattern '[' is not a regular expression"),
        (acme(proxy_cache={}), "proxy_cache: give upstream."),
        (acme(proxy_cache={"upstream": "docker.io", "username": "ann"}), "give username and password, or neither."),
        (
            acme(repositories=[{"name": "web", "notifications": [{"event": "repo_push", "method": "slack"}]}]),
            "a notification by slack takes url, and no other address.",
        ),
        (acme(repositories=[mirrored(start="tomorrow")]), "mirror.start: 'tomorrow' is not a time such as 2030"),
        (acme(repositories=[mirrored(timeout="10s")]), "mirror.timeout must be at least 5m."),
        (acme(repositories=[mirrored(tags=[])]), "mirror.tags: give at least one pattern"),
        (acme(repositories=[mirrored()]), "mirror.robot: organization acme has no robot ci."),
        (acme(repositories=[{**mirrored(), "mode": "normal"}]), "with mirror has the mode mirror."),
        (acme(reposotories=[]), "reposotories"),
        (acme(purge=["repos"]), "repos"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(site: Site, organization: dict[str, Any], says: str) -> None:
    before = len(site.writes())
    result = site.run(organization)
    assert result.get("failed") and says in result["msg"], result["msg"]
    assert len(site.writes()) == before


def test_a_robot_with_another_description_is_a_warning(site: Site) -> None:
    site.run(ACME)
    result = site.run(acme(robots=[{"name": "ci", "description": "other"}]))
    assert result["changes"] == []
    assert "cannot change it" in result["warnings"][0]


def test_a_quay_that_only_reads(site: Site) -> None:
    site.running.quay.config["REGISTRY_STATE"] = "readonly"
    site.options = {"quay_host": site.running.url, "quay_token": site.bearer}
    assert "REGISTRY_STATE: normal" in site.run(ACME)["msg"]


def test_a_quay_that_throttles_is_asked_again(site: Site) -> None:
    site.running.quay.too_many = 2
    assert site.run(ACME)["changed"]


def test_parts_of_a_document_are_put_together_and_contradictions_named(site: Site) -> None:
    parts = [
        acme(email="one@example.com"),
        acme(robots=[{"name": "ci"}]),
        acme(robots=[{"name": "cd"}], time_machine="1w"),
    ]
    result = check_and_run(site, *parts)
    assert [item[2] for item in kinds(result)] == ["acme", "ci", "cd"]
    result = site.run(acme(email="one@example.com"), acme(email="two@example.com"))
    assert "organizations[acme].email: one part of the document says one@example.com, another" in result["msg"]
    result = site.run(acme(robots=[{"name": "ci"}]), acme(robots=[{"name": "ci"}]))
    assert result["msg"] == "organizations[acme].robots: robot ci is listed twice."


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"name": "Carol"}, "users[Carol]"),
        ({"name": "carol", "email": "nope"}, "is not an e-mail address"),
        ({"name": "carol", "password": "short"}, "too weak for Quay"),
        ({"name": "carol", "update_password": "always"}, "there is no password"),
        ({"name": "quayadmin", "enabled": False}, "Quay lets nobody change or delete a superuser"),
        ({"name": "quayadmin", "state": "absent"}, "Quay lets nobody change or delete a superuser"),
    ],
)
def test_users_that_cannot_be_are_refused(site: Site, user: dict[str, Any], says: str) -> None:
    before = len(site.writes())
    assert says in site.run(users=[user])["msg"]
    assert len(site.writes()) == before


def token_of(site: Site, scope: str) -> dict[str, Any]:
    """The options of a connection with a token of the superuser that has only this scope."""
    site.post("/api/v1/organization/", {"name": "automation"})
    client = site.post("/api/v1/organization/automation/applications", {"name": "narrow"})["client_id"]
    path = f"/api/v1/organization/automation/applications/{client}/tokens"
    return {"quay_host": site.running.url, "quay_token": site.post(path, {"name": "t", "scope": scope})["token"]}


@pytest.mark.parametrize(
    ("scope", "wanted", "says"),
    [
        ("repo:read", {"organizations": [acme()]}, "of a token the scope org:admin."),
        ("org:admin", {"users": []}, "of a token the scope super:user."),
        ("org:admin repo:read", {"organizations": [acme(repositories=[{"name": "web"}])]}, "the scope repo:create."),
        ("org:admin super:user", {"organizations": [acme(teams=[{"name": "devs"}])]}, ""),
    ],
)
def test_a_token_without_a_scope_is_told_which(site: Site, scope: str, wanted: dict[str, Any], says: str) -> None:
    result = run_module("quay_content", **token_of(site, scope), **wanted)
    assert (says in result["msg"]) if says else result["changed"], result


def test_who_is_no_superuser_has_only_what_is_his(site: Site) -> None:
    alice = {"name": "alice", "password": "alice-Pa55word", "update_password": "always"}
    site.run(ACME, users=[alice])
    own = {"quay_host": site.running.url, "quay_username": "alice", "quay_password": "alice-Pa55word"}
    assert "It takes a superuser" in run_module("quay_content", **own, users=[])["msg"]
    refused = run_module("quay_content", **own, organizations=[acme(email="new@example.com")])
    assert "It takes an administrator of the organization" in refused["msg"]
    site.options = own
    check_and_run(site, {**ACME, "name": "hers"}, purge=EVERYTHING)
    assert [item["name"] for item in site.export()["organizations"]] == ["hers"]


def test_a_superuser_who_only_reads_cannot_write(site: Site) -> None:
    site.run(ACME)
    site.running.quay.config["GLOBAL_READONLY_SUPER_USERS"] = ["bob"]
    bob = {"name": "bob", "password": "bob-Pa55word", "update_password": "always"}
    site.run(users=[bob])
    reading = {"quay_host": site.running.url, "quay_username": "bob", "quay_password": "bob-Pa55word"}
    refused = run_module("quay_content", **reading, users=[{"name": "carol"}])
    assert refused["failed"] and "not one that can only read" in refused["msg"], refused
