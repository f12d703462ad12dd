"""What ``certs_d`` writes is what the real clients read: skopeo, and programs that trust what the system trusts."""

from __future__ import annotations

import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import run_module
from world import sandbox
from world.world import World


@pytest.fixture
def host(world: World) -> Iterator[str]:
    """The registry's host, exposed, and trusted by nobody."""
    result = run_module("image_registry", kubeconfig=str(world.admin_kubeconfig), default_route=True)
    assert "msg" not in result, result
    run_module("certs_d", purge=True)
    yield world.registry_host
    run_module("certs_d", purge=True)


def authority(world: World) -> str:
    found = run_module("router_ca_info", kubeconfig=str(world.admin_kubeconfig), hosts=[world.registry_host])
    certificates: str = found["registries"][0]["ca_certificates"]
    return certificates


def certs_d(*registries: dict[str, Any], **options: Any) -> dict[str, Any]:
    result = run_module("certs_d", registries=list(registries), **options)
    assert "msg" not in result, result
    return result


def skopeo_says(host: str) -> str:
    """The registry refuses an unknown image by name, once it is reached over TLS."""
    command = ["skopeo", "inspect", "--no-creds", f"docker://{host}/demo/none:1"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_skopeo_trusts_the_registry_until_its_ca_is_another(host: str, world: World) -> None:
    assert "x509: certificate signed by unknown authority" in skopeo_says(host)
    certs_d({"host": host, "ca_certificates": authority(world)})
    assert "x509" not in skopeo_says(host)
    world.rotate_router_ca()
    assert "x509" in skopeo_says(host)
    result = certs_d({"host": host, "ca_certificates": authority(world)})
    assert [change["action"] for change in result["changes"]] == ["update", "update"]
    assert "x509" not in skopeo_says(host)
    certs_d({"host": host, "state": "absent"})
    assert "x509: certificate signed by unknown authority" in skopeo_says(host)


def test_skopeo_trusts_through_either_folder(host: str, world: World) -> None:
    for client in ("podman", "docker"):
        certs_d({"host": host, "ca_certificates": authority(world)}, clients=[client])
        assert "x509" not in skopeo_says(host)
        certs_d({"host": host, "state": "absent"})


def test_skopeo_does_not_verify_an_insecure_registry(host: str) -> None:
    result = certs_d({"host": host, "insecure": True})
    assert result["restart_services"] == ["docker"]
    assert "x509" not in skopeo_says(host)
    assert certs_d({"host": host, "state": "absent"})["restart_services"] == ["docker"]
    assert "x509" in skopeo_says(host)


def fetch(host: str) -> None:
    with urllib.request.urlopen(f"https://{host}/healthz", context=ssl.create_default_context(), timeout=10):
        pass


def test_the_whole_system_trusts_an_anchor(host: str, world: World) -> None:
    """With the distribution's own command: update-ca-certificates or update-ca-trust."""
    assert sandbox.inside(), "the machine's own trust is not for tests"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(host)
    registry = {"host": host, "ca_certificates": authority(world)}
    predicted = run_module("certs_d", check=True, registries=[registry], system_trust=True)
    result = certs_d(registry, system_trust=True)
    assert predicted["changes"] == result["changes"]
    assert [change["kind"] for change in result["changes"]].count("SystemTrust") == 1
    fetch(host)
    assert certs_d(registry, system_trust=True)["changes"] == []
    certs_d({"host": host, "state": "absent"})
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(host)


def test_a_read_only_folder_is_named_before_anything_is_written(host: str, world: World, tmp_path: Path) -> None:
    read_only = tmp_path / "docker"
    read_only.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", read_only], check=True)
    try:
        for check in (True, False):
            result = run_module(
                "certs_d",
                check=check,
                registries=[{"host": host, "ca_certificates": authority(world)}],
                docker_path=str(read_only),
                containers_path=str(tmp_path / "containers"),
            )
            assert result["msg"] == (
                f"Cannot write {read_only}/certs.d/{host}/quayside.crt. The file system is mounted read-only."
            )
        assert not (tmp_path / "containers").exists()
    finally:
        subprocess.run(["umount", read_only], check=True)
