"""Proofs against a registry that refuses as OpenShift's does, over TLS and through the module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_registry import FakeRegistry, serve

from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.check_image import check_image
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import digest_of
from support import run_module
from world.pki import Authority

RIGHTS = {"builder-token": {"pull", "push", "delete"}, "puller-token": {"pull"}}
BUILDER = {"username": "builder", "password": "builder-token"}
PULLER = {"username": "puller", "password": "puller-token"}
PUSH = {"action": "push", "repository": "demo/check"}
PULL = {"action": "pull", "repository": "demo/check"}
DELETE = {"action": "delete", "repository": "demo/check"}


class Host:
    """A host that trusts the registry, and the module run on it."""

    def __init__(self, registry: FakeRegistry, certs_d: Path) -> None:
        self.registry = registry
        self.certs_d = certs_d
        folder = certs_d / registry.host
        folder.mkdir(parents=True)

    def run(self, *checks: dict[str, Any], **options: Any) -> dict[str, Any]:
        given = {"host": self.registry.host, "certs_dirs": [str(self.certs_d)], "checks": list(checks) or None}
        return run_module("registry_check", **{**given, **options})

    def outcomes(self, *checks: dict[str, Any], **options: Any) -> list[str]:
        return [check["outcome"] for check in self.run(*checks, **options)["checks"]]


def host_with(tmp_path: Path, **options: Any) -> Iterator[Host]:
    authority = Authority.create("Test CA")
    with serve(tmp_path, authority, RIGHTS, **options) as registry:
        host = Host(registry, tmp_path / "certs.d")
        (host.certs_d / registry.host / "ca.crt").write_bytes(authority.certificate)
        yield host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    yield from host_with(tmp_path)


@pytest.fixture
def deleting_host(tmp_path: Path) -> Iterator[Host]:
    yield from host_with(tmp_path, deletes=True)


def test_the_image_is_the_same_on_every_host() -> None:
    assert check_image().digest == "sha256:a6550f3590b183f45baddfd5180e479250b586951a940adccf58f4f2c9788ae5"
    manifest = json.loads(check_image().manifest)
    assert [manifest["config"]["digest"], manifest["layers"][0]["digest"]] == list(map(digest_of, check_image().blobs))


def test_login_is_proven_over_verified_tls(host: Host) -> None:
    result = host.run(**BUILDER)
    assert [check["outcome"] for check in result["checks"]] == ["allowed"]
    assert (result["changed"], result["tls"]["verified"], result["tls"]["issuer"]) == (
        False,
        True,
        "commonName=Test CA",
    )
    assert result["checks"][0]["duration_ms"] >= 0


def test_push_and_pull_by_digest_and_a_second_run_changes_nothing(host: Host) -> None:
    predicted = host.run(PUSH, PULL, **BUILDER, check=True)
    assert [check["outcome"] for check in predicted["checks"]] == ["not_tried", "not_tried"]
    assert host.registry.manifests == {}
    result = host.run(PUSH, PULL, **BUILDER)
    assert [check["outcome"] for check in result["checks"]] == ["allowed", "allowed"]
    assert {check["digest"] for check in result["checks"]} == {check_image().digest}
    assert (predicted["changes"], predicted["diff"]) == (result["changes"], result["diff"])
    assert result["changes"] == [
        {
            "action": "create",
            "kind": "Image",
            "namespace": "",
            "name": f"{host.registry.host}/demo/check:quayside-check",
        }
    ]
    pushed = dict(host.registry.manifests)
    again = host.run(PUSH, PULL, **BUILDER)
    assert (again["changed"], [check["outcome"] for check in again["checks"]]) == (False, ["allowed", "allowed"])
    assert host.registry.manifests == pushed
    assert [request for request in host.registry.requests if request.startswith("PUT") and "manifests" in request][1:]


def test_what_a_lesser_credential_may_not(host: Host) -> None:
    refused = {**PUSH, **PULLER, "expect": "refused"}
    result = host.run({**PUSH, **BUILDER}, {**PULL, **PULLER}, refused)
    assert [check["outcome"] for check in result["checks"]] == ["allowed", "allowed", "refused"]
    assert result["checks"][2]["reason"] == "UNAUTHORIZED: authentication required, access denied"
    assert "token" not in json.dumps(result["checks"])


def test_reality_that_is_not_as_expected_fails_with_all_results(host: Host) -> None:
    result = host.run({**PUSH, **PULLER}, {**PUSH, **BUILDER, "expect": "refused"}, {**PULL, **BUILDER})
    assert result["msg"] == (
        f"{host.registry.host} does not do what is expected of it. push demo/check as puller: refused (UNAUTHORIZED: "
        "authentication required, access denied), but expected to be allowed; push demo/check as builder: allowed, but "
        "expected to be refused."
    )
    assert [check["outcome"] for check in result["checks"]] == ["refused", "allowed", "allowed"]
    assert len(result["changes"]) == 1


def test_a_missing_image_proves_nothing(host: Host) -> None:
    for expect in ("allowed", "refused"):
        result = host.run({**PULL, "expect": expect}, **BUILDER)
        assert result["checks"][0]["outcome"] == "missing"
        assert "Push it with a check before this one" in result["msg"]


def test_a_wrong_login(host: Host) -> None:
    wrong = {"username": "eve", "password": "wrong-token"}
    assert "login as eve: refused" in host.run(**wrong)["msg"]
    assert host.outcomes({"action": "login", "expect": "refused"}, {**PULL, "expect": "refused"}, **wrong) == [
        "refused",
        "refused",
    ]


def test_without_a_login(host: Host) -> None:
    assert host.outcomes({**PULL, "expect": "refused"}) == ["refused"]


def test_delete(deleting_host: Host) -> None:
    predicted = deleting_host.run(PUSH, DELETE, **BUILDER, check=True)
    result = deleting_host.run(PUSH, DELETE, **BUILDER)
    assert [check["outcome"] for check in result["checks"]] == ["allowed", "allowed"]
    assert [change["action"] for change in result["changes"]] == ["create", "delete"]
    assert predicted["changes"] == result["changes"]
    assert deleting_host.registry.manifests == {}


def test_a_registry_that_does_not_delete_says_so(host: Host) -> None:
    result = host.run(PUSH, DELETE, **BUILDER)
    assert "failed" not in result
    assert result["checks"][1]["outcome"] == "unsupported"
    assert "UNSUPPORTED: The operation is unsupported" in result["checks"][1]["reason"]


def write_login(path: Path, host: Host, username: str) -> None:
    config = auth.with_credential({}, f"{host.registry.host}/demo", Credential(username, f"{username}-token"))
    path.write_bytes(auth.dump(config))


def test_logins_from_auth_files(host: Host, tmp_path: Path) -> None:
    write_login(tmp_path / "auth.json", host, "builder")
    write_login(tmp_path / "puller.json", host, "puller")
    checks = [PUSH, {**PUSH, "auth_file": str(tmp_path / "puller.json"), "expect": "refused"}]
    result = host.run(*checks)
    assert [check["username"] for check in result["checks"]] == ["builder", "puller"]
    assert [check["outcome"] for check in result["checks"]] == ["allowed", "refused"]


def test_a_tampered_image_is_found(host: Host) -> None:
    host.run(PUSH, **BUILDER)
    digest = digest_of(check_image().blobs[1])
    host.registry.blobs[digest] = b"tampered"
    assert "its content has another digest" in host.run(PULL, **BUILDER)["msg"]


def test_a_registry_that_is_not_trusted_is_no_refusal(host: Host) -> None:
    result = host.run({**PUSH, "expect": "refused"}, certs_dirs=[], **BUILDER)
    assert "is not trusted here: x509" in result["msg"]
    assert result["failed"]


@pytest.mark.parametrize(
    ("checks", "options", "said"),
    [
        ([{"action": "login"}], {}, "checks[0]: a login needs a credential"),
        ([{"action": "push"}], BUILDER, "checks[0]: repository: the name of the repository is empty"),
        ([{"action": "login", "repository": "x"}], BUILDER, "leave repository and reference away"),
        ([{**PUSH, "reference": "sha256:" + "0" * 64}], BUILDER, "pushed to a tag, not to a digest"),
        ([{**PUSH, "repository": "Demo/App"}], BUILDER, "must be in lower case: 'demo/app'"),
        ([PUSH], {"username": "ann"}, "username and password belong together"),
        ([PUSH], {"auth_file": "/nonexistent/auth.json"}, "there is no file /nonexistent/auth.json"),
        ([PUSH], {**BUILDER, "auth_file": "/x"}, "exclude each other"),
        ([PUSH], {**BUILDER, "host": "https://x.io"}, "is a URL"),
    ],
)
def test_bad_input(host: Host, checks: list[Any], options: dict[str, Any], said: str) -> None:
    assert said in host.run(*checks, **options)["msg"]
    assert host.registry.requests == []


def test_an_auth_file_without_the_registry_says_what_to_do(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"auths": {"quay.io": {"auth": "eDp5"}}}')
    assert "has no credential for" in host.run(PUSH, auth_file=str(file))["msg"]
    file.write_text('{"credsStore": "desktop"}')
    assert "to the credential helper desktop" in host.run(PUSH, auth_file=str(file))["msg"]
