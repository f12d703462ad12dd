"""Units, sanity and a smoke of the world, for every supported ansible-core and every interpreter found."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.envdir = "build/nox"
nox.options.reuse_existing_virtualenvs = True

#: ansible-core → (the major version of the package ansible that brings it, controller interpreters that it supports)
SUPPORTED = {
    "2.16": (9, ("3.10", "3.11", "3.12")),
    "2.17": (10, ("3.10", "3.11", "3.12")),
    "2.18": (11, ("3.11", "3.12", "3.13")),
    "2.19": (12, ("3.11", "3.12", "3.13")),
    "2.20": (13, ("3.12", "3.13", "3.14")),
    "2.21": (14, ("3.12", "3.13", "3.14")),
}


@functools.cache
def interpreter(version: str) -> str | None:
    """Path of a Python that really starts: from PATH, or one that pyenv keeps."""
    candidates = [shutil.which(f"python{version}")]
    candidates += [str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


#: What every combination must be able to do in the world.
SMOKE = ["tests/integration/test_smoke.py", "tests/integration/test_login.py"]

FOUND = [
    nox.param(interpreter(version), core, id=f"{core}-{version}")
    for core, (_package, versions) in SUPPORTED.items()
    for version in versions
    if interpreter(version)
]


@nox.session
@nox.parametrize(["python", "core"], FOUND)
def matrix(session: nox.Session, core: str) -> None:
    """One ansible-core on one interpreter."""
    package = SUPPORTED[core][0]
    requirements = [
        line for line in Path("tests/requirements.txt").read_text().splitlines() if not line.startswith("#")
    ]
    left_out = {
        "ansible",
        "ansible-builder",
        "ansible-lint",
        "antsibull-changelog",
        "antsibull-docs",
        "furo",
        "mypy",
        "myst-parser",
        "nox",
        "ruff",
        "selenium",
        "sphinx-copybutton",
    }
    wanted = [f"ansible=={package}.*", *[name for name in requirements if name not in left_out]]
    if core == "2.16":
        # the login on the OAuth server must work with an old client as well
        wanted.append("kubernetes==29.*")
    session.install(*wanted)
    session.env["PYTHONPATH"] = str(Path("tests").absolute())
    session.env["PATH"] = f"{session.bin}{os.pathsep}{session.env.get('PATH') or os.environ['PATH']}"
    session.run("pytest", "tests/unit", "tests/quality/test_sanity.py")
    session.run("python", "-m", "world", "exec", "--", "python", "-m", "pytest", *SMOKE)
