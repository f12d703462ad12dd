# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The components of a QuayRegistry: what each can be overridden with, and what it needs when it is unmanaged. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import Object

KINDS = (
    "quay",
    "postgres",
    "clair",
    "clairpostgres",
    "redis",
    "horizontalpodautoscaler",
    "objectstorage",
    "route",
    "mirror",
    "monitoring",
    "tls",
)

#: Override → components that take it (Quay operator: supports…Override). Labels and annotations are taken by all.
_TAKEN_BY = {
    "affinity": ("quay", "clair", "mirror"),
    "env": ("quay", "clair", "mirror", "postgres", "clairpostgres", "redis"),
    "replicas": ("quay", "clair", "mirror"),
    "resources": ("quay", "clair", "mirror", "postgres", "clairpostgres", "redis"),
    "storageClassName": ("postgres", "clair", "clairpostgres"),
    "volumeSize": ("postgres", "clair", "clairpostgres"),
}

#: Component → keys of config.yaml, or files of the bundle, that it needs when it is unmanaged, and what to do.
NEEDS = {
    "postgres": (("DB_URI",), "Set DB_URI in secret_config"),
    "redis": (("BUILDLOGS_REDIS", "USER_EVENTS_REDIS"), "Set BUILDLOGS_REDIS and USER_EVENTS_REDIS in secret_config"),
    "objectstorage": (("DISTRIBUTED_STORAGE_CONFIG",), "Set DISTRIBUTED_STORAGE_CONFIG in secret_config"),
    "route": (("SERVER_HOSTNAME",), "Set SERVER_HOSTNAME in config"),
    "tls": (("ssl.cert", "ssl.key"), "Set tls_certificate and tls_key"),
}

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i?|k|m)?")


def parse(entries: Sequence[Mapping[str, Any]]) -> dict[str, Object]:
    """The option ``components``: kind → entry of ``spec.components``, validated."""
    wanted: dict[str, Object] = {}
    for index, entry in enumerate(entries):
        where, kind = f"components[{index}]", entry["kind"]
        if kind in wanted:
            raise InputError(f"{where}: {kind} is listed before. List each component once.")
        component: Object = {"kind": kind, "managed": bool(entry["managed"])}
        overrides = {key: value for key, value in (entry.get("overrides") or {}).items() if value is not None}
        overrides = {_CRD_NAMES.get(key, key): value for key, value in overrides.items()}
        if entry.get("overrides") is not None:
            _check_overrides(where, kind, component["managed"], overrides)
            component["overrides"] = overrides
        wanted[kind] = component
    return wanted


_CRD_NAMES = {"storage_class_name": "storageClassName", "volume_size": "volumeSize"}


def _check_overrides(where: str, kind: str, managed: bool, overrides: Mapping[str, Any]) -> None:
    if overrides and not managed:
        raise InputError(
            f"{where}.overrides: {kind} is unmanaged, so there is nothing to override. Leave overrides out."
        )
    for name in overrides:
        takers = _TAKEN_BY.get(name, KINDS)
        if kind not in takers:
            raise InputError(f"{where}.overrides: {kind} takes no {name}. Those that do: {', '.join(takers)}.")
    if int(overrides.get("replicas") or 0) < 0:
        raise InputError(f"{where}.overrides.replicas: must be 0 or more.")
    size = overrides.get("volumeSize")
    if size is not None and not _QUANTITY.fullmatch(size):
        raise InputError(f"{where}.overrides.volume_size: {size!r} is not a quantity such as 50Gi.")


def merge(stored: Iterable[Mapping[str, Any]], wanted: Mapping[str, Object]) -> list[Object]:
    """``spec.components`` as it will be: those wanted, the others as they are. Overrides not named stay."""
    left = dict(wanted)
    merged: list[Object] = []
    for entry in stored:
        component = left.pop(entry["kind"], None)
        new = {**entry, **component} if component else dict(entry)
        if not new["managed"] or not new.get("overrides"):
            new.pop("overrides", None)
        merged.append(new)
    return merged + [
        {key: value for key, value in component.items() if key != "overrides" or value} for component in left.values()
    ]


def check(components: Iterable[Mapping[str, Any]], config: Mapping[str, Any], files: Iterable[str]) -> None:
    """Refuse what the operator would block: unmanaged components without their configuration, and contradictions."""
    by_kind = {item["kind"]: item for item in components}
    there = {key for key, value in config.items() if value not in (None, "", {}, [])} | set(files)
    for kind, (needed, remedy) in NEEDS.items():
        missing = [name for name in needed if name not in there]
        if by_kind.get(kind, {}).get("managed") is False and missing:
            raise InputError(f"components: {kind} is unmanaged, and {' and '.join(missing)} missing. {remedy}.")
    if by_kind.get("tls", {}).get("managed") and {"ssl.cert", "ssl.key"} <= there:
        raise InputError(
            "tls_certificate: component tls is managed. Set it to managed: false to use a certificate of yours."
        )
    scaler = by_kind.get("horizontalpodautoscaler", {}).get("managed", True)
    scaled = [kind for kind, item in by_kind.items() if (item.get("overrides") or {}).get("replicas") is not None]
    if scaler and scaled:
        raise InputError(
            f"components: replicas of {', '.join(scaled)} cannot be set while horizontalpodautoscaler is managed. Set that to"
            " managed: false, or leave replicas out."
        )
