"""What one cluster's router shows, another cluster trusts: found on the first, stored on the second, in one playbook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import IMAGE_CONFIG, trusted

from playbooks import environment, run_playbook
from world.world import World, worlds


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[World, World]]:
    """Non-production and production, each with a CA of its own."""
    with worlds("one", "two") as (one, two):
        yield one, two


@pytest.fixture
def inventory(clusters: tuple[World, World], tmp_path: Path) -> Path:
    one, two = ({"cluster_connection": {"kubeconfig": str(world.admin_kubeconfig)}} for world in clusters)
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    trusted = {"image_config_trusted_clusters": [{"connection": one["cluster_connection"]}]}
    hosts = {"nonproduction": one, "production": {**two, **trusted}}
    file = tmp_path / "inventory.json"
    file.write_text(json.dumps({"clusters": {"hosts": hosts, "vars": local}}))
    return file


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """Expose the registries, then trust: a person's own playbook."""
    file = tmp_path / "both.yml"
    steps = ["quayside.registry.expose_registry", "quayside.registry.image_config"]
    file.write_text(json.dumps([{"ansible.builtin.import_playbook": step} for step in steps]))
    return file


def skopeo_says(host: str, certificates: Path) -> str:
    """The registry refuses to show an image to nobody, once it is reached over TLS."""
    command = ["skopeo", "inspect", "--no-creds", "--cert-dir", certificates, f"docker://{host}/demo/none:1"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_production_trusts_the_registry_of_nonproduction_and_its_next_ca(
    clusters: tuple[World, World], inventory: Path, playbook: Path, tmp_path: Path
) -> None:
    one, two = clusters
    env = environment(two.admin_kubeconfig, tmp_path)
    alone = run_playbook(playbook, env, "--limit", "nonproduction", inventory=inventory)
    assert not alone.failures
    done = run_playbook(playbook, env, inventory=inventory)
    assert not done.failures
    certificates = trusted(two, tmp_path / "certs.d")
    assert set(certificates) == {one.registry_host}
    assert "x509" in skopeo_says(one.registry_host, tmp_path)
    assert "unauthorized" in skopeo_says(one.registry_host, certificates[one.registry_host])
    assert "additionalTrustedCA" not in one.plane.admin.request("GET", IMAGE_CONFIG)["spec"]
    again = run_playbook(playbook, env, inventory=inventory)
    assert (again.failures, again.changed) == ([], 0)

    one.rotate_router_ca()
    assert "x509" in skopeo_says(one.registry_host, certificates[one.registry_host])
    rotated = run_playbook(playbook, env, inventory=inventory)
    assert not rotated.failures
    assert _kinds(rotated.changes) == ["update ConfigMap"]
    certificates = trusted(two, tmp_path / "certs.d")
    assert "unauthorized" in skopeo_says(one.registry_host, certificates[one.registry_host])


def _kinds(changes: list[dict[str, Any]]) -> list[str]:
    return [f"{change['action']} {change['kind']}" for change in changes]
