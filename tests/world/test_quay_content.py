"""What the simulated Quay does beyond single answers: effects of one call on others, roles, scopes, limits, costs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from quays import RunningQuay
from registries import skopeo

from world.images import tiny_image
from world.simulators.quay import Costs

PASSWORD = "quaypass12345"
Call = Callable[..., requests.Response]


def caller(running: RunningQuay, token: str) -> Call:
    def call(method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(
            method, f"{running.url}/api/v1/{path}", json=body, headers=headers, allow_redirects=False
        )

    return call


def initialize(running: RunningQuay) -> Call:
    """The superuser, with an organization."""
    body = {"username": "quayadmin", "password": PASSWORD, "access_token": True}
    token = requests.post(f"{running.url}/api/v1/user/initialize", json=body).json()["access_token"]
    call = caller(running, token)
    assert call("POST", "organization/", {"name": "acme"}).status_code == 201
    return call


def with_scope(running: RunningQuay, call: Call, scope: str) -> Call:
    """The same user by a token of few scopes."""
    application = call("POST", "organization/acme/applications", {"name": "app"}).json()["client_id"]
    made = call("POST", f"organization/acme/applications/{application}/tokens", {"name": "x", "scope": scope})
    return caller(running, made.json()["token"])


def session_of(running: RunningQuay, name: str, password: str) -> Call:
    """A user, signed in."""
    session = requests.Session()
    csrf = session.get(f"{running.url}/csrf_token").json()["csrf_token"]
    body = {"username": name, "password": password}
    signed = session.post(f"{running.url}/api/v1/signin", json=body, headers={"X-CSRF-Token": csrf})
    signed.raise_for_status()
    session.headers["X-CSRF-Token"] = signed.headers["X-Next-CSRF-Token"]

    def call(method: str, path: str, body: Any = None) -> requests.Response:
        return session.request(method, f"{running.url}/api/v1/{path}", json=body, allow_redirects=False)

    return call


def user(call: Call, name: str) -> str:
    """A new user; his password."""
    return str(call("POST", "superuser/users/", {"username": name}).json()["password"])


def repository(call: Call, name: str) -> None:
    body = {"namespace": "acme", "repository": name, "visibility": "private", "description": ""}
    assert call("POST", "repository", body).status_code == 201


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningQuay]:
    with RunningQuay(tmp_path / "quay") as quay:
        yield quay


@pytest.fixture
def call(running: RunningQuay) -> Call:
    return initialize(running)


def test_deleting_a_mirror_deletes_the_repository_of_that_name(call: Call) -> None:
    for name in ("web", "api", "api/mirror"):
        repository(call, name)
    assert call("GET", "repository/acme/api/mirror").status_code == 404  # the mirror of api
    assert call("DELETE", "repository/acme/api/mirror").status_code == 204
    assert call("DELETE", "repository/acme/web/mirror").status_code == 204
    names = [item["name"] for item in call("GET", "repository?namespace=acme").json()["repositories"]]
    assert names == ["web", "api"]


def test_new_repositories_grant_the_default_permissions(call: Call) -> None:
    call("PUT", "organization/acme/team/devs", {"role": "member"})
    call("PUT", "organization/acme/robots/ci", {})
    for role, kind, name in (("read", "team", "devs"), ("write", "user", "acme+ci")):
        call("POST", "organization/acme/prototypes", {"role": role, "delegate": {"kind": kind, "name": name}})
    body = {"role": "admin", "delegate": {"kind": "team", "name": "devs"}, "activating_user": {"name": "acme+ci"}}
    call("POST", "organization/acme/prototypes", body)
    repository(call, "web")
    teams = call("GET", "repository/acme/web/permissions/team/").json()["permissions"]
    users = call("GET", "repository/acme/web/permissions/user/").json()["permissions"]
    assert {name: item["role"] for name, item in {**teams, **users}.items()} == {
        "devs": "read", "acme+ci": "write", "quayadmin": "admin",
    }  # fmt: skip
    robots = call("GET", "organization/acme/robots?permissions=true").json()["robots"]
    assert robots[0]["repositories"] == ["web"]


def test_with_mailing_members_are_invited(running: RunningQuay, call: Call) -> None:
    running.quay.config["FEATURE_MAILING"] = True
    user(call, "alice")
    call("PUT", "organization/acme/team/devs", {"role": "member"})
    team = "organization/acme/team/devs"
    assert call("PUT", f"{team}/members/alice").json()["invited"]
    assert call("PUT", f"{team}/members/alice").json()["invited"]
    assert call("PUT", f"{team}/invite/bob@example.com").json()["email"] == "bob@example.com"
    assert call("GET", f"{team}/members").json()["members"] == []
    pending = call("GET", f"{team}/members?includePending=true").json()["members"]
    assert [(item.get("name"), item.get("email"), item["invited"]) for item in pending] == [
        ("alice", None, True), (None, "bob@example.com", True),
    ]  # fmt: skip
    assert call("DELETE", f"{team}/members/alice").status_code == 204
    assert call("DELETE", f"{team}/invite/bob@example.com").status_code == 204
    assert call("DELETE", f"{team}/invite/bob@example.com").status_code == 404
    assert call("GET", f"{team}/members?includePending=true").json()["members"] == []


def test_synchronized_teams_get_their_members_elsewhere(running: RunningQuay, call: Call) -> None:
    user(call, "alice")
    team = "organization/acme/team/devs"
    call("PUT", team, {"role": "member"})
    group = {"group_dn": "cn=devs,dc=example,dc=com"}
    assert call("POST", f"{team}/syncing", group).status_code == 405
    running.quay.config.update(FEATURE_TEAM_SYNCING=True, AUTHENTICATION_TYPE="LDAP")
    assert call("POST", f"{team}/syncing", group).status_code == 200
    shown = call("GET", f"{team}/members").json()
    assert (shown["can_sync"], shown["synced"]["service"], shown["synced"]["config"]) == (
        {"service": "ldap"}, "ldap", group,
    )  # fmt: skip
    assert call("GET", "organization/acme").json()["teams"]["devs"]["is_synced"]
    assert call("PUT", f"{team}/members/alice").status_code == 400
    assert call("DELETE", f"{team}/syncing").status_code == 200
    assert call("PUT", f"{team}/members/alice").status_code == 200


def test_read_only_superusers_see_everything_and_change_nothing(running: RunningQuay, call: Call) -> None:
    repository(call, "web")
    password = user(call, "auditor")
    running.quay.config["GLOBAL_READONLY_SUPER_USERS"] = ["auditor"]
    auditor = session_of(running, "auditor", password)
    for path in (
        "organization/acme", "repository/acme/web", "superuser/users/", "organization/acme/prototypes",
        "organization/acme/quota", "repository/acme/web/permissions/user/",
    ):  # fmt: skip
        assert auditor("GET", path).status_code == 200, path
    assert call("GET", "superuser/users/auditor").json()["global_readonly_super_user"]
    for method, path in (("POST", "organization/"), ("DELETE", "organization/acme"), ("DELETE", "repository/acme/web")):
        refused = auditor(method, path, {"name": "other"})
        assert (refused.status_code, refused.json()["error_type"]) == (403, "insufficient_scope")


def test_ordinary_users_have_what_their_teams_have(running: RunningQuay, call: Call) -> None:
    repository(call, "web")
    alice = session_of(running, "alice", user(call, "alice"))
    assert alice("GET", "organization/acme/prototypes").status_code == 403
    assert alice("GET", "repository/acme/web").status_code == 403
    call("PUT", "organization/acme/team/admins", {"role": "admin"})
    call("PUT", "organization/acme/team/admins/members/alice")
    assert alice("GET", "organization/acme/prototypes").status_code == 200
    assert alice("PUT", "repository/acme/web/changestate", {"state": "READ_ONLY"}).status_code == 200
    assert not alice("GET", "repository/acme/web").json()["can_write"]
    assert alice("GET", "superuser/users/").status_code == 403


def test_a_token_may_what_its_scopes_say(running: RunningQuay, call: Call) -> None:
    repository(call, "web")
    limited = with_scope(running, call, "repo:admin")
    assert limited("PUT", "repository/acme/web/permissions/user/quayadmin", {"role": "admin"}).status_code == 200
    for method, path, body in (
        ("PUT", "organization/acme/team/devs", {"role": "member"}),
        ("POST", "organization/acme/quota", {"limit_bytes": 1000}),
        ("GET", "superuser/users/", None),
        ("POST", "messages", {"message": {"content": "x", "media_type": "text/plain", "severity": "info"}}),
    ):  # fmt: skip
        refused = limited(method, path, body)
        assert (refused.status_code, refused.json()["error_type"]) == (403, "insufficient_scope")
    administrator = with_scope(running, call, "org:admin")
    assert administrator("PUT", "organization/acme/team/devs", {"role": "member"}).status_code == 200
    assert administrator("POST", "organization/acme/quota", {"limit_bytes": 1000}).status_code == 403


def test_pages_go_on_until_next_page_is_absent(call: Call) -> None:
    for number in range(201):
        repository(call, f"r{number}")
    found: list[str] = []
    sizes, token = [], ""
    while not sizes or token:
        page = call("GET", f"repository?namespace=acme&next_page={token}").json()
        found += [item["name"] for item in page["repositories"]]
        sizes.append(len(page["repositories"]))
        token = page.get("next_page", "")
    assert sizes == [100, 100, 1]
    assert found == [f"r{number}" for number in range(201)]


def test_immutability_policies_hold_for_new_tags(running: RunningQuay, call: Call) -> None:
    repository(call, "web")
    call("POST", "organization/acme/immutabilitypolicy/", {"tagPattern": "v[0-9]+"})
    for tag in ("v1", "latest"):
        running.quay.push("acme", "web", tag)
    shown = call("GET", "repository/acme/web/tag/").json()["tags"]
    assert {item["name"]: item["immutable"] for item in shown} == {"v1": True, "latest": False}
    assert call("DELETE", "repository/acme/web/tag/v1").status_code == 409
    assert call("DELETE", "repository/acme/web/tag/latest").status_code == 204
    assert list(call("GET", "repository/acme/web").json()["tags"]) == ["v1"]


def test_an_expired_tag_is_history(running: RunningQuay, call: Call) -> None:
    repository(call, "web")
    digest = running.quay.push("acme", "web", "v1")
    soon = int(time.time()) + 100
    assert call("PUT", "repository/acme/web/tag/v1", {"expiration": soon}).status_code == 201
    assert call("GET", "repository/acme/web/tag/?onlyActiveTags=true").json()["tags"][0]["end_ts"] == soon
    running.quay.skew = 200
    assert call("GET", "repository/acme/web/tag/?onlyActiveTags=true").json()["tags"] == []
    assert call("GET", "repository/acme/web/tag/").json()["tags"][0]["name"] == "v1"
    assert call("POST", "repository/acme/web/tag/v1/restore", {"manifest_digest": digest}).status_code == 200
    active = call("GET", "repository/acme/web/tag/?onlyActiveTags=true").json()["tags"]
    assert [(item["name"], item["reversion"]) for item in active] == [("v1", True)]


def test_requests_cost_what_is_asked_for(running: RunningQuay, call: Call) -> None:
    signed_in = session_of(running, "quayadmin", PASSWORD)
    running.quay.costs = Costs(bearer=0.2, session=0.01, sign_in=0.2)

    def seconds(by: Call) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _number: by("GET", "organization/acme"), range(3)))
        return time.monotonic() - began

    assert seconds(call) >= 0.6
    assert 0.03 <= seconds(signed_in) < 0.6


def test_nginx_refuses_too_many_requests(running: RunningQuay, call: Call) -> None:
    running.quay.too_many = 2
    answers = [call("GET", "organization/acme") for _number in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert "Retry-After" not in answers[0].headers
    assert answers[0].headers["Content-Type"] == "text/html"


def test_tags_are_what_the_api_says(tmp_path: Path) -> None:
    with RunningQuay(tmp_path / "quay", images=True) as running:
        call = initialize(running)
        image, target = tiny_image(tmp_path / "image"), f"docker://{running.host}/acme/app"
        credentials = f"quayadmin:{PASSWORD}"
        skopeo("copy", "--dest-tls-verify=false", f"--dest-creds={credentials}", image, f"{target}:1")

        def is_there(tag: str) -> bool:
            command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"--creds={credentials}", f"{target}:{tag}"]
            return subprocess.run(command, check=False, capture_output=True).returncode == 0

        shown = call("GET", "repository/acme/app/tag/").json()["tags"]
        digest = {"manifest_digest": shown[0]["manifest_digest"]}
        assert [item["name"] for item in shown] == ["1"]
        assert is_there("1")
        assert call("DELETE", "repository/acme/app/tag/1").status_code == 204
        assert not is_there("1")
        assert call("POST", "repository/acme/app/tag/1/restore", digest).status_code == 200
        assert call("PUT", "repository/acme/app/tag/latest", digest).status_code == 201
        assert is_there("1")
        assert is_there("latest")
        call("PUT", "repository/acme/app/changestate", {"state": "READ_ONLY"})
        with pytest.raises(AssertionError, match=r"unauthorized|denied|authentication"):
            skopeo("copy", "--dest-tls-verify=false", f"--dest-creds={credentials}", image, f"{target}:2")


def test_bodies_are_held_to_the_recorded_ones(running: RunningQuay, call: Call) -> None:
    call("PUT", "organization/acme/team/devs", {"role": "member", "description": "x"})
    call("PUT", "organization/acme/robots/ci", {})
    call("POST", "organization/acme/robots/ci/federation", [{"issuer": "https://idp.example.com", "subject": "s"}])
    assert running.unrecorded() == []
    call("PUT", "organization/acme", {"emial": "x@example.com"})
    assert running.unrecorded() == ["changeOrganizationDetails: emial"]
