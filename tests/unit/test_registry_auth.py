"""The auth file of podman and docker: merged, private, proven, and written only when it has to be."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_registry import FakeRegistry, serve
from test_credentials import ACCOUNT, SUBJECT, jwt

from ansible_collections.quayside.registry.plugins.module_utils.host.auth_file import default_path
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files, Write
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from support import run_module
from world.pki import Authority

HOST = "registry.example.com"
ANN = {"registry": HOST, "username": "ann", "password": "s3cret-of-ann"}


class File:
    """An auth file of the test's own, and the module run on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *registries: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module(
            "registry_auth", registries=list(registries), path=str(self.path), **{"verify": False, **options}
        )

    def converge(self, *registries: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Check mode, the run, and the run again: the first predicts the second, the third changes nothing."""
        before = self.path.read_bytes() if self.path.exists() else None
        predicted = self.run(*registries, check=True, **options)
        assert (self.path.read_bytes() if self.path.exists() else None) == before
        result = self.run(*registries, **options)
        assert "msg" not in result, result
        assert [predicted[key] for key in ("changed", "changes", "diff", "credentials")] == [
            result[key] for key in ("changed", "changes", "diff", "credentials")
        ]
        assert self.run(*registries, **options)["changes"] == []
        return result

    def read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.path.read_text())
        return content

    def credential(self, key: str) -> Credential | None:
        return auth.read(self.read(), key)

    def mode(self) -> int:
        return stat.S_IMODE(self.path.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "containers" / "auth.json")


def test_a_login_is_written_for_its_owner_alone(file: File) -> None:
    result = file.converge(ANN)
    assert file.credential(HOST) == Credential("ann", "s3cret-of-ann")
    assert (file.mode(), stat.S_IMODE(file.path.parent.stat().st_mode)) == (0o600, 0o700)
    assert result["credentials"] == [
        {"registry": HOST, "username": "ann", "expires_at": "", "renewed": True, "reason": "none is stored"}
    ]
    assert "s3cret" not in json.dumps({**result, "invocation": None})
    assert file.path.read_text().count("auth") == 2


def test_the_file_is_never_readable_by_others(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: set[int] = set()
    replace = Path.replace

    def watch(path: Path, target: Path) -> Path:
        modes.add(stat.S_IMODE(path.stat().st_mode))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watch)
    before = os.umask(0)
    try:
        file.run(ANN)
        file.run({**ANN, "password": "another"})
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_other_entries_and_settings_stay(file: File) -> None:
    file.path.parent.mkdir()
    theirs = {"auths": {"quay.io": {"auth": "eDp5"}}, "credHelpers": {"ecr": "ecr-login"}, "detachKeys": "ctrl-a"}
    file.path.write_text(json.dumps(theirs))
    file.path.chmod(0o644)
    result = file.converge(ANN, {**ANN, "registry": f"{HOST}/team", "username": "bob"})
    assert {**file.read(), "auths": theirs["auths"]} == theirs
    assert sorted(file.read()["auths"]) == ["quay.io", HOST, f"{HOST}/team"]
    assert file.mode() == 0o600
    assert "eDp5" not in json.dumps(result)
    assert "quay.io" not in result["diff"][0]["after"]


def test_a_changed_password_is_seen_and_hidden(file: File) -> None:
    file.converge(ANN)
    result = file.converge({**ANN, "password": "another-s3cret"})
    assert result["credentials"][0]["reason"] == "the password differs"
    assert "VALUE_HIDDEN_NEW" in result["diff"][0]["after"]
    assert "s3cret" not in json.dumps(result["diff"])
    assert file.credential(HOST) == Credential("ann", "another-s3cret")


def test_logout(file: File) -> None:
    file.converge(ANN, {**ANN, "registry": "quay.io"})
    result = file.converge({"registry": HOST, "state": "absent"})
    assert [change["action"] for change in result["changes"]] == ["update"]
    assert list(file.read()["auths"]) == ["quay.io"]
    file.path.unlink()
    assert file.converge({"registry": HOST, "state": "absent"})["changed"] is False
    assert not file.path.exists()


def test_what_somebody_else_writes_at_the_same_time_is_not_lost(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    file.converge(ANN)
    write, others = Files.write, [auth.dump(auth.with_credential(file.read(), "quay.io", Credential("bob", "x")))]

    def late(files: Files, change: Write) -> None:
        if others:
            file.path.write_bytes(others.pop())
        write(files, change)

    monkeypatch.setattr(Files, "write", late)
    result = file.run({**ANN, "password": "another"})
    assert result["changed"], result
    assert file.credential("quay.io") == Credential("bob", "x")
    assert file.credential(HOST) == Credential("ann", "another")


def test_only_the_mode_is_wrong(file: File) -> None:
    file.converge(ANN)
    file.path.chmod(0o640)
    result = file.converge(ANN)
    assert [change["kind"] for change in result["changes"]] == ["File"]
    assert file.mode() == 0o600
    file.converge(ANN, mode="0640")
    assert file.mode() == 0o640


def test_the_docker_hub_for_docker_and_podman(file: File) -> None:
    hub = {**ANN, "registry": "docker.io"}
    file.converge(hub)
    assert list(file.read()["auths"]) == ["docker.io"]
    file.path.unlink()
    file.converge(hub, format="docker")
    assert list(file.read()["auths"]) == ["https://index.docker.io/v1/"]


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"format": "podman"}, ["names the credential helper pass for registry.example.com"]),
        ({"format": "docker"}, ["names the credential helper pass for registry.example.com", "desktop for quay.io"]),
    ],
)
def test_helpers_stay_and_are_named(file: File, options: dict[str, Any], warned: list[str]) -> None:
    file.path.parent.mkdir()
    file.path.write_text(json.dumps({"credHelpers": {HOST: "pass"}, "credsStore": "desktop"}))
    result = file.run(ANN, {**ANN, "registry": "quay.io"}, **options)
    assert len(result["warnings"]) == len(warned)
    assert all(said in warning for said, warning in zip(warned, result["warnings"], strict=True))
    assert file.read()["credHelpers"] == {HOST: "pass"}


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}'])
def test_a_broken_file_is_left_as_it_is(file: File, text: str) -> None:
    file.path.parent.mkdir()
    file.path.write_text(text)
    for check in (True, False):
        result = file.run(ANN, check=check)
        assert result["failed"]
        assert "Nothing was changed: repair it, or move it away" in result["msg"]
    assert file.path.read_text() == text


@pytest.mark.parametrize(
    ("registries", "options", "said"),
    [
        (
            [{**ANN, "registry": f"https://{HOST}"}],
            {},
            "registries[0].registry: 'https://registry.example.com' is a URL",
        ),
        ([ANN, ANN], {}, "registries[1]: registry.example.com is listed twice"),
        ([{**ANN, "registry": f"{HOST}/team"}], {"format": "docker"}, "docker knows no credentials for a part"),
        ([{"registry": HOST, "username": "ann"}], {}, "registries[0] (registry.example.com): give exactly one of"),
    ],
)
def test_bad_input(file: File, registries: list[Any], options: dict[str, Any], said: str) -> None:
    assert said in file.run(*registries, **options)["msg"]
    assert not file.path.exists()


def builder(**claims: Any) -> str:
    return jwt(**{"sub": SUBJECT, "exp": int(time.time()) + 80_000, **claims})


def test_a_token_is_asked_for_and_nothing_written_until_it_is_there(file: File) -> None:
    login = {"registry": HOST, "service_account": ACCOUNT}
    predicted = file.run(login, ANN | {"registry": "quay.io"}, check=True)
    assert predicted["changed"]
    assert predicted["credentials"][0]["expires_at"] == ""
    asked = file.run(login, ANN | {"registry": "quay.io"})
    assert (asked["needs"], asked["changed"]) == ([0], False)
    assert not file.path.exists()
    token = builder()
    done = file.run({**login, "password": token}, ANN | {"registry": "quay.io"})
    assert [done[key] for key in ("changed", "changes", "diff")] == [
        predicted[key] for key in ("changed", "changes", "diff")
    ]
    assert file.credential(HOST) == Credential("builder", token)
    assert done["credentials"][0]["expires_at"].endswith("Z")
    again = file.run(login, ANN | {"registry": "quay.io"})
    assert (again["changes"], "needs" in again) == ([], False)


def test_a_token_that_expires_soon_is_asked_for_anew(file: File) -> None:
    login = {"registry": HOST, "service_account": ACCOUNT}
    file.run({**login, "password": builder(exp=int(time.time()) + 3600)})
    assert file.run(login)["needs"] == [0]
    assert "the token expires at" in file.run(login, check=True)["credentials"][0]["reason"]
    assert "needs" not in file.run({**login, "renew_before": 600})


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeRegistry]:
    authority = Authority.create("Test CA")
    with serve(tmp_path, authority, {"good-token": {"pull"}}) as fake:
        folder = tmp_path / "certs.d" / fake.host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(authority.certificate)
        yield fake


def test_a_new_credential_is_proven_before_it_is_written(file: File, registry: FakeRegistry, tmp_path: Path) -> None:
    trusting = {"verify": True, "certs_dirs": [str(tmp_path / "certs.d")]}
    bad = {"registry": registry.host, "username": "ann", "password": "bad-token"}
    result = file.run(ANN | bad, **trusting)
    assert f"The new credential for {registry.host} could not be proven, and nothing was written" in result["msg"]
    assert "does not let user ann log in" in result["msg"]
    assert not file.path.exists()
    file.converge({**bad, "password": "good-token"}, **trusting)
    assert file.credential(registry.host) == Credential("ann", "good-token")


def test_check_mode_and_a_run_that_changes_nothing_send_nothing(
    file: File, registry: FakeRegistry, tmp_path: Path
) -> None:
    trusting = {"verify": True, "certs_dirs": [str(tmp_path / "certs.d")]}
    login = {"registry": registry.host, "username": "ann", "password": "good-token"}
    file.run(login, check=True, **trusting)
    assert registry.requests == []
    file.run(login, **trusting)
    assert registry.requests == ["GET /v2/", "GET /openshift/token", "GET /v2/"]
    file.run(login, **trusting)
    assert len(registry.requests) == 3


def test_an_untrusted_registry_gets_no_credential(file: File, registry: FakeRegistry, tmp_path: Path) -> None:
    login = {"registry": registry.host, "username": "ann", "password": "good-token"}
    result = file.run(login, verify=True, certs_dirs=[str(tmp_path / "nothing")])
    assert "is not trusted here: x509" in result["msg"]
    assert registry.requests == []
    assert not file.path.exists()


def test_a_stored_token_is_replaced_when_the_registry_refuses_it(
    file: File, registry: FakeRegistry, tmp_path: Path
) -> None:
    trusting = {"verify": True, "certs_dirs": [str(tmp_path / "certs.d")]}
    login = {"registry": registry.host, "service_account": ACCOUNT}
    file.run({**login, "password": builder()}, verify=False)
    assert "needs" not in file.run(login, verify=False)
    assert "needs" not in file.run(login, verify=True, certs_dirs=[str(tmp_path / "nothing")])
    assert registry.requests == []
    reason = file.run(login, check=True, **trusting)["credentials"][0]["reason"]
    assert reason == "the registry does not accept what is stored"
    assert file.run(login, **trusting)["needs"] == [0]


def test_a_stored_token_that_the_registry_accepts_is_kept(file: File, registry: FakeRegistry, tmp_path: Path) -> None:
    trusting = {"verify": True, "certs_dirs": [str(tmp_path / "certs.d")]}
    token = builder()
    registry.rights = {token: {"pull"}}
    login = {"registry": registry.host, "service_account": ACCOUNT}
    file.run({**login, "password": token}, **trusting)
    sent = len(registry.requests)
    assert file.run(login, **trusting)["changed"] is False
    assert registry.requests[sent:] == ["GET /v2/", "GET /openshift/token", "GET /v2/"]


@pytest.mark.parametrize(
    ("docker", "environment", "expected"),
    [
        (False, {}, "/run/containers/1000/auth.json"),
        (False, {"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/containers/auth.json"),
        (False, {"XDG_RUNTIME_DIR": "/run/user/1000", "REGISTRY_AUTH_FILE": "/x/auth.json"}, "/x/auth.json"),
        (True, {"REGISTRY_AUTH_FILE": "/x/auth.json"}, str(Path("~/.docker/config.json").expanduser())),
        (True, {"DOCKER_CONFIG": "/x"}, "/x/config.json"),
    ],
)
def test_the_file_that_the_client_itself_would_use(docker: bool, environment: dict[str, str], expected: str) -> None:
    assert default_path(docker, environment, 1000) == expected
