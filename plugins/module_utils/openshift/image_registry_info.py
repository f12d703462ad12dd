# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry as it is, with what runs it: deployment, pods, node CA daemon and pruner in brief."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    DEFAULT_ROUTE,
    NAMESPACE,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import (
    Registry,
    condition_facts,
    conditions_of,
    generated_host,
    read_registry,
    routes_domain,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    DAEMON_SET,
    DEPLOYMENT,
    IMAGE_PRUNER,
    POD,
    Object,
    name_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

#: One pod on each node says nothing that its daemon set does not: left out of the list of pods.
_PODS = "name!=node-ca"


@dataclasses.dataclass(frozen=True)
class State:
    registry: Registry
    deployment: Object | None
    node_ca: Object | None
    pruner: Object | None
    pods: list[Object]
    domain: str


class ImageRegistryInfo:
    """Reads only. A registry that is removed has no deployment, and that is no failure."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """No options of its own."""

    def read(self, cluster: Cluster) -> State:
        """Eight concurrent requests, whatever the size of the cluster."""
        reads: list[Callable[[], Any]] = [
            functools.partial(read_registry, cluster),
            functools.partial(cluster.get, DEPLOYMENT, "image-registry", NAMESPACE),
            functools.partial(cluster.get, DAEMON_SET, "node-ca", NAMESPACE),
            functools.partial(cluster.get, IMAGE_PRUNER, "cluster"),
            functools.partial(cluster.list_objects, POD, NAMESPACE, _PODS),
            functools.partial(routes_domain, cluster),
        ]
        return State(*cluster.map(lambda read: read(), reads))

    def plan(self, state: State) -> Plan:
        result = state.registry.result()
        result.update(
            default_route_host=result["default_host"] or generated_host(DEFAULT_ROUTE, state.domain) or None,
            deployment=_deployment(state.deployment),
            node_ca=_node_ca(state.node_ca),
            pruner=_pruner(state.pruner),
            pods=sorted((_pod(pod) for pod in state.pods), key=lambda pod: str(pod["name"])),
        )
        return Plan(result=result)

    def wait(self, _cluster: Cluster, _plan: Plan) -> dict[str, Any]:
        return {}


def _deployment(item: Object | None) -> dict[str, Any] | None:
    if item is None:
        return None
    status = item.get("status") or {}
    return {
        "replicas": item["spec"].get("replicas", 1),
        "ready": status.get("readyReplicas", 0),
        "updated": status.get("updatedReplicas", 0),
    }


def _node_ca(item: Object | None) -> dict[str, Any] | None:
    if item is None:
        return None
    status = item.get("status") or {}
    return {"nodes": status.get("desiredNumberScheduled", 0), "ready": status.get("numberReady", 0)}


def _pruner(item: Object | None) -> dict[str, Any] | None:
    if item is None:
        return None
    spec = item.get("spec") or {}
    return {
        "schedule": spec.get("schedule") or "0 0 * * *",
        "suspended": bool(spec.get("suspend")),
        "keep_tag_revisions": spec.get("keepTagRevisions", 3),
        "conditions": [condition_facts(condition) for condition in conditions_of(item)],
    }


def _pod(item: Object) -> dict[str, Any]:
    status = item.get("status") or {}
    containers = status.get("containerStatuses") or []
    waiting = [(container.get("state") or {}).get("waiting") or {} for container in containers]
    return {
        "name": name_of(item),
        "phase": status.get("phase", ""),
        "ready": bool(containers) and all(container.get("ready") for container in containers),
        "restarts": sum(container.get("restartCount", 0) for container in containers),
        "node": (item.get("spec") or {}).get("nodeName", ""),
        "waiting": next((state["reason"] for state in waiting if state.get("reason")), ""),
    }
