# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Quay that the Quay operator runs: its QuayRegistry and its configuration bundle, until it is available.

A changed configuration is a new Secret under a new name (a hash of its content), which the QuayRegistry is then pointed to:
that is a new generation, so it can be seen when the operator has taken it up, and an interrupted run leaves either the old
configuration or the new one in use.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import projects, quay_components, quay_config
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import Earlier
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import routes_domain
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    DEPLOYMENT,
    MANAGED_BY,
    OBJECT_BUCKET_CLAIM,
    PERSISTENT_VOLUME_CLAIM,
    QUAY_REGISTRY,
    SECRET,
    SUBSCRIPTION,
    Kind,
    Object,
    changes,
    is_ours,
    labels_of,
    name_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

#: Label of the bundles that this module makes: the name of their QuayRegistry.
_BUNDLE_OF = "quayside.registry/quayregistry"

#: Label of everything that the operator makes for a registry.
_PART_OF = "quay-operator/quayregistry"

#: Secret with the keys that the operator generates for a registry, without which its database cannot be read.
_KEYS = "{}-quay-registry-managed-secret-keys"

#: How many seconds the operator may call the rollout blocked before it is believed: it looks again every 10 seconds.
GRACE = 25.0


class _StillSo(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class State:
    """The registry, the bundle it names, all bundles that this module made for it, and what holds its data."""

    registry: Object | None
    bundle: Object | None
    bundles: list[Object]
    projects: projects.Projects
    data: list[tuple[Kind, Object]] = dataclasses.field(default_factory=list)
    domain: str = ""  # of routes, where the registry is to be created


class QuayRegistry:
    """The module ``quay_registry``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._name, self._namespace = str(params["name"]), str(params["namespace"])
        check_project(self._namespace, "namespace")
        check_project(self._name, "name")  # its routes' hosts are made of both
        self._present = params["state"] == "present"
        self._purge_data = bool(params["purge_data"])
        self._create_projects = bool(params["create_projects"])
        self._wait, self._timeout = bool(params["wait"]), float(params["wait_timeout"])
        if self._purge_data and self._present:
            raise InputError("purge_data needs state: absent.")
        self._components = quay_components.parse(params["components"] or [])
        self._config: dict[str, Any] = dict(params["config"] or {})
        self._initial: dict[str, Any] = dict(params["initial_config"] or {})
        self._secrets: dict[str, Any] = dict(params["secret_config"] or {})
        quay_config.check_secrets(self._config, "config", "secret_config")
        quay_config.check_secrets(self._initial, "initial_config", "secret_config")
        both = sorted(set(self._config) & set(self._secrets))
        if both:
            raise InputError(f"secret_config: {', '.join(both)} cannot be in config, too.")
        self._files = _files(params)
        self._earlier = Earlier(params["earlier_changes"])
        self._generation = 0
        self._seen: Object | None = None  # the registry, where nothing of it was to be changed

    def read(self, cluster: Cluster) -> State:
        """The registry, its Secrets, and where it is to be created or removed what that takes."""
        try:
            registry = cluster.get(QUAY_REGISTRY, self._name, self._namespace)
        except ApiError as error:
            if error.status != 404:
                raise
            if not self._present:
                return State(None, None, [], projects.Projects())
            if self._earlier.includes(SUBSCRIPTION):
                return self._coming(State(None, None, [], self._projects(cluster), domain=routes_domain(cluster)))
            raise RegistryError(
                "The cluster has no QuayRegistry: the Quay operator is not installed. Install it first, with the role"
                " quay_operator or the module olm_operator."
            ) from error
        found, domain = projects.Projects(), ""
        if registry is None and self._present:
            found, domain = self._projects(cluster), routes_domain(cluster)
        selector = f"{_BUNDLE_OF}={self._name}"
        bundles = [] if found.missing else cluster.list_objects(SECRET, self._namespace, label_selector=selector)
        bundle = None
        named = ((registry or {}).get("spec") or {}).get("configBundleSecret")
        if named:
            bundle = next((item for item in bundles if name_of(item) == named), None)
            bundle = bundle or cluster.get(SECRET, named, self._namespace)
            if bundle is None and self._present:
                raise RegistryError(
                    f"QuayRegistry {self._namespace}/{self._name} names the bundle {named}, and there is no such Secret. Create"
                    " it, or take configBundleSecret out of the QuayRegistry to begin with a new one."
                )
        data = [] if self._present else self._data(cluster)
        state = State(registry, bundle, bundles, found, data, domain)
        return self._coming(state) if registry is None and self._present else state

    def _coming(self, state: State) -> State:
        """In check mode: with what a task before this one, of the same options, would have made by now."""
        if not self._earlier.includes(QUAY_REGISTRY, self._namespace, self._name):
            return state
        made = {change.kind: change.request.body for change in self.plan(state).changes}
        bundle = made[SECRET.kind]
        return dataclasses.replace(state, registry=made[QUAY_REGISTRY.kind], bundle=bundle, bundles=[bundle])

    def _projects(self, cluster: Cluster) -> projects.Projects:
        """The namespace, to be created where it is missing and does not come with the operator."""
        if self._namespace in self._earlier.projects:
            return projects.Projects()
        return projects.read(cluster, {self._namespace}, self._create_projects, {})

    def _data(self, cluster: Cluster) -> list[tuple[Kind, Object]]:
        """What holds the registry's data: volumes, bucket, and the keys without which they cannot be read."""
        found: list[tuple[Kind, Object]] = []
        for kind in (PERSISTENT_VOLUME_CLAIM, OBJECT_BUCKET_CLAIM):
            try:
                items = [item for item in cluster.list_objects(kind, self._namespace) if self._is_part(item)]
            except ApiError as error:
                if error.status != 404:  # a cluster without object storage
                    raise
                items = []
            found += [(kind, item) for item in items]
        keys = cluster.get(SECRET, _KEYS.format(self._name), self._namespace)
        return found + ([(SECRET, keys)] if keys else [])

    def _is_part(self, item: Object) -> bool:
        owners = item["metadata"].get("ownerReferences") or []
        owned = any((owner.get("kind"), owner.get("name")) == (QUAY_REGISTRY.kind, self._name) for owner in owners)
        return owned or labels_of(item).get(_PART_OF) == self._name

    # Planning

    def plan(self, state: State) -> Plan:
        """Stage 0: project; 1: the new bundle; 2: the registry; 3: bundles that are no longer used."""
        if not self._present:
            return self._removal(state)
        plan = Plan(state.projects.creation())
        stored = _decoded(state.bundle)
        where = f"the bundle {name_of(state.bundle)}" if state.bundle else "the bundle"
        before = quay_config.parse(stored.get("config.yaml", ""), where)
        wanted = {**self._config, **self._secrets}
        plan.warnings += quay_config.check(self._config, "config", before)
        plan.warnings += quay_config.check(self._initial, "initial_config", before)
        if state.registry is None:
            wanted = {**{key: value for key, value in wanted.items() if key not in self._initial}, **self._initial}
        plan.warnings += quay_config.check(self._secrets, "secret_config", before)
        config = quay_config.merge(before, wanted)
        files = quay_config.merge(stored, self._files)
        files["config.yaml"] = stored["config.yaml"] if config == before and stored else quay_config.render(config)
        registry = state.registry
        spec = dict((registry or {}).get("spec") or {})
        components = quay_components.merge(spec.get("components") or [], self._components)
        quay_components.check(components, config, files)
        bundle = state.bundle
        if bundle is None or files != stored:
            bundle = self._bundle(files)
            there = next((item for item in state.bundles if name_of(item) == name_of(bundle)), None)
            if there is None:  # else an earlier run ended before it was used
                plan.changes += changes(SECRET, None, bundle, stage=1)
        spec["configBundleSecret"] = name_of(bundle)
        if components or "components" in spec:
            spec["components"] = components
        after = {**registry, "spec": spec} if registry else new(QUAY_REGISTRY, self._name, self._namespace, spec=spec)
        plan.changes += changes(QUAY_REGISTRY, registry, after, stage=2)
        for item in state.bundles:
            if is_ours(item) and name_of(item) != name_of(bundle):
                plan.changes += changes(SECRET, item, None, stage=3)
        same = registry is not None and registry["spec"] == spec
        self._seen = registry if same else None
        self._generation = (registry or {}).get("metadata", {}).get("generation", 0) + (0 if same else 1)
        plan.result = {**self._result(after), "config": quay_config.masked(config)}
        if registry is None:
            host = config.get("SERVER_HOSTNAME") or f"{self._name}-quay-{self._namespace}.{state.domain}"
            plan.result.update(endpoint=f"https://{host}", host=host)
        return plan

    def _bundle(self, files: Mapping[str, str]) -> Object:
        digest = hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:10]
        data = {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}
        bundle = new(SECRET, f"{self._name}-config-bundle-{digest}", self._namespace, type="Opaque", data=data)
        bundle["metadata"]["labels"] = {**MANAGED_BY, _BUNDLE_OF: self._name}
        return bundle

    def _removal(self, state: State) -> Plan:
        """Stage 0: what holds data is taken from the registry, so that it is not collected with it; 1: the registry."""
        plan = Plan()
        for kind, item in state.data:
            if self._purge_data:
                plan.changes += changes(kind, item, None, stage=2)
                continue
            owners = item["metadata"].get("ownerReferences") or []
            left = [owner for owner in owners if owner.get("kind") != QUAY_REGISTRY.kind]
            if left != owners:
                metadata = {**item["metadata"], "ownerReferences": left}
                plan.changes += changes(kind, item, {**item, "metadata": metadata}, stage=0)
        plan.changes += changes(QUAY_REGISTRY, state.registry, None, stage=1)
        if self._purge_data:
            for item in state.bundles:
                if is_ours(item):
                    plan.changes += changes(SECRET, item, None, stage=2)
        plan.result = {
            "kept": [] if self._purge_data else [f"{kind.kind} {name_of(item)}" for kind, item in state.data]
        }
        return plan

    # Waiting

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Until the registry runs with what was written, or is gone."""
        if not self._wait:
            return {}
        deadline = time.monotonic() + self._timeout
        if not self._present:
            gone = f"QuayRegistry {self._name} was not gone after {self._timeout:.0f} seconds: is the Quay operator running?"
            if any(change.kind == QUAY_REGISTRY.kind for change in plan.changes):
                self._until(cluster, deadline, lambda seen: seen is None, gone)
            return {}
        seen = self._seen
        while not self._taken_up(seen):
            seen = self._until(cluster, deadline, lambda item: self._taken_up(item) or _blocked(item))
            if not self._taken_up(seen) and self._stays_blocked(cluster, deadline):
                raise RegistryError(self._describe(seen))
        self._rolled_out(cluster, deadline)
        if seen is None or seen is not self._seen or not _condition(seen, "Available"):
            seen = self._until(cluster, deadline, lambda item: self._taken_up(item) and _condition(item, "Available"))
        return self._result(seen or {})

    def _taken_up(self, registry: Object | None) -> bool:
        """Whether the operator has applied this generation, with its migrations done."""
        status = (registry or {}).get("status") or {}
        return (
            status.get("observedGeneration", 0) >= self._generation
            and _condition(registry, "ComponentsCreated")
            and not _condition(registry, "RolloutBlocked")
        )

    def _rolled_out(self, cluster: Cluster, deadline: float) -> None:
        """Quay's pods are those of the configuration: Available says True of the old ones, too."""
        name = f"{self._name}-quay-app"

        def describe(seen: Object | None) -> str:
            status = (seen or {}).get("status") or {}
            return (
                f"{self._fault()}: Deployment {name} has {status.get('updatedReplicas', 0)} new and"
                f" {status.get('availableReplicas', 0)} available replicas. See its pods."
            )

        cluster.wait(DEPLOYMENT, name, self._namespace, _is_rolled_out, deadline, describe)

    def _stays_blocked(self, cluster: Cluster, deadline: float) -> bool:
        def still(_seen: Object | None) -> str:
            raise _StillSo

        until = min(deadline, time.monotonic() + GRACE)
        try:
            cluster.wait(QUAY_REGISTRY, self._name, self._namespace, lambda seen: not _blocked(seen), until, still)
        except _StillSo:
            return True
        return False

    def _until(self, cluster: Cluster, deadline: float, until: Any, fault: str = "") -> Object | None:
        return cluster.wait(
            QUAY_REGISTRY, self._name, self._namespace, until, deadline, lambda seen: fault or self._describe(seen)
        )

    def _fault(self) -> str:
        return f"Quay {self._namespace}/{self._name} is not available after {self._timeout:.0f} seconds"

    def _describe(self, registry: Object | None) -> str:
        """What the operator says is missing, in a few lines."""
        if registry is None:
            return f"QuayRegistry {self._namespace}/{self._name} was deleted by somebody else. Run again."
        status = registry.get("status") or {}
        if not status.get("conditions"):
            return (
                f"{self._fault()}: the Quay operator has not looked at it. See that the operator runs, and that its"
                f" OperatorGroup includes {self._namespace}."
            )
        lines = [f"Quay {self._namespace}/{self._name} is not available:"]
        for item in status["conditions"]:
            bad = item["status"] == ("True" if item["type"] == "RolloutBlocked" else "False")
            if bad and item["type"] != "Available":
                lines.append(f"{item['type']} ({item.get('reason')}): {item.get('message')}")
        return "\n".join(lines)

    def _result(self, registry: Mapping[str, Any]) -> dict[str, Any]:
        status = registry.get("status") or {}
        components = [
            {
                "kind": item["kind"],
                "managed": item["managed"],
                "ready": _condition(registry, f"Component{_TYPES.get(item['kind'], item['kind'].capitalize())}Ready"),
            }
            for item in (registry.get("spec") or {}).get("components") or []
        ]
        endpoint = status.get("registryEndpoint", "")
        return {
            "endpoint": endpoint,
            "host": endpoint.partition("://")[2],
            "version": status.get("currentVersion", ""),
            "available": _condition(registry, "Available"),
            "config_bundle_secret": registry["spec"]["configBundleSecret"],
            "components": components,
        }


