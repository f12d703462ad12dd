"""The oldest and the newest supported combination of ansible-core and Python that this machine has interpreters for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from staging import ROOT

NOX = Path(sys.executable).with_name("nox")


def _sessions() -> list[str]:
    listing = subprocess.run([NOX, "--list"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [line.split()[1] for line in listing.splitlines() if line.startswith("* matrix(")]


@pytest.mark.timeout(1200)  # a cold machine installs another ansible first
@pytest.mark.parametrize("session", dict.fromkeys((_sessions()[0], _sessions()[-1])))
def test_units_sanity_and_smoke_pass(session: str) -> None:
    run = subprocess.run([NOX, "--session", session], cwd=ROOT, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-5000:]
