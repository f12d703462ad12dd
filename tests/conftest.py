"""What all tests share: the collection is imported from the checkout under its own name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from world.external import ExternalRegistry
    from world.world import World

sys.path.insert(0, str(Path(__file__).resolve().parent))


def _install_collection_loader() -> None:
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    from staging import link

    installed = [path for path in sys.path if (Path(path) / "ansible_collections").is_dir()]
    _AnsibleCollectionFinder(paths=[str(link()), *installed])._install()


_install_collection_loader()


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A cluster that is there for all tests; each uses projects of its own and puts back what it changes."""
    from world.world import World

    with World() as running:
        yield running


@pytest.fixture(scope="session")
def ghcr(world: World) -> Iterator[ExternalRegistry]:
    """A registry that every cluster can reach and trusts, with what the documentation speaks of."""
    from world.external import ExternalRegistry

    with ExternalRegistry("ghcr.io", world.certificate_for("ghcr.io")) as registry:
        registry.push("acme/app", "1.4", "app 1.4")
        registry.push("acme/base", "latest", "base", architectures=("amd64", "arm64"))
        yield registry


@pytest.fixture
def fresh_world() -> Iterator[World]:
    """A cluster nobody has touched, beside the other one."""
    from world.world import World

    with World(name="fresh", address="127.0.0.12") as running:
        yield running