_TYPES = {
    "clairpostgres": "ClairPostgres",
    "horizontalpodautoscaler": "HPA",
    "objectstorage": "ObjectStorage",
    "tls": "TLS",
}


def _files(params: Mapping[str, Any]) -> dict[str, str | None]:
    """Files of the bundle beside config.yaml; None removes one."""
    files: dict[str, str | None] = {}
    for name, text in (params["extra_ca_certs"] or {}).items():
        file = f"extra_ca_cert_{name.removesuffix('.crt')}.crt"
        if text is not None:
            certificates.parse(text, f"extra_ca_certs.{name}")
            text = _ended(text)
        files[file] = text
    certificate, key = params["tls_certificate"], params["tls_key"]
    if bool(certificate) != bool(key):
        raise InputError("tls_certificate and tls_key belong together. Set both.")
    if certificate and key:
        leaf = certificates.parse(certificate, "tls_certificate")[0]
        if not certificates.key_matches(leaf, key, "tls_key"):
            raise InputError("tls_key is not the key of the first certificate in tls_certificate.")
        files |= {"ssl.cert": _ended(certificate), "ssl.key": _ended(key)}
    return files


def _ended(text: str) -> str:
    """PEM as a file: with the newline that templates and lookups strip."""
    return text.strip() + "\n"


def _decoded(bundle: Object | None) -> dict[str, str]:
    data = (bundle or {}).get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _condition(registry: Mapping[str, Any] | None, kind: str) -> bool:
    conditions = ((registry or {}).get("status") or {}).get("conditions") or []
    return any(item["type"] == kind and item["status"] == "True" for item in conditions)


def _blocked(registry: Object | None) -> bool:
    return registry is None or _condition(registry, "RolloutBlocked")


def _is_rolled_out(deployment: Object | None) -> bool:
    if deployment is None:
        return False
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= wanted
    )
