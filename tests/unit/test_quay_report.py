"""What the report says of a Quay: how full, which mirrors fail, which tokens end; with few requests, and nothing secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from quays import RunningQuay

from ansible_collections.quayside.registry.plugins.module_utils.quay import report
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay, Server

PASSWORD = "quaypass12345"
GIB = 1 << 30
MIRROR = {
    "external_reference": "ghcr.io/acme/base",
    "sync_interval": 86400,
    "sync_start_date": "2030-01-02T03:04:05Z",
    "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["latest"]},
    "skopeo_timeout_interval": 300,
    "robot_username": "acme+puller",
}


class Site:
    """A Quay with the organization acme: two robots, three repositories, of which two mirror others, and an application."""

    def __init__(self, running: RunningQuay) -> None:
        self.running = running
        body = {"username": "quayadmin", "password": PASSWORD, "access_token": True}
        answer = requests.post(f"{running.url}/api/v1/user/initialize", json=body)
        self.token = answer.json()["access_token"]
        self.call("POST", "/api/v1/organization/", {"name": "acme"})
        for robot in ("ci", "puller"):
            self.call("PUT", f"/api/v1/organization/acme/robots/{robot}", {})
        for name in ("app", "base", "idle"):
            repository = {"namespace": "acme", "repository": name, "description": "", "visibility": "private"}
            self.call("POST", "/api/v1/repository", repository)
        for name, enabled in (("base", True), ("idle", False)):
            self.call("POST", f"/api/v1/repository/acme/{name}/mirror", {**MIRROR, "is_enabled": enabled})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(method, self.running.url + path, json=body, headers=headers)
        assert answer.ok, answer.text
        return answer.json() if answer.text else None

    def fail_mirrors(self) -> None:
        """What Quay's worker notes when a copy fails."""
        database = self.running.quay.database
        for row in database.all("SELECT repository FROM mirror"):
            database.update("mirror", "repository", row["repository"], status="FAIL")

    def read(self, username: str = "quayadmin", password: str = PASSWORD) -> report.Found:
        with Quay(Server(self.running.url)) as quay:
            quay.sign_in(username, password)
            self.running.quay.requests.clear()
            return report.read(quay)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with RunningQuay(tmp_path / "quay") as running:
        yield Site(running)


def test_organizations_mirrors_and_tokens(site: Site) -> None:
    site.call("POST", "/api/v1/organization/acme/quota", {"limit_bytes": GIB})
    made = site.call("POST", "/api/v1/organization/acme/applications", {"name": "pipelines"})
    path = f"/api/v1/organization/acme/applications/{made['client_id']}/tokens"
    token = site.call("POST", path, {"name": "nightly", "scope": "repo:read", "expiration": 3600})
    site.fail_mirrors()
    found = site.read()
    assert found.organizations == [
        {"organization": "acme", "repositories": 3, "public": 0, "robots": 2, "quota": GIB, "used": 0, "state": ""}
    ]
    assert [(row["repository"], row["status"], row["failing"]) for row in found.mirrors] == [
        ("base", "FAIL", True),
        ("idle", "FAIL", False),  # it is switched off
    ]
    assert found.mirrors[0]["source"] == "ghcr.io/acme/base"
    (row,) = found.tokens
    assert (row["name"], row["application"], row["not_after"]) == (
        "nightly",
        "acme/pipelines",
        token["expires_at"][:19] + "Z",
    )
    assert found.unread == []
    assert token["token"] not in json.dumps(vars(found))
    assert made["client_secret"] not in json.dumps(vars(found))


def test_three_requests_for_an_organization_and_one_for_each_mirror_and_application(site: Site) -> None:
    site.call("POST", "/api/v1/organization/acme/applications", {"name": "pipelines"})
    for number in range(4):
        site.call("POST", "/api/v1/organization/", {"name": f"other-{number}"})
    site.read()
    requests_ = site.running.quay.requests
    assert all(request.startswith("GET ") for request in requests_)
    assert len(requests_) == 1 + 3 * 5 + 2 + 1


def test_who_administers_an_organization_sees_that_one(site: Site) -> None:
    user = site.call("POST", "/api/v1/superuser/users/", {"username": "alice", "email": "alice@example.com"})
    site.call("PUT", "/api/v1/organization/acme/team/owners/members/alice")
    site.call("POST", "/api/v1/organization/", {"name": "other"})
    site.call("POST", "/api/v1/organization/acme/quota", {"limit_bytes": GIB})
    found = site.read("alice", user["password"])
    assert [(row["organization"], row["quota"], row["robots"]) for row in found.organizations] == [("acme", GIB, 2)]


def test_what_may_not_be_seen_is_said(site: Site) -> None:
    user = site.call("POST", "/api/v1/superuser/users/", {"username": "bob", "email": "bob@example.com"})
    site.running.quay.config["SUPER_USERS"] = ["quayadmin", "bob"]
    site.running.quay.config["FEATURE_SUPERUSERS_FULL_ACCESS"] = False
    found = site.read("bob", user["password"])
    assert [(row["organization"], row["robots"], row["used"]) for row in found.organizations] == [("acme", None, 0)]
    assert any("robots" in text and "org:admin" in text for text in found.unread)


def test_a_quay_without_tokens_by_name_shows_the_rest(tmp_path: Path) -> None:
    with RunningQuay(tmp_path / "quay", named_tokens=False) as running:
        site = Site(running)
        site.call("POST", "/api/v1/organization/acme/applications", {"name": "pipelines"})
        found = site.read()
    assert (len(found.organizations), len(found.mirrors), found.tokens, found.unread) == (1, 2, [], [])


@pytest.mark.parametrize(
    ("size", "limits", "used", "state"),
    [
        (None, [], 7 * GIB, ""),
        (10 * GIB, [], 9 * GIB, ""),
        (10 * GIB, [], 10 * GIB, "exceeded"),
        (10 * GIB, [("Warning", 80)], 8 * GIB, "warning"),
        (10 * GIB, [("Warning", 80), ("Warning", 50)], 5 * GIB, "warning"),
        (10 * GIB, [("Warning", 80), ("Reject", 90)], 9 * GIB, "exceeded"),
        (10 * GIB, [("Warning", 80)], None, ""),
    ],
)
def test_how_full_an_organization_is(
    size: int | None, limits: list[tuple[str, int]], used: int | None, state: str
) -> None:
    shown = [{"id": 1, "type": kind, "limit_percent": percent} for kind, percent in limits]
    quotas = [{"id": 1, "limit_bytes": size, "limits": shown}] if size else []
    item = {"quotas": quotas, "quota_report": {"quota_bytes": used}}
    assert report.quota(item) == {"quota": size, "used": used, "state": state}
