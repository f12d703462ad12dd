# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry as it is: its configuration, conditions, routes and hosts, and what is not yet as it should be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    DEFAULT_ROUTE,
    NAMESPACE,
    Route,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    IMAGE_CONFIG,
    IMAGE_REGISTRY_CONFIG,
    INGRESS_CONFIG,
    ROUTE,
    Object,
    name_of,
)

#: Where pods and nodes of the cluster reach the registry, whether it is exposed or not.
INTERNAL_ADDRESS = "image-registry.openshift-image-registry.svc:5000"

#: What the operator says of a registry that has settled. Its other conditions are of its other controllers.
_SETTLED = {"Available": "True", "Progressing": "False", "Degraded": "False"}

#: Reasons of Degraded that no waiting mends, only another configuration.
_PERMANENT = ("VerificationFailed", "StorageNotConfigured")


@dataclasses.dataclass(frozen=True)
class Registry:
    """One reading. `hosts` are those that the operator has published, the default host first."""

    config: Object
    hosts: list[str]
    routes: dict[str, Object]

    @property
    def management_state(self) -> str:
        return str(self.config["spec"].get("managementState", ""))

    def result(self) -> dict[str, Any]:
        """The registry as the modules return it."""
        default = self.routes.get(DEFAULT_ROUTE)
        return {
            "management_state": self.management_state,
            "default_host": (admitted_host(default) or None) if default else None,
            "hosts": self.hosts,
            "internal_address": INTERNAL_ADDRESS,
            "storage": self.config["spec"].get("storage") or {},
            "conditions": [condition_facts(condition) for condition in conditions_of(self.config)],
            "routes": [
                {
                    "name": name,
                    "host": route["spec"].get("host", ""),
                    "admitted": bool(admitted_host(route)),
                    "message": _refusal(route),
                }
                for name, route in sorted(self.routes.items())
            ],
        }


def read_registry(cluster: Cluster) -> Registry:
    """Three concurrent requests."""
    config, image, routes = cluster.map(
        lambda read: read(),
        [
            lambda: cluster.get(IMAGE_REGISTRY_CONFIG, "cluster"),
            lambda: cluster.get(IMAGE_CONFIG, "cluster"),
            lambda: cluster.list_objects(ROUTE, NAMESPACE),
        ],
    )
    if config is None:
        raise RegistryError(
            f"configs.imageregistry.operator.openshift.io/cluster does not exist on {cluster.host}: the image registry"
            " operator makes it when it starts; see its pod in openshift-image-registry, and whether the cluster was"
            " installed without the ImageRegistry capability."
        )
    return Registry(config, hosts_of(image), {name_of(route): route for route in routes})


def hosts_of(image: Object | None) -> list[str]:
    """externalRegistryHostnames of images.config.openshift.io/cluster."""
    return list(((image or {}).get("status") or {}).get("externalRegistryHostnames") or [])


def routes_domain(cluster: Cluster) -> str:
    """The domain under which routes without a host of their own get one; empty where it may not be read."""
    try:
        ingress = cluster.get(INGRESS_CONFIG, "cluster") or {}
    except ApiError:
        return ""
    spec = ingress.get("spec") or {}
    return str(spec.get("appsDomain") or spec.get("domain") or "")


def generated_host(route: str, domain: str, namespace: str = NAMESPACE) -> str:
    """The host that such a route gets, of the registry unless another namespace is named; empty where the domain is not known."""
    return f"{route}-{namespace}.{domain}" if domain else ""


def conditions_of(item: Mapping[str, Any]) -> list[Object]:
    return list((item.get("status") or {}).get("conditions") or [])


def condition_facts(condition: Mapping[str, Any]) -> dict[str, str]:
    return {key: condition.get(key) or "" for key in ("type", "status", "reason", "message")}


def describe_conditions(config: Mapping[str, Any]) -> str:
    """The conditions that tell of the registry itself, in one line."""
    told = [item for item in conditions_of(config) if item["type"] in (*_SETTLED, "StorageExists")]
    return ", ".join(_sentence(item) for item in told) or "no conditions yet"


def condition_faults(config: Mapping[str, Any] | None) -> list[str]:
    """What the operator has still to do. Routes are looked at themselves, so what it says of them does not count."""
    if config is None:
        return ["configs.imageregistry.operator.openshift.io/cluster is gone"]
    generation = config["metadata"].get("generation", 0)
    if (config.get("status") or {}).get("observedGeneration", 0) < generation:
        return ["the operator has not taken up the configuration yet"]
    state = config["spec"].get("managementState")
    there = {item["type"]: item for item in conditions_of(config)}
    faults = []
    for kind, wanted in _SETTLED.items():
        item = there.get(kind, {"type": kind, "status": "Unknown"})
        if item["status"] != wanted and item.get("reason") != "RouteDegraded":
            faults.append(_sentence(item))
        elif kind == "Available" and state in ("Removed", "Unmanaged") and item.get("reason") != state:
            faults.append(f"the operator has not reported {state} yet")
    return faults


def permanent_fault(config: Mapping[str, Any] | None) -> str:
    """Why the operator will never apply this configuration; empty as long as it may."""
    if config is None or (config.get("status") or {}).get("observedGeneration", 0) < config["metadata"].get(
        "generation", 0
    ):
        return ""
    for item in conditions_of(config):
        if item["type"] == "Degraded" and item["status"] == "True" and item.get("reason") in _PERMANENT:
            return _sentence(item)
    return ""


def admitted_host(route: Mapping[str, Any] | None) -> str:
    """The host under which a router serves the route (OpenShift: status.ingress[].host); empty for none."""
    for ingress in ((route or {}).get("status") or {}).get("ingress") or []:
        if any(item["type"] == "Admitted" and item["status"] == "True" for item in ingress.get("conditions") or []):
            return str(ingress.get("host", ""))
    return ""


def route_fault(wanted: Route, route: Mapping[str, Any] | None) -> str:
    """Why a wanted route is not in effect; empty when it is."""
    if route is None:
        return f"route {wanted.name} has not been made yet"
    spec = route["spec"]
    label = f"route {wanted.name} (host {spec.get('host', '')})"
    if wanted.hostname and spec.get("host") != wanted.hostname:
        return f"{label} does not have the host {wanted.hostname} yet"
    if wanted.certificate and ((spec.get("tls") or {}).get("certificate") or "").strip() != wanted.certificate.strip():
        return f"{label} does not have the certificate of Secret {wanted.secret_name} yet"
    if admitted_host(route) != spec.get("host"):
        return f"{label} is not admitted: {_refusal(route) or 'no router has taken it up'}"
    return ""


def host_faults(hosts: list[str], wanted: set[str], gone: set[str]) -> list[str]:
    """What is still to change in the published hosts."""
    missing = [f"host {host} is not in images.config.openshift.io/cluster yet" for host in sorted(wanted - set(hosts))]
    return missing + [
        f"host {host} is still in images.config.openshift.io/cluster" for host in sorted(gone & set(hosts))
    ]


def _refusal(route: Mapping[str, Any]) -> str:
    for ingress in (route.get("status") or {}).get("ingress") or []:
        for item in ingress.get("conditions") or []:
            if item["type"] == "Admitted" and item["status"] != "True":
                reason, message = item.get("reason") or "", item.get("message") or ""
                return f"{reason}: {message}" if reason and message else reason or message or "refused without a reason"
    return ""


def _sentence(item: Mapping[str, Any]) -> str:
    reason = f" ({item['reason']})" if item.get("reason") else ""
    return f"{item['type']} is {item['status']}{reason}" + (f": {item['message']}" if item.get("message") else "")
