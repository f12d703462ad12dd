"""Formatters, linters and the type checker have nothing to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from staging import ROOT

COLLECTION = "build/collections/ansible_collections/quayside/registry"


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", f"{COLLECTION}/plugins/module_utils"],
        ["ansible-lint", "--offline", "--profile", "production", "roles", "playbooks"],
        ["antsibull-changelog", "lint"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_nothing_to_say(command: list[str]) -> None:
    tool = Path(sys.executable).with_name(command[0])
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        [tool, *command[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-10000:] + run.stderr[-10000:]
