# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that take up a new configuration: the machine config operator rolls it out, pool by pool and node by node.

What it writes on nodes (OpenShift): ``registrySources`` and mirror sets become ``registries.conf`` and ``policy.json``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    MACHINE_CONFIG_POOL,
    Object,
    name_of,
)

WARNING = (
    "Nodes take this up one after the other: the machine config operator writes it on each node and restarts CRI-O. It"
    " drains the node first where the change needs that; older versions reboot it."
)

#: The operator renders a new configuration within seconds; until then a pool still says that it is up to date.
RENDERED_WITHIN = 60.0


class _NotRendered(Exception):
    pass


def read_pools(cluster: Cluster) -> list[Object] | None:
    """The pools as they are, or None where there is nothing that can be observed (no such API, or no right to see it)."""
    try:
        return cluster.list_objects(MACHINE_CONFIG_POOL)
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def wait_for_nodes(cluster: Cluster, before: Sequence[Object] | None, rolls: bool, timeout: float) -> list[str]:
    """Wait until every pool that was read ``before`` is up to date, and return warnings.

    ``rolls``: something was written in between that the pools are still to notice.
    """
    if before is None:
        return [
            "Not waited for nodes: the cluster does not show MachineConfigPools (hosted control planes have none), or the"
            " account may not see them."
        ]
    deadline = time.monotonic() + timeout
    paused = [name_of(pool) for pool in before if pool.get("spec", {}).get("paused")]
    warnings = [f"MachineConfigPool {name} is paused: its nodes take nothing up until that ends." for name in paused]
    pools = [pool for pool in before if name_of(pool) not in paused]
    noticed = cluster.map(lambda pool: _notices(cluster, pool, deadline), pools) if rolls else []
    if rolls and pools and not any(noticed):
        warnings.append(
            f"No MachineConfigPool got a new configuration within {RENDERED_WITHIN:.0f} seconds: either nothing changes for"
            " the nodes, or the machine config operator is not at work."
        )

    def wait_for(pool: Object) -> None:
        name = name_of(pool)
        cluster.wait(
            MACHINE_CONFIG_POOL,
            name,
            "",
            lambda seen: not pool_fault(seen),
            deadline,
            lambda seen: (
                f"MachineConfigPool {name} was not up to date after {timeout:.0f} seconds: {pool_fault(seen)}. See oc"
                f" describe machineconfigpool {name}, or set wait_timeout higher."
            ),
        )

    cluster.map(wait_for, pools)
    return warnings


def pool_fault(pool: Mapping[str, Any] | None) -> str:
    """Why the pool's nodes do not all have its configuration; empty when they do, or when the pool is gone."""
    if pool is None:
        return ""
    status = pool.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    updated = conditions.get("Updated", {}).get("status") == "True"
    if (
        updated
        and status.get("observedGeneration", 0) >= pool["metadata"].get("generation", 0)
        and _rendered(status) == _rendered(pool.get("spec"))
    ):
        return ""
    fault = f"{status.get('updatedMachineCount', 0)} of {status.get('machineCount', 0)} nodes are up to date"
    degraded = conditions.get("Degraded", {})
    if degraded.get("status") == "True":
        reasons = [item.get("message") for kind, item in conditions.items() if kind.endswith("Degraded")]
        fault += "; it is degraded: " + ("; ".join(text for text in reasons if text) or "without a reason given")
    return fault


def _notices(cluster: Cluster, before: Object, deadline: float) -> bool:
    def not_rendered(_seen: Object | None) -> str:
        raise _NotRendered

    soon = min(deadline, time.monotonic() + RENDERED_WITHIN)
    try:
        cluster.wait(
            MACHINE_CONFIG_POOL,
            name_of(before),
            "",
            lambda seen: seen is None or _rendered(seen.get("spec")) != _rendered(before.get("spec")),
            soon,
            not_rendered,
        )
    except _NotRendered:
        return False
    return True


def _rendered(part: Mapping[str, Any] | None) -> str:
    return str(((part or {}).get("configuration") or {}).get("name", ""))
