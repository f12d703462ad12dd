"""Killed at any write to Quay or to a place: no application's token is lost, tags, teams and mirrors are finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_quay_content import Site, site
from test_quay_content_interrupted import Interruptions, Secrets, secrets

from support import Killed

__all__ = ["secrets", "site"]


def tokens(folder: Path) -> dict[str, Any]:
    plan = {
        "name": "plan",
        "scopes": ["repo:read"],
        "expires_in": "90d",
        "store": {"secret": {"name": "plan", "namespace": "builds"}, "file": str(folder / "plan.json")},
        "rotate": {"after": "30d"},
    }
    return {"name": "acme", "applications": [{"name": "terraform", "tokens": [plan]}]}


def listed(site: Site) -> list[dict[str, Any]]:
    (application,) = site.call("GET", "/api/v1/organization/acme/applications")["applications"]
    path = f"/api/v1/organization/acme/applications/{application['client_id']}/tokens"
    return list(site.call("GET", path)["tokens"])


def nothing(_site: Site, _secrets: Secrets, _folder: Path) -> None:
    """As it begins."""


def with_an_old_token(site: Site, _secrets: Secrets, folder: Path) -> None:
    assert site.run(tokens(folder))["changed"]
    now = site.running.quay.now()
    for item in listed(site):
        aged = {"created": now - 31 * 86400, "expires": now + 59 * 86400}
        site.running.quay.database.update("token", "uuid", item["uuid"], **aged)


def with_a_lost_token(site: Site, secrets: Secrets, folder: Path) -> None:
    assert site.run(tokens(folder))["changed"]
    secrets.items.clear()
    (folder / "plan.json").unlink()


@pytest.mark.parametrize("begin", [nothing, with_an_old_token, with_a_lost_token])
def test_a_token_is_kept_whenever_a_run_is_killed(
    site: Site,
    secrets: Secrets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Site, Secrets, Path], None],
) -> None:
    interruptions = Interruptions(monkeypatch)
    wanted, file = tokens(tmp_path), tmp_path / "plan.json"

    def start() -> None:
        interruptions.at(0)
        if site.running.names("organization"):
            site.call("DELETE", "/api/v1/organization/acme")
        secrets.items.clear()
        file.unlink(missing_ok=True)
        begin(site, secrets, tmp_path)
        interruptions.at(0)

    start()
    site.run(wanted)
    for number in range(1, interruptions.count + 1):
        start()
        interruptions.at(number)
        with pytest.raises(Killed):
            site.run(wanted)
        interruptions.at(0)
        result = site.run(wanted)
        assert "failed" not in result, (number, result["msg"])
        assert site.run(wanted)["changes"] == [], number
        (there,) = listed(site)
        kept = json.loads(file.read_text())
        assert kept["token_id"] == there["uuid"], number
        assert secrets.content("plan") == kept, number


def test_tags_teams_and_mirrors_are_finished(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.running.quay.config.update(
        FEATURE_TEAM_SYNCING=True, AUTHENTICATION_TYPE="LDAP", SSRF_ALLOWED_HOSTS=["quay.example.net"]
    )
    interruptions = Interruptions(monkeypatch)
    mirror = {"type": "quay", "url": "https://quay.example.net", "namespace": "up", "robot": "ci"}
    mirror["start"] = "2030-01-02T03:04:05Z"
    labels = [{"key": "team", "value": "devs"}, {"key": "tier", "value": "1"}]
    tag = {"name": "v1", "labels": labels, "immutable": True}
    ending = {"name": "v2", "expires": "2035-01-01T00:00:00Z"}
    wanted = [
        {
            "name": "acme",
            "teams": [{"name": "devs", "sync": {"group_dn": "cn=new"}}],
            "repositories": [{"name": "web", "star": True, "tags": [tag, ending, {"name": "old", "state": "absent"}]}],
        },
        {"name": "copy", "robots": [{"name": "ci"}], "mirror": mirror},
    ]

    def start() -> None:
        interruptions.at(0)
        for name in site.running.names("organization"):
            site.call("DELETE", f"/api/v1/organization/{name}")
        devs = {"name": "devs", "sync": {"group_dn": "cn=old"}}
        site.run({"name": "acme", "teams": [devs], "repositories": [{"name": "web"}]})
        for name in ("v1", "v2", "old"):
            site.running.quay.push("acme", "web", name)
        site.run({"name": "acme", "repositories": [{"name": "web", "tags": [{"name": "v1", "state": "absent"}]}]})
        interruptions.at(0)

    start()
    site.run(*wanted)
    writes = interruptions.count
    for number in range(1, writes + 1):
        start()
        interruptions.at(number)
        with pytest.raises(Killed):
            site.run(*wanted)
        interruptions.at(0)
        result = site.run(*wanted)
        assert "failed" not in result, (number, result["msg"])
        assert site.run(*wanted)["changes"] == [], number
        acme, copy = site.export(tags=True)["organizations"]
        assert acme["teams"][0]["sync"] == {"group_dn": "cn=new"}
        (web,) = acme["repositories"]
        found, last = web["tags"]
        assert last["expires"] == ending["expires"]
        assert {key: found[key] for key in tag} == tag and web["star"]
        assert copy["mirror"]["namespace"] == "up"
    assert writes > 10
