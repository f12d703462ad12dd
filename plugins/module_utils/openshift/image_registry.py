# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image registry operator's configuration as wanted: managementState, routes, storage and how the registry runs."""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    DEFAULT_ROUTE,
    NAMESPACE,
    Route,
    check_routes,
    check_storage,
    merge_storage,
    storage_kind,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import (
    Registry,
    admitted_host,
    condition_facts,
    condition_faults,
    conditions_of,
    describe_conditions,
    generated_host,
    host_faults,
    hosts_of,
    permanent_fault,
    read_registry,
    route_fault,
    routes_domain,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    DEPLOYMENT,
    IMAGE_CONFIG,
    IMAGE_REGISTRY_CONFIG,
    MANAGED_BY,
    ROUTE,
    SECRET,
    Kind,
    Object,
    changes,
    is_ours,
    name_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: Option → field of spec, and what its absence there means.
_FIELDS: dict[str, tuple[str, Any]] = {
    "management_state": ("managementState", None),
    "default_route": ("defaultRoute", False),
    "replicas": ("replicas", None),
    "read_only": ("readOnly", False),
    "disable_redirect": ("disableRedirect", False),
    "rollout_strategy": ("rolloutStrategy", None),
    "log_level": ("logLevel", None),
    "node_selector": ("nodeSelector", {}),
    "tolerations": ("tolerations", []),
    "resources": ("resources", {}),
}

#: States in which the operator keeps no routes.
_IDLE = ("Removed", "Unmanaged")


@dataclasses.dataclass(frozen=True)
class State:
    """`secrets` by name: those that are to be written and those that may have to be deleted; `domain` is for routes
    without a host of their own, read only where the default route is still to be made."""

    registry: Registry
    secrets: dict[str, Object]
    domain: str


class ImageRegistry:
    """``configs.imageregistry.operator.openshift.io/cluster`` and the Secrets of its routes."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.wanted = {option: params[option] for option in _FIELDS if params.get(option) is not None}
        self.storage = None if params.get("storage") is None else check_storage(params["storage"])
        self.routes = check_routes(params.get("routes") or [])
        self.manages_routes = params.get("routes") is not None
        self.purge = bool(params.get("purge_routes"))
        self.waits, self.timeout = bool(params["wait"]), params["wait_timeout"]
        self.exposes = bool(self.wanted.get("default_route")) or any(route.present for route in self.routes)
        self.state: State | None = None
        if self.purge and not self.manages_routes:
            raise InputError("purge_routes needs routes: an empty list removes all routes but the default one.")
        if self.wanted.get("replicas", 0) < 0:
            raise InputError("replicas must not be negative.")
        if self.exposes and self.wanted.get("management_state") in _IDLE:
            raise InputError(
                f"default_route and routes cannot go with management_state: {self.wanted['management_state']}, in which"
                " the operator keeps no routes. Leave them out or set management_state: Managed."
            )

    # Reading

    def read(self, cluster: Cluster) -> State:
        """Three concurrent requests, and one for each Secret that is to be written."""
        written = [route.secret_name for route in self.routes if route.certificate]
        reads: list[Callable[[], Any]] = [functools.partial(read_registry, cluster)]
        reads += [functools.partial(_secret, cluster, name) for name in written]
        if self.purge or any(not route.present for route in self.routes):
            selector = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())
            reads.append(functools.partial(cluster.list_objects, SECRET, NAMESPACE, selector))
        registry, *secrets = cluster.map(lambda read: read(), reads)
        found = {name_of(secret): secret for group in secrets for secret in group}
        present, _gone = self._expected(registry)
        unnamed = any(not route.hostname and route.name not in registry.routes for route in present)
        self.state = State(registry, found, routes_domain(cluster) if unnamed else "")
        return self.state

    # Planning

    def plan(self, state: State) -> Plan:
        config = state.registry.config
        spec = self._spec(config["spec"])
        self._refuse(spec)
        planned: list[Change] = []
        for route in self.routes:
            if route.certificate:
                before = state.secrets.get(route.secret_name)
                planned += changes(SECRET, before, route.secret(before), stage=0)
        planned += [
            _shown(change) for change in changes(IMAGE_REGISTRY_CONFIG, config, {**config, "spec": spec}, stage=1)
        ]
        kept = {route.get("secretName") for route in spec.get("routes") or []}
        for entry in config["spec"].get("routes") or []:
            secret = state.secrets.get(entry.get("secretName", ""))
            if secret and is_ours(secret) and name_of(secret) not in kept:
                planned += changes(SECRET, secret, None, stage=2)
        return Plan(planned, self._forecast(state, spec))

    def _spec(self, actual: Mapping[str, Any]) -> dict[str, Any]:
        spec = copy.deepcopy(dict(actual))
        for option, value in self.wanted.items():
            field, default = _FIELDS[option]
            if value != spec.get(field, default):
                spec[field] = value
        if self.storage is not None:
            spec["storage"] = merge_storage(spec.get("storage"), self.storage)
        if self.manages_routes:
            there = {entry["name"]: entry for entry in spec.get("routes") or []}
            wanted = {route.name: route for route in self.routes}
            for route in self.routes:
                if route.present:
                    there[route.name] = route.merged(there.get(route.name))
            routes = [
                entry for name, entry in there.items() if (wanted[name].present if name in wanted else not self.purge)
            ]
            if routes != (spec.get("routes") or []):
                spec["routes"] = routes
        return spec

    def _refuse(self, spec: Mapping[str, Any]) -> None:
        state = spec.get("managementState")
        if self.exposes and state in _IDLE:
            raise RegistryError(
                f"The image registry's managementState is {state}, in which the operator keeps no routes: default_route and"
                " routes need management_state: Managed as well"
                + ("" if storage_kind(spec.get("storage")) else ", and storage, such as storage: {pvc: {claim: ''}}")
                + "."
            )
        if self.wanted.get("management_state") == "Managed" and not storage_kind(spec.get("storage")):
            raise RegistryError(
                "management_state: Managed needs storage, and none is configured: set storage as well, such as"
                " storage: {pvc: {claim: ''}} (the operator makes a claim of 100 GiB that many nodes can write to),"
                " storage: {s3: {bucket: NAME, region: REGION}}, or for a trial storage: {emptyDir: {}} (images are lost with"
                " the pod)."
            )

    def _forecast(self, state: State, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The result as far as it is known before the operator and the router have done their part."""
        result = state.registry.result()
        result.update(management_state=spec.get("managementState", ""), storage=spec.get("storage") or {})
        present, gone = self._expected(state.registry)
        expected = {route["name"]: route["host"] for route in result["routes"] if route["name"] not in gone}
        for route in present:
            generated = generated_host(route.name, state.domain)
            expected[route.name] = route.hostname or expected.get(route.name) or generated
        result["default_host"] = expected.get(DEFAULT_ROUTE) or None
        hosts = sorted({host for name, host in expected.items() if host and name != DEFAULT_ROUTE})
        result["hosts"] = [result["default_host"], *hosts] if result["default_host"] else hosts
        result["routes"] = [route for route in result["routes"] if route["name"] not in gone]
        return result

    def _expected(self, registry: Registry) -> tuple[list[Route], set[str]]:
        """The routes that are to be admitted, and the names of those that are to go."""
        if self.wanted.get("management_state") == "Removed":
            named = {entry["name"] for entry in registry.config["spec"].get("routes") or []}
            return [], {DEFAULT_ROUTE, *named}
        present = [route for route in self.routes if route.present]
        gone = {route.name for route in self.routes if not route.present}
        if self.purge:
            kept = {route.name for route in present}
            gone |= {entry["name"] for entry in registry.config["spec"].get("routes") or []} - kept - {DEFAULT_ROUTE}
        if self.wanted.get("default_route"):
            present.insert(0, Route(DEFAULT_ROUTE))
        elif self.wanted.get("default_route") is False:
            gone.add(DEFAULT_ROUTE)
        return present, gone

    # Waiting

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Until the operator has settled, every wanted route is admitted and its host published, and the others are gone."""
        before = (self.state or self.read(cluster)).registry
        present, gone = self._expected(before)
        gone_hosts = _hosts_of_routes(before, gone) - {route.hostname for route in present}

        def faults(registry: Registry) -> list[str]:
            wrong = [route_fault(route, registry.routes.get(route.name)) for route in present]
            wrong += [f"route {name} is still there" for name in sorted(gone & set(registry.routes))]
            hosts = {admitted_host(registry.routes.get(route.name)) for route in present} - {""}
            return (
                condition_faults(registry.config)
                + [f for f in wrong if f]
                + host_faults(registry.hosts, hosts, gone_hosts)
            )

        if not self.waits or (not plan.changes and not faults(before)):
            return {}
        deadline = time.monotonic() + self.timeout

        def until(kind: Kind, name: str, fault: Callable[[Object | None], str]) -> Object | None:
            return cluster.wait(
                kind,
                name,
                NAMESPACE if kind.namespaced else "",
                lambda seen: not fault(seen),
                deadline,
                lambda seen: self._late(read_registry(cluster), faults, fault(seen)),
            )

        while True:
            self._wait_for_operator(until, bool(plan.changes))
            hosts = {
                admitted_host(until(ROUTE, route.name, functools.partial(route_fault, route))) for route in present
            }
            for name in sorted(gone):
                until(ROUTE, name, lambda seen: f"route {name_of(seen)} is still there" if seen else "")
            published = functools.partial(_publication_fault, wanted=hosts, gone=gone_hosts)
            until(IMAGE_CONFIG, "cluster", published)
            # What was waited for first may have changed while the last was waited for.
            registry = read_registry(cluster)
            if not faults(registry):
                return registry.result()
            if time.monotonic() >= deadline:
                raise RegistryError(self._late(registry, faults, ""))

    @staticmethod
    def _wait_for_operator(until: Callable[..., Object | None], changed: bool) -> None:
        # a configuration that is refused ends the waiting, too
        config = until(
            IMAGE_REGISTRY_CONFIG,
            "cluster",
            lambda seen: "" if permanent_fault(seen) else "; ".join(condition_faults(seen)),
        )
        fault = permanent_fault(config)
        if fault:
            raise RegistryError(
                f"The image registry operator refuses the configuration: {fault}.",
                {"conditions": [condition_facts(item) for item in conditions_of(config or {})]},
            )
        # The operator reports Ready for a moment between writing the Deployment and the rollout's beginning.
        if changed and config and config["spec"].get("managementState") == "Managed":
            until(DEPLOYMENT, "image-registry", _rollout_fault)

    def _late(self, registry: Registry, faults: Callable[[Registry], list[str]], waited_for: str) -> str:
        wrong = "; ".join(faults(registry)) or waited_for
        return (
            f"The image registry did not become as wanted within {self.timeout} s: {wrong}. Conditions:"
            f" {describe_conditions(registry.config)}."
        )


def _publication_fault(image: Object | None, wanted: set[str], gone: set[str]) -> str:
    return "; ".join(host_faults(hosts_of(image), wanted, gone))


def _rollout_fault(deployment: Mapping[str, Any] | None) -> str:
    """What is still to roll out; empty when every pod is a new one and available."""
    if deployment is None:
        return "Deployment image-registry has not been made yet"
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    generation = deployment["metadata"]["generation"]
    counts = {count: status.get(f"{count}Replicas", 0) for count in ("updated", "available")}
    if status.get("observedGeneration", generation) >= generation and all(
        count == wanted for count in (*counts.values(), status.get("replicas", 0))
    ):
        return ""
    return f"of {wanted} pods {counts['updated']} are new and {counts['available']} are available"


def _hosts_of_routes(registry: Registry, names: set[str]) -> set[str]:
    return {str(registry.routes[name]["spec"].get("host", "")) for name in names & set(registry.routes)} - {""}


def _secret(cluster: Cluster, name: str) -> list[Object]:
    secret = cluster.get(SECRET, name, NAMESPACE)
    return [secret] if secret else []


def _shown(change: Change) -> Change:
    """The change with a diff of what this module manages: the rest of the configuration holds secrets (httpSecret)."""
    managed = {field for field, _default in _FIELDS.values()} | {"storage", "routes"}

    def only(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if item is None:
            return None
        return {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "metadata": {"name": "cluster"},
            "spec": {key: value for key, value in item["spec"].items() if key in managed},
        }

    return dataclasses.replace(change, before=only(change.before), after=only(change.after))
