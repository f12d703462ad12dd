"""What all tests share: the collection is imported from the checkout under its own name."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / "build" / "collections"

sys.path.insert(0, str(ROOT / "tests"))


def _install_collection_loader() -> None:
    link = COLLECTIONS / "ansible_collections" / "quayside" / "registry"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../../..", target_is_directory=True)
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    installed = [path for path in sys.path if (Path(path) / "ansible_collections").is_dir()]
    _AnsibleCollectionFinder(paths=[str(COLLECTIONS), *installed])._install()


_install_collection_loader()
