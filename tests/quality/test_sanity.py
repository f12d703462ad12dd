"""``ansible-test sanity`` on the whole checkout, with no ignore file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from staging import ROOT, ansible_test_home, stage

BUILD = ROOT / "build" / "sanity"


@pytest.mark.timeout(1200)  # a cold machine makes a virtual environment for each linter
def test_ansible_test_sanity_passes_without_an_ignore_file() -> None:
    collection = stage(BUILD)
    assert not list((collection / "tests").glob("sanity/ignore*"))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    run = subprocess.run(
        [Path(sys.executable).with_name("ansible-test"), "sanity", "--python", python, "--color", "no"],
        cwd=collection,
        env=ansible_test_home(BUILD / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Running sanity test" in run.stdout + run.stderr
    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-20000:]
