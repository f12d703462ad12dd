"""The playbooks in the guides run as they stand there, and change nothing the second time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from playbooks import environment, run_playbook
from staging import ROOT
from world.external import ExternalRegistry
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
    "quay",
)
GUIDES = [ROOT / "docs" / f"{name}.md" for name in NAMES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shutil.rmtree("/tmp/quayside-docs", ignore_errors=True)  # logins of earlier worlds
    return tmp_path_factory.mktemp("docs")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_guide(guide: Path, world: World, ghcr: ExternalRegistry, home: Path) -> None:
    env = environment(world.admin_kubeconfig, home)
    certificate, key = world.certificate_for("registry.example.com")
    (home / "registry.example.com.crt").write_text(certificate)
    (home / "registry.example.com.key").write_text(key)
    playbooks = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert playbooks
    for number, text in enumerate(playbooks):
        playbook = home / f"{guide.stem}-{number}.yml"
        playbook.write_text(text)
        for expected in ("changes something or nothing", "changes nothing"):
            run = run_playbook(playbook, env)
            assert not run.failures, f"{guide.name}, playbook {number + 1}"
            assert expected == "changes something or nothing" or run.changed == 0, run.changes
