"""The playbooks in the guides run as they stand there, and change nothing the second time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import new_project
from quays import quay_in

from playbooks import environment, run_playbook
from staging import ROOT
from world.external import ExternalRegistry
from world.simulators.quay import Quay
from world.world import World

NAMES = (
    "expose",
    "trust",
    "builders",
    "image_config",
    "pull_secrets",
    "image_streams",
    "verify",
    "promote_images",
    "move_to_registry",
    "publish_workflow",
    "diagnose",
    "report",
    "quay_first_user",
    "quay_content",
    "automation_access",
    "quay",
)
GUIDES = [ROOT / "docs" / f"{name}.md" for name in NAMES]


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


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_guide(
    guide: Path,
    world: World,
    ghcr: ExternalRegistry,
    docker_hub: ExternalRegistry,
    quay: tuple[str, Quay],
    home: Path,
) -> None:
    env = {**environment(world.admin_kubeconfig, home), "GHCR_TOKEN": "example"}
    if guide.stem == "move_to_registry":
        # what every machine trusts, here the CA of the world's registries outside
        env["SSL_CERT_FILE"] = str(home / "registry.example.com.crt")
    certificate, key = world.certificate_for("registry.example.com")
    (home / "registry.example.com.crt").write_text(certificate)
    (home / "registry.example.com.key").write_text(key)
    playbooks = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert playbooks
    for number, text in enumerate(playbooks):
        playbook = home / f"{guide.stem}-{number}.yml"
        playbook.write_text(text)
        for expected in ("changes something or nothing", "changes nothing"):
            run = run_playbook(playbook, env, "--extra-vars", f"quay_host={quay[0]}")
            assert not run.failures, f"{guide.name}, playbook {number + 1}"
            assert expected == "changes something or nothing" or run.changed == 0, run.changes
        if playbook.stem == "quay_content-0":  # the repository is there now, and somebody pushes to it
            for tag in ("0.9", "1.0"):
                quay[1].push("acme", "web", tag)
