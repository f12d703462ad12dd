"""Named tokens of OAuth applications in a document: made, kept where they are wanted, renewed, and made anew when lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import requests
from quays import RunningQuay
from test_quay_content import Site, check_and_run, kinds, site

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.host.kept_file import KeptFile
from ansible_collections.quayside.registry.plugins.module_utils.quay import application_tokens, stores
from support import Killed

__all__ = ["site"]

PLAN = {"name": "plan", "scopes": ["repo:read", "org:admin"]}


def acme(*tokens: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "acme", "applications": [{"name": "terraform", "tokens": list(tokens), **more}]}


def kept(file: Path, **more: Any) -> dict[str, Any]:
    return {**PLAN, "store": {"file": str(file)}, **more}


def listed(site: Site) -> list[dict[str, Any]]:
    (application,) = site.call("GET", "/api/v1/organization/acme/applications")["applications"]
    path = f"/api/v1/organization/acme/applications/{application['client_id']}/tokens"
    return list(site.call("GET", path)["tokens"])


def works(site: Site, file: Path) -> bool:
    headers = {"Authorization": f"Bearer {json.loads(file.read_text())['token']}"}
    return requests.get(f"{site.running.url}/api/v1/organization/acme/prototypes", headers=headers).ok


def test_a_new_token_is_kept_in_the_same_call_and_shown_nowhere(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "plan.json"
    result = check_and_run(site, acme(kept(file)))
    assert kinds(result) == [
        ("create", "Organization", "acme"),
        ("create", "OAuthApplication", "terraform"),
        ("create", "OAuthToken", "terraform: plan"),
        ("create", "File", str(file)),
    ]
    content = json.loads(file.read_text())
    assert content.keys() == {"host", "token", "token_id", "token_issued", "token_expires"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert content["token"] not in json.dumps(result)
    assert works(site, file)
    before = len(site.running.quay.requests)
    site.run(acme(kept(file)))
    made = site.running.quay.requests[before + 2 :]
    assert len(made) == 3, made  # the organization, its applications, the tokens


def test_another_place_gets_what_one_has(site: Site, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    site.run(acme(kept(one)))
    one.rename(two)
    result = check_and_run(site, acme(kept(two)))
    assert result["changes"] == []


def test_a_token_that_is_kept_nowhere_is_made_anew_and_said_so(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    site.run(acme(kept(file)))
    (old,) = listed(site)
    file.unlink()
    result = check_and_run(site, acme(kept(file)))
    assert kinds(result) == [
        ("update", "OAuthToken", "terraform: plan"),
        ("create", "File", str(file)),
        ("delete", "OAuthToken", "terraform: plan"),
    ]
    assert "Token plan of application terraform in organization acme was not kept" in result["warnings"][0]
    (new,) = listed(site)
    assert new["uuid"] != old["uuid"] and works(site, file)


def test_of_two_places_the_one_with_the_token_that_is_as_wanted_counts() -> None:
    """What a run leaves that was killed between them."""

    def there(name: str, scope: str) -> dict[str, Any]:
        times = {"created": "2026-01-01T00:00:00Z", "expires_at": "2036-01-01T12:00:00Z"}
        return {"uuid": name, "name": "plan", "scope": scope, **times}

    secret, file = ("Secret", "default", "plan"), ("File", "", "/tmp/plan")
    store = {"secret": {"namespace": "default", "name": "plan"}, "file": "/tmp/plan"}
    item = {
        "name": "plan",
        "state": "present",
        "scopes": ["repo:read"],
        "expires_in": None,
        "rotate": None,
        "store": store,
    }
    stored = {secret: {"token": "1", "token_id": "old"}, file: {"host": "quay", "token": "2", "token_id": "new"}}
    keeping = stores.Keeping(stored, "quay", credentials.epoch("2026-02-01T00:00:00Z"))
    application = {"name": "terraform", "tokens": [item]}
    listing = [there("new", "repo:read"), there("old", "repo:write")]
    steps, warnings = application_tokens.plan(application, listing, "ID", "/base", "acme", keeping, False)
    assert (steps[0].action, steps[0].kind) == ("update", "Secret")
    assert [step.request[0].path for step in steps if step.kind == "OAuthToken"] == ["/base/ID/tokens/old"]
    assert warnings == []


def test_an_old_token_is_replaced(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    wanted = acme(kept(file, expires_in="90d", rotate={"after": "30d"}))
    site.run(wanted)
    (old,) = listed(site)
    assert site.run(wanted)["changes"] == []
    aged = {"created": site.running.quay.now() - 31 * 86400, "expires": site.running.quay.now() + 59 * 86400}
    site.running.quay.database.update("token", "uuid", old["uuid"], **aged)
    result = check_and_run(site, wanted)
    assert "warnings" not in result
    (new,) = listed(site)
    assert new["uuid"] != old["uuid"] and works(site, file)


def test_a_token_with_other_scopes_or_another_life_is_replaced(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    site.run(acme(kept(file)))
    for more in ({"scopes": ["repo:read"]}, {"scopes": ["repo:read"], "expires_in": "1d"}):
        result = check_and_run(site, acme(kept(file, **more)))
        assert kinds(result)[0] == ("update", "OAuthToken", "terraform: plan")
    assert len(listed(site)) == 1


def test_tokens_go(site: Site, tmp_path: Path) -> None:
    one, two = kept(tmp_path / "one"), kept(tmp_path / "two", name="two")
    site.run(acme(one, two))
    result = check_and_run(site, acme(one, {"name": "two", "state": "absent"}))
    assert kinds(result) == [("delete", "OAuthToken", "terraform: two")]
    assert site.run(acme())["changes"] == []
    assert kinds(check_and_run(site, acme(), purge=["tokens"])) == [("delete", "OAuthToken", "terraform: plan")]


def test_a_purge_takes_applications_that_are_not_in_the_document(site: Site) -> None:
    site.run({"name": "acme", "applications": [{"name": "one"}, {"name": "two"}]})
    site.post("/api/v1/organization/acme/applications", {"name": "one"})
    assert site.run({"name": "acme", "applications": [{"name": "one"}]})["changes"] == []
    result = check_and_run(site, {"name": "acme", "applications": [{"name": "one"}]}, purge=["applications"])
    assert sorted(kinds(result)) == [("delete", "OAuthApplication", "one"), ("delete", "OAuthApplication", "two")]
    assert [item["name"] for item in site.export()["organizations"][0]["applications"]] == ["one"]


def test_a_run_that_was_killed_before_the_token_was_kept(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plan.json"

    def killed(*_args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(KeptFile, "save", killed)
        with pytest.raises(Killed):
            site.run(acme(kept(file)))
    assert len(listed(site)) == 1
    result = site.run(acme(kept(file)))
    assert "was not kept" in result["warnings"][0]
    assert len(listed(site)) == 1 and works(site, file)
    assert site.run(acme(kept(file)))["changes"] == []


def test_of_several_tokens_with_a_name_the_kept_one_stays(site: Site, tmp_path: Path) -> None:
    """What a run leaves that was killed after it had kept a new token, and before it revoked the old one."""
    file = tmp_path / "plan.json"
    site.run(acme(kept(file)))
    (mine,) = listed(site)
    (application,) = site.call("GET", "/api/v1/organization/acme/applications")["applications"]
    path = f"/api/v1/organization/acme/applications/{application['client_id']}/tokens"
    site.post(path, {"name": "plan", "scope": "repo:read"})
    result = check_and_run(site, acme(kept(file)))
    assert kinds(result) == [("delete", "OAuthToken", "terraform: plan")]
    assert "warnings" not in result
    assert [item["uuid"] for item in listed(site)] == [mine["uuid"]]


def test_an_export_lists_the_secrets_that_are_not_in_it(site: Site, tmp_path: Path) -> None:
    site.run({**acme(kept(tmp_path / "plan.json")), "robots": [{"name": "ci"}]})
    document = site.export()
    assert "tokens" not in document["organizations"][0]["applications"][0]
    assert site.left_out() == [
        {"kind": "RobotToken", "namespace": "acme", "name": "ci"},
        {"kind": "OAuthToken", "namespace": "acme", "name": "terraform: plan"},
    ]
    assert site.run(*document["organizations"], purge=["applications", "tokens"])["changes"] == []


def test_an_older_quay_has_no_tokens_with_names(tmp_path: Path) -> None:
    with RunningQuay(tmp_path / "quay", named_tokens=False) as running:
        site = Site(running)
        for _run in ("new", "there"):
            begin = len(site.writes())
            result = site.run(acme(kept(tmp_path / "plan.json")))
            assert "Applications have tokens with names in Quay 3.18 and newer" in result["msg"]
            assert len(site.writes()) == begin
            site.run({"name": "acme", "applications": [{"name": "terraform"}]})
        assert site.run(*site.export()["organizations"])["changes"] == []


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (
            {"name": "plan", "scopes": ["repo:read"]},
            "tokens[plan]: give store: Quay shows a token only when it is made.",
        ),
        ({"name": "plan", "store": {"file": "/tmp/x"}}, "tokens[plan]: give scopes."),
        ({**PLAN, "store": {}}, "tokens[plan].store: give secret, file or both."),
        ({**PLAN, "store": {"file": "x"}, "name": " plan"}, "is no name"),
        ({**PLAN, "store": {"file": "/tmp/x"}, "expires_in": "4000d"}, "at most 3652d"),
        ({**PLAN, "store": {"file": "/tmp/x"}, "expires_in": "soon"}, "expires_in: 'soon' is not a time"),
        (
            {**PLAN, "store": {"file": "/tmp/x"}, "expires_in": "7d", "rotate": {"after": "30d"}},
            "rotate.after must be less than expires_in",
        ),
    ],
)
def test_bad_tokens_are_refused_before_anything_is_written(site: Site, token: dict[str, Any], says: str) -> None:
    before = len(site.writes())
    assert says in site.run(acme(token))["msg"]
    assert len(site.writes()) == before


def test_an_absent_application_has_no_tokens(site: Site, tmp_path: Path) -> None:
    result = site.run(acme(kept(tmp_path / "plan.json"), state="absent"))
    assert "applications[terraform]: it shall be absent, and has tokens." in result["msg"]


def test_two_tokens_are_not_kept_in_one_place(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    result = site.run({**acme(kept(file)), "robots": [{"name": "ci", "store": {"file": str(file)}}]})
    assert result["msg"] == f"store: {file} is listed twice."
