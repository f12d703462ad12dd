# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's catalogs of operators offer: packages, channels, versions.

The package server shows them as PackageManifests, which cannot be watched (OpenShift: HTTP 405), seconds after a
CatalogSource has become READY.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CATALOG_SOURCE,
    PACKAGE_MANIFEST,
    Object,
    name_of,
)

#: How often the package server is asked again while a catalog is being read, in seconds.
_INTERVAL = 1.0

_NUMBERS = re.compile(r"(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?")


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel of a package: the CSV at its head, every version in it (CSV → version), and what the head can watch."""

    name: str
    head: str
    versions: Mapping[str, str]
    modes: frozenset[str]

    def csv_of(self, version: str, package: str, where: str) -> str:
        """Name of the CSV of a version, or an error that names those there are."""
        for csv, its_version in self.versions.items():
            if version in (its_version, csv):
                return csv
        known = sorted(self.versions.values(), key=version_key)
        raise InputError(
            f"{where}.version: {package} has no version {version} in channel {self.name}. There"
            f" {'is' if len(known) == 1 else 'are'} {', '.join(known)}."
        )


@dataclasses.dataclass(frozen=True)
class Package:
    """A package as one catalog offers it."""

    name: str
    source: str
    source_namespace: str
    default_channel: str
    channels: Mapping[str, Channel]

    def channel(self, name: str, where: str) -> Channel:
        """The channel of this name, or an error that names those there are."""
        if name not in self.channels:
            raise InputError(
                f"{where}.channel: {self.name} of {self.source} has no channel {name}."
                f"{similar(name, self.channels)} There {'is' if len(self.channels) == 1 else 'are'}"
                f" {', '.join(sorted(self.channels))}; the default is {self.default_channel}."
            )
        return self.channels[name]


def find_package(
    cluster: Cluster, name: str, source: str, source_namespace: str, where: str, deadline: float
) -> Package:
    """The package of that name, once its catalog has been read; an empty ``source`` is the one that offers it.

    Errors name the catalogs, packages or channels that there are.
    """
    while True:
        found = cluster.list_objects(PACKAGE_MANIFEST, source_namespace, field_selector=f"metadata.name={name}")
        offers = [offer for offer in map(_package, found) if source in ("", offer.source)]
        if len(offers) == 1:
            return offers[0]
        if offers:
            raise InputError(
                f"{where}.source: {name} is offered by {', '.join(sorted(offer.source for offer in offers))}. Say which."
            )
        _settle(cluster, name, source, source_namespace, where, deadline)


def _settle(cluster: Cluster, name: str, source: str, source_namespace: str, where: str, deadline: float) -> None:
    """Return when the package may have appeared, raise when it will not."""
    catalogs = {name_of(item): item for item in cluster.list_objects(CATALOG_SOURCE, source_namespace)}
    if source and source not in catalogs:
        raise InputError(
            f"{where}.source: there is no CatalogSource {source} in {source_namespace}.{similar(source, catalogs)}"
            f" {_listed(sorted(catalogs), 'There is none')}"
        )
    wanted = {key: item for key, item in catalogs.items() if source in ("", key)}
    waiting = {key: state_of(item) for key, item in wanted.items() if state_of(item) != "READY"}
    if not waiting:
        manifests = cluster.list_objects(PACKAGE_MANIFEST, source_namespace)
        listed = {_package(item).source: item for item in manifests}
        if all(key in listed for key in wanted):
            names = {name_of(item) for item in manifests if source in ("", _package(item).source)}
            raise InputError(
                f"{where}.package: {source or 'no catalog of ' + source_namespace}"
                f" {'does not offer' if source else 'offers'} {name}.{similar(name, names)}"
                f" {_listed(sorted(names)[:20], 'They offer nothing')}"
            )
    if time.monotonic() >= deadline:
        states = (
            ", ".join(f"{key} is {state}" for key, state in sorted(waiting.items())) or "its packages are not listed"
        )
        raise RegistryError(
            f"{where}: the catalog was not ready in time: {states}. See oc describe catalogsource -n {source_namespace} and"
            " the catalog's pod there (its image must be pulled), or set wait_timeout higher."
        )
    time.sleep(min(_INTERVAL, max(0.0, deadline - time.monotonic())))


def state_of(catalog: Mapping[str, Any]) -> str:
    """A CatalogSource's connection, such as READY; "not connected yet" before its first."""
    connection = (catalog.get("status") or {}).get("connectionState") or {}
    return str(connection.get("lastObservedState") or "not connected yet")


def version_key(version: str) -> tuple[Any, ...]:
    """Orders versions as semantic versioning does: 3.9.1 < 3.10.0-rc.1 < 3.10.0."""
    match = _NUMBERS.search(version)
    if match is None:
        return ((), ())
    numbers = tuple(int(part) for part in match[1].split("."))
    before = tuple((part.isalpha(), int(part) if part.isdigit() else 0, part) for part in (match[2] or "").split("."))
    return (numbers, (1,) if not match[2] else (0, before))


def similar(name: str, names: Iterable[str]) -> str:
    """ " Did you mean X?" where a name is nearly another one."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _listed(names: list[str], none: str) -> str:
    return f"There {'is' if len(names) == 1 else 'are'} {', '.join(names)}." if names else f"{none}."


def _package(item: Object) -> Package:
    status = item["status"]
    return Package(
        name=name_of(item),
        source=status["catalogSource"],
        source_namespace=status["catalogSourceNamespace"],
        default_channel=status.get("defaultChannel", ""),
        channels={channel["name"]: _channel(channel) for channel in status.get("channels") or []},
    )


def _channel(item: Object) -> Channel:
    head = item.get("currentCSVDesc") or {}
    entries = item.get("entries") or [{"name": item["currentCSV"], "version": head.get("version", "")}]
    return Channel(
        name=item["name"],
        head=item["currentCSV"],
        versions={entry["name"]: entry.get("version", "") for entry in entries},
        modes=frozenset(mode["type"] for mode in head.get("installModes") or [] if mode.get("supported")),
    )
