"""The files that make a host trust registries: written, rotated and removed in folders of the test's own."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils.host import system_trust
from ansible_collections.quayside.registry.plugins.module_utils.host.system_trust import SystemTrust
from support import run_module

HOST = "registry.example.com:5000"
CA, NEW_CA = issue("Old CA", ca=True).certificate, issue("New CA", ca=True).certificate
CLIENT = issue("client")


class Host:
    """A host's folders, and the module run on them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *registries: dict[str, Any], **options: Any) -> dict[str, Any]:
        paths = {"containers_path": str(self.root / "containers"), "docker_path": str(self.root / "docker")}
        return run_module("certs_d", registries=list(registries), **{**paths, **options})

    def converge(self, *registries: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Check mode, the run, and the run again: the first predicts the second, the third changes nothing."""
        predicted = self.run(*registries, check=True, **options)
        result = self.run(*registries, **options)
        assert "msg" not in result, result
        assert [predicted[key] for key in ("changed", "changes", "diff", "restart_services")] == [
            result[key] for key in ("changed", "changes", "diff", "restart_services")
        ]
        again = self.run(*registries, **options)
        assert again["changes"] == []
        assert again["restart_services"] == []
        return result

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if not path.is_dir()
        }

    def put(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(system_trust, "detect", lambda _find: None)
    return Host(tmp_path)


def test_certificates_for_podman_and_docker(host: Host) -> None:
    result = host.converge({"host": HOST, "ca_certificates": CA + NEW_CA})
    expected = dict.fromkeys((f"{tool}/certs.d/{HOST}/quayside.crt" for tool in ("containers", "docker")), CA + NEW_CA)
    assert host.files() == expected
    assert [change["action"] for change in result["changes"]] == ["create", "create"]
    assert [item["subject"] for item in result["registries"][0]["certificates"]] == ["CN=Old CA", "CN=New CA"]
    assert stat.S_IMODE((host.root / "containers" / "certs.d" / HOST).stat().st_mode) == 0o755
    assert stat.S_IMODE((host.root / "containers" / "certs.d" / HOST / "quayside.crt").stat().st_mode) == 0o644


def test_a_mask_does_not_keep_clients_from_reading(host: Host) -> None:
    before = os.umask(0o077)
    try:
        host.converge({"host": HOST, "ca_certificates": CA})
    finally:
        os.umask(before)
    assert stat.S_IMODE((host.root / "docker").stat().st_mode) == 0o755


def test_rotation_changes_exactly_our_files(host: Host) -> None:
    host.converge({"host": HOST, "ca_certificates": CA}, {"host": "other.io", "ca_certificates": CA})
    host.put(f"docker/certs.d/{HOST}/theirs.crt", "theirs")
    result = host.converge({"host": HOST, "ca_certificates": NEW_CA}, {"host": "other.io", "ca_certificates": CA})
    assert [(change["action"], change["name"].removeprefix(str(host.root))) for change in result["changes"]] == [
        ("update", f"/containers/certs.d/{HOST}/quayside.crt"),
        ("update", f"/docker/certs.d/{HOST}/quayside.crt"),
    ]
    assert "CN=Old CA" in result["diff"][0]["before"]
    assert "CN=New CA" in result["diff"][0]["after"]
    assert host.files()[f"docker/certs.d/{HOST}/theirs.crt"] == "theirs"


def test_absent_removes_ours_and_empty_folders_alone(host: Host) -> None:
    host.converge(
        {"host": HOST, "ca_certificates": CA, "client_certificate": CLIENT.certificate, "client_key": CLIENT.key}
    )
    host.put(f"docker/certs.d/{HOST}/theirs.crt", "theirs")
    host.put("containers/certs.d/empty.io/theirs.crt", "theirs")
    result = host.converge({"host": HOST, "state": "absent"})
    assert {change["action"] for change in result["changes"]} == {"delete"}
    assert len(result["changes"]) == 6
    assert sorted(host.files()) == ["containers/certs.d/empty.io/theirs.crt", f"docker/certs.d/{HOST}/theirs.crt"]
    assert not (host.root / "containers" / "certs.d" / HOST).exists()


def test_purge_removes_registries_of_ours_that_are_not_listed(host: Host) -> None:
    host.converge({"host": "a.io", "ca_certificates": CA}, {"host": "b.io:5000", "insecure": True})
    host.put("docker/certs.d/theirs.io/ca.crt", "theirs")
    unchanged = host.files()
    host.converge({"host": "c.io", "ca_certificates": CA})
    assert unchanged.items() <= host.files().items()
    host.converge({"host": "c.io", "ca_certificates": CA}, purge=True)
    assert sorted(host.files()) == [
        "containers/certs.d/c.io/quayside.crt",
        "docker/certs.d/c.io/quayside.crt",
        "docker/certs.d/theirs.io/ca.crt",
        "docker/daemon.json",
    ]
    assert json.loads(host.files()["docker/daemon.json"]) == {}


def test_client_certificates_and_keys(host: Host) -> None:
    registry = {"host": HOST, "client_certificate": CLIENT.certificate, "client_key": CLIENT.key}
    result = host.converge(registry, mode="0444", clients=["podman"])
    folder = host.root / "containers" / "certs.d" / HOST
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "quayside.key": 0o600,
        "quayside.cert": 0o444,
    }
    assert (folder / "quayside.key").read_text() == CLIENT.key
    assert CLIENT.key.splitlines()[1] not in json.dumps(result)
    (folder / "quayside.key").chmod(0o644)
    result = host.converge(registry, mode="0444", clients=["podman"])
    assert [change["name"] for change in result["changes"]] == [str(folder / "quayside.key")]
    assert stat.S_IMODE((folder / "quayside.key").stat().st_mode) == 0o600
    new = issue("client")
    result = host.converge(
        {"host": HOST, "client_certificate": new.certificate, "client_key": new.key}, mode="0444", clients=["podman"]
    )
    assert len(result["changes"]) == 2
    assert "VALUE_HIDDEN_NEW" in json.dumps(result["diff"])


def test_insecure_registries(host: Host) -> None:
    host.put("docker/daemon.json", '{"log-level": "warn", "insecure-registries": ["theirs:80"]}')
    result = host.converge({"host": HOST, "insecure": True})
    assert result["restart_services"] == ["docker"]
    assert json.loads(host.files()["docker/daemon.json"]) == {
        "log-level": "warn",
        "insecure-registries": ["theirs:80", HOST],
    }
    drop_in = host.files()["containers/registries.conf.d/quayside-registry.example.com_5000.conf"]
    assert f'location = "{HOST}"\ninsecure = true\n' in drop_in
    result = host.converge({"host": HOST, "ca_certificates": CA})
    assert result["restart_services"] == ["docker"]
    assert json.loads(host.files()["docker/daemon.json"])["insecure-registries"] == ["theirs:80"]
    assert not [name for name in host.files() if name.endswith(".conf")]


def test_trust_alone_restarts_nothing(host: Host) -> None:
    host.put("docker/daemon.json", '{"insecure-registries": []}')
    assert host.converge({"host": HOST, "ca_certificates": CA})["restart_services"] == []
    assert host.files()["docker/daemon.json"] == '{"insecure-registries": []}'


@pytest.mark.parametrize("text", ["{", "[]", '{"insecure-registries": "x"}'])
def test_a_broken_daemon_json_stops_everything(host: Host, text: str) -> None:
    host.put("docker/daemon.json", text)
    result = host.run({"host": HOST, "insecure": True})
    assert "Nothing was changed: repair it" in result["msg"]
    assert host.files() == {"docker/daemon.json": text}


def test_certificates_from_files_of_the_host(host: Host, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CA)
    host.converge({"host": HOST, "ca_files": [str(tmp_path / "ca.pem")], "ca_certificates": CA}, clients=["docker"])
    assert host.files()[f"docker/certs.d/{HOST}/quayside.crt"] == CA
    result = host.run({"host": HOST, "ca_files": [str(tmp_path / "none.pem")]})
    assert "there is no file" in result["msg"]


@pytest.mark.parametrize(
    ("registries", "said"),
    [
        ([{"host": "https://quay.io", "ca_certificates": CA}], "registries[0].host: 'https://quay.io' is a URL"),
        ([{"host": "quay.io"}], "registries[0] (quay.io): nothing to trust"),
        ([{"host": "quay.io", "ca_certificates": "garbage"}], "registries[0] (quay.io): ca_certificates is not PEM"),
        ([{"host": "quay.io", "ca_certificates": issue("gone", ca=True, days=-2, since=9).certificate}],
         "registries[0] (quay.io): the certificate CN=gone has expired"),
        ([{"host": "quay.io", "client_certificate": CLIENT.certificate}], "belong together"),
        ([{"host": "quay.io", "client_certificate": CLIENT.certificate, "client_key": issue("x").key}],
         "does not belong to the client_certificate"),
        ([{"host": "quay.io", "ca_certificates": CA}, {"host": "quay.io", "state": "absent"}], "listed twice"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(host: Host, registries: list[Any], said: str) -> None:
    result = host.run({"host": "fine.io", "ca_certificates": CA}, *registries)
    assert said.replace("registries[0]", "registries[1]") in result["msg"]
    assert result["failed"]
    assert host.files() == {}


class Trust:
    """A host's anchors and a command that makes a bundle of them, as update-ca-certificates does."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.anchors, self.bundle = host.root / "anchors", host.root / "bundle.crt"
        self.runs = host.root / "runs"
        command = host.root / "bin" / "update-test-trust"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\ncat {self.anchors}/*.crt >{self.bundle} 2>/dev/null\necho >>{self.runs}\n")
        command.chmod(0o755)
        self.anchors.mkdir()
        self.bundle.write_text(issue("system").certificate)
        trust = SystemTrust(str(self.anchors), "update-test-trust", str(self.bundle))
        monkeypatch.setattr(system_trust, "detect", lambda _find: trust)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

    def run_count(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    def names(self) -> list[str]:
        return sorted(path.name for path in self.anchors.iterdir())


def test_the_system_s_trust_is_updated_only_on_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    trust = Trust(host, monkeypatch)
    (trust.anchors / "theirs.crt").write_text(CLIENT.certificate)
    result = host.converge({"host": HOST, "ca_certificates": CA + NEW_CA}, system_trust=True)
    assert [change["kind"] for change in result["changes"]].count("SystemTrust") == trust.run_count() == 1
    ours = ["quayside-registry.example.com_5000-1.crt", "quayside-registry.example.com_5000-2.crt"]
    assert trust.names() == [*ours, "theirs.crt"]
    host.converge({"host": HOST, "ca_certificates": NEW_CA}, system_trust=True)
    assert trust.names() == [*ours[:1], "theirs.crt"]
    assert (trust.anchors / ours[0]).read_text() == NEW_CA
    assert trust.run_count() == 2
    host.converge({"host": HOST, "state": "absent"})
    assert trust.names() == ["theirs.crt"]
    assert trust.run_count() == 3


def test_a_run_that_ended_before_the_command_is_made_good(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    trust = Trust(host, monkeypatch)
    host.converge({"host": HOST, "ca_certificates": CA}, system_trust=True)
    trust.bundle.write_text(CLIENT.certificate)
    result = host.converge({"host": HOST, "ca_certificates": CA}, system_trust=True)
    assert [change["kind"] for change in result["changes"]] == ["SystemTrust"]


def test_a_command_that_fails_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    trust = Trust(host, monkeypatch)
    (host.root / "bin" / "update-test-trust").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    result = host.run({"host": HOST, "ca_certificates": CA}, system_trust=True)
    assert "update-test-trust failed: broken. Run update-test-trust by hand." in result["msg"]
    assert len(result["changes"]) == 3
    assert trust.names() == ["quayside-registry.example.com_5000-1.crt"]


def test_a_host_without_such_commands(host: Host) -> None:
    result = host.run({"host": HOST, "ca_certificates": CA}, system_trust=True)
    assert "neither update-ca-trust (Red Hat) nor update-ca-certificates (Debian)" in result["msg"]


def test_families_are_told_by_their_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: str(path) == system_trust.RED_HAT.anchors)
    assert system_trust.detect(lambda name: f"/usr/bin/{name}") is system_trust.RED_HAT
    monkeypatch.setattr(Path, "is_dir", lambda _path: False)
    assert system_trust.detect(lambda name: f"/usr/bin/{name}") is system_trust.DEBIAN
    assert system_trust.detect(lambda _name: None) is None


def test_a_link_is_written_through(host: Host, tmp_path: Path) -> None:
    host.put("docker/real.json", "{}")
    (host.root / "docker" / "daemon.json").symlink_to("real.json")
    host.converge({"host": HOST, "insecure": True}, clients=["docker"])
    assert (host.root / "docker" / "daemon.json").is_symlink()
    assert json.loads(host.files()["docker/real.json"]) == {"insecure-registries": [HOST]}


def test_nothing_temporary_stays(host: Host) -> None:
    host.converge({"host": HOST, "ca_certificates": CA, "insecure": True})
    assert not [name for name in host.files() if Path(name).name.startswith(".")]


def test_a_file_in_the_way_is_named(host: Host) -> None:
    host.put("containers/certs.d", "a file")
    for check in (True, False):
        result = host.run({"host": HOST, "ca_certificates": CA}, check=check)
        assert "is not a folder" in result["msg"]
    assert list(host.files()) == ["containers/certs.d"]


def test_a_file_that_is_a_mount_point(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_path: Path, _target: Path) -> Path:
        raise OSError(errno.EBUSY, "Device or resource busy")

    host.put("docker/daemon.json", "{}")
    monkeypatch.setattr(Path, "replace", busy)
    result = host.run({"host": HOST, "insecure": True}, clients=["docker"])
    assert result["msg"].endswith("daemon.json. It is a mount point of its own: set unsafe_writes to write into it.")
    assert host.files() == {"docker/daemon.json": "{}"}
    host.converge({"host": HOST, "insecure": True}, clients=["docker"], unsafe_writes=True)
    assert json.loads(host.files()["docker/daemon.json"]) == {"insecure-registries": [HOST]}
