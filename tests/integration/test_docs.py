"""The playbooks and commands in the guides run as they stand there, and the playbooks change nothing the second time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clusters import new_project
from guides import RUN, blocks, document
from quays import quay_in

from playbooks import ANSIBLE_PLAYBOOK, INVENTORY, environment, run_playbook
from world.external import ExternalRegistry
from world.simulators.quay import Quay
from world.world import World


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shutil.rmtree("/tmp/quayside-docs", ignore_errors=True)  # logins of earlier worlds
    return tmp_path_factory.mktemp("docs")


@pytest.fixture(scope="module")
def docker_hub(world: World) -> Iterator[ExternalRegistry]:
    """The Docker Hub's host, with what the guides move from it."""
    host = "registry-1.docker.io"
    with ExternalRegistry(host, world.certificate_for(host)) as registry:
        registry.push("example/app", "1.4.0", "app 1.4.0")
        registry.push("example/app", "1.4.1", "app 1.4.1")
        registry.push("library/busybox", "1.37", "busybox", architectures=("amd64", "arm64"))
        yield registry


@pytest.fixture(scope="module")
def quay(world: World) -> Iterator[tuple[str, Quay]]:
    """The host of a Quay, and the Quay."""
    with new_project(world) as namespace, quay_in(world, namespace) as found:
        yield found


@pytest.fixture(scope="module")
def fleet(world: World, home: Path) -> None:
    """What the commands find in the folder that they are run in, and in the home folder: an inventory, a kubeconfig."""
    shutil.copy(INVENTORY, home / "inventory.yml")
    kubeconfig = yaml.safe_load(world.admin_kubeconfig.read_text())
    kubeconfig["contexts"][0]["name"] = kubeconfig["current-context"] = "prod-berlin"
    (home / ".kube" / "fleet").mkdir(parents=True)
    (home / ".kube" / "fleet" / "berlin").write_text(yaml.safe_dump(kubeconfig))


@pytest.mark.usefixtures("fleet", "ghcr", "docker_hub")
@pytest.mark.parametrize("guide", RUN)
def test_guide(guide: str, world: World, quay: tuple[str, Quay], home: Path) -> None:
    env = {**environment(world.admin_kubeconfig, home), "GHCR_TOKEN": "example"}
    if guide == "move_to_registry":
        # what every machine trusts, here the CA of the world's registries outside
        env["SSL_CERT_FILE"] = str(home / "registry.example.com.crt")
    certificate, key = world.certificate_for("registry.example.com")
    (home / "registry.example.com.crt").write_text(certificate)
    (home / "registry.example.com.key").write_text(key)
    for number, block in enumerate(blocks(document(guide)), 1):
        what = f"{guide}, block {number}"
        if block.file:
            (home / block.file).write_text(block.text)
        if block.is_run and block.is_playbook:
            playbook = home / f"{guide}-{number}.yml"
            playbook.write_text(block.text)
            for expected in ("changes something or nothing", "changes nothing"):
                run = run_playbook(playbook, env, "--extra-vars", f"quay_host={quay[0]}")
                assert not run.failures, what
                assert expected == "changes something or nothing" or run.changed == 0, run.changes
            if playbook.stem == "quay_content-1":  # the repository is there now, and somebody pushes to it
                for tag in ("0.9", "1.0"):
                    quay[1].push("acme", "web", tag)
        elif block.is_run:
            path = f"{ANSIBLE_PLAYBOOK.parent}{os.pathsep}{env['PATH']}"
            command = ["bash", "-euxo", "pipefail", "-c", block.text]
            shell = subprocess.run(
                command,
                env={**env, "HOME": str(home), "PATH": path},
                cwd=home,
                capture_output=True,
                text=True,
                check=False,
            )
            assert shell.returncode == 0, f"{what}: {shell.stdout}{shell.stderr}"
            assert "no hosts matched" not in shell.stdout + shell.stderr
