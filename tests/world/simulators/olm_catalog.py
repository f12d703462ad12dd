"""What OLM's catalogs offer: packages, their channels and bundles, and the API that shows them.

Real: a catalog is a pod with a database that answers over gRPC; the package server shows what all catalogs offer as
PackageManifests, which can be read and not watched. A catalog in the global namespace is seen in every namespace.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from .resource import Caller, Resource
from .store import Object, Revision, now

GLOBAL = "openshift-marketplace"
ALL_MODES = ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
MANIFESTS = Path(__file__).parent.parent / "manifests"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """One version of an operator. ``crds``: files that installing it applies. ``failure``: why its CSV fails;
    ``plan_failure``: why its InstallPlan does; ``pods``: how many seconds its pods take, None for ever."""

    package: str
    version: str
    replaces: str = ""
    modes: tuple[str, ...] = ALL_MODES
    crds: tuple[str, ...] = ()
    failure: str = ""
    plan_failure: str = ""
    pods: float | None = 0.1

    @property
    def name(self) -> str:
        """Name of its ClusterServiceVersion."""
        return f"{self.package}.v{self.version}"


@dataclasses.dataclass
class Package:
    """Channels, each with its bundles, the oldest first."""

    name: str
    channels: dict[str, list[Bundle]]
    default_channel: str


def first_packages() -> dict[str, Package]:
    """What the catalog redhat-operators offers in a new world."""
    quay = [
        Bundle("quay-operator", "3.13.0", crds=("quayregistries",)),
        Bundle("quay-operator", "3.13.1", "quay-operator.v3.13.0", crds=("quayregistries",)),
        Bundle("quay-operator", "3.14.0", "quay-operator.v3.13.1", crds=("quayregistries",)),
    ]
    bridge = Bundle("quay-bridge-operator", "3.14.0", modes=("AllNamespaces",), crds=("quayintegrations",))
    return {
        "quay-operator": Package("quay-operator", {"stable-3.13": quay[:2], "stable-3.14": quay}, "stable-3.14"),
        "quay-bridge-operator": Package("quay-bridge-operator", {"stable-3.14": [bridge]}, "stable-3.14"),
    }


class PackageManifests(Resource):
    """packagemanifests.packages.operators.coreos.com. ``catalogs``: (namespace, name) → package name → package, of those
    that answer."""

    group, kind, plural = "packages.operators.coreos.com", "PackageManifest", "packagemanifests"
    verbs = ("get", "list")

    def __init__(
        self, revision: Revision, catalogs: Callable[[], Mapping[tuple[str, str], Mapping[str, Package]]]
    ) -> None:
        super().__init__(revision)
        self._catalogs = catalogs

    async def list_all(self, caller: Caller, namespace: str) -> list[Object]:
        """Each package of each catalog that is seen from the namespace, in its name."""
        return [
            manifest(package, catalog, namespace or catalog[0])
            for catalog, packages in sorted(self._catalogs().items())
            if namespace in ("", catalog[0]) or catalog[0] == GLOBAL
            for _name, package in sorted(packages.items())
        ]

    async def get(self, caller: Caller, namespace: str, name: str) -> Object:
        """The first of that name."""
        for item in await self.list_all(caller, namespace):
            if item["metadata"]["name"] == name:
                return item
        return await super().get(caller, namespace, name)


def manifest(package: Package, catalog: tuple[str, str], namespace: str) -> Object:
    """A package as the package server shows it."""
    where, name = catalog
    return {
        "metadata": {
            "name": package.name,
            "namespace": namespace,
            "creationTimestamp": now(),
            "labels": {"catalog": name, "catalog-namespace": where, "provider": "Red Hat", "provider-url": ""},
        },
        "spec": {},
        "status": {
            "catalogSource": name,
            "catalogSourceDisplayName": "Red Hat Operators",
            "catalogSourcePublisher": "Red Hat",
            "catalogSourceNamespace": where,
            "provider": {"name": "Red Hat"},
            "packageName": package.name,
            "channels": [_channel(channel, bundles) for channel, bundles in package.channels.items()],
            "defaultChannel": package.default_channel,
        },
    }


def _channel(name: str, bundles: list[Bundle]) -> Object:
    head = bundles[-1]
    return {
        "name": name,
        "currentCSV": head.name,
        "currentCSVDesc": {
            "displayName": head.package,
            "version": head.version,
            "installModes": install_modes(head),
        },
        "entries": [{"name": bundle.name, "version": bundle.version} for bundle in reversed(bundles)],
    }


def install_modes(bundle: Bundle) -> list[Object]:
    """All modes, and whether the bundle supports each."""
    return [{"type": mode, "supported": mode in bundle.modes} for mode in ALL_MODES]
