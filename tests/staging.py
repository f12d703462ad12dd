"""Copies of the collection where the tools want it: below ``ansible_collections/quayside/registry``, beside kubernetes.core."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / "build" / "collections"


def link() -> Path:
    """The checkout as an installed collection, by a symbolic link; the folder to look for collections in."""
    place = COLLECTIONS / "ansible_collections" / "quayside" / "registry"
    if not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            place.symlink_to("../../../..", target_is_directory=True)
    return COLLECTIONS


def stage(directory: Path, site_packages: Path | None = None) -> Path:
    """A fresh copy of the checkout's files (tracked, or new and not ignored); its path."""
    collections = directory / "ansible_collections"
    target = collections / "quayside" / "registry"
    shutil.rmtree(target, ignore_errors=True)
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    # ansible-test asks git which files there are
    subprocess.run(["git", "init", "--quiet", str(target)], check=True)
    dependency = Path("kubernetes", "core")
    installed = (site_packages or Path(sysconfig.get_path("purelib"))) / "ansible_collections" / dependency
    if not (collections / dependency).exists():
        shutil.copytree(installed, collections / dependency)
    return target


def ansible_test_home(directory: Path, ansible_test: Path | None = None) -> dict[str, str]:
    """An environment with a home of its own, in which ansible-test finds pip's installer without a download.

    ansible-test asks for get-pip.py under a name with pip's version; Python's own ensurepip does the same.
    """
    ansible_test = ansible_test or Path(sysconfig.get_path("purelib")) / "ansible_test"
    cache = directory / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = (ansible_test / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
    for version in set(re.findall(r"pip(?:_version)?(?:=|': |\": )['\"]([\d.]+)['\"]", source)) | {"20.3.4", "21.3.1"}:
        installer = cache / f"get_pip_{version.replace('.', '_')}.py"
        installer.write_text("import ensurepip\nensurepip.bootstrap()\n", encoding="utf-8")
    return {**os.environ, "HOME": str(directory)}
