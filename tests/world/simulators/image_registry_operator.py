"""The image registry operator: configs.imageregistry.operator.openshift.io/cluster into a registry and its routes.

Real, and so here: a change of routes alone changes no condition; the hosts appear in images.config.openshift.io/cluster
once a router has written the routes' status; a route's spec changed by hand stays, since only the checksum of what the
operator wants is compared; a deleted route comes back; an error that only a new configuration mends leaves everything as
it was. The pods are the one thing pretended: they are ready `delay` seconds after each change of the deployment.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from typing import Any

from .kube import Controller, Kube, Object
from .registry import Registry
from .registry_conditions import Conditions
from .registry_objects import (
    CONFIGS,
    NAMESPACE,
    OBJECTS,
    default_config,
    deployment,
    desired_routes,
    managed_objects,
    route_body,
)
from .registry_storage import sync_storage

INTERNAL_HOST = "image-registry.openshift-image-registry.svc:5000"
IMAGES = "/apis/config.openshift.io/v1/images"
OPERATORS = "/apis/config.openshift.io/v1/clusteroperators"
ROUTES = f"/apis/route.openshift.io/v1/namespaces/{NAMESPACE}/routes"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


class Retry(Exception):
    """Part of the configuration could not be applied; the operator will try again."""


class Refused(Exception):
    """The configuration is wrong: (reason of Degraded, text)."""


class ImageRegistryOperator(Controller):
    """One cluster's operator. `delay` is how long a rollout takes, in seconds."""

    def __init__(self, kube: Kube, registry: Registry, domain: str, first: Object) -> None:
        super().__init__(kube)
        self.registry = registry
        self.domain = domain
        self.first = first
        self.delay = 0.3
        self.hosts: list[str] = []
        self.internal_host = ""
        self._template = ""
        self._ready = 0
        self._settles = 0.0
        self._gone = True
        self.configs = self.watch(CONFIGS)
        self.images = self.watch(IMAGES)
        self.operators = self.watch(OPERATORS)
        self.routes = self.watch(ROUTES)
        self.secrets = self.watch(f"/api/v1/namespaces/{NAMESPACE}/secrets")
        self.claims = self.watch(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")

    async def reconcile(self) -> float | None:
        """One round: spec completed, objects applied, status told."""
        config = self.configs.get("", "cluster")
        if config is None:
            await self.kube.ensure(CONFIGS, default_config(self.first))
            return None
        if config["metadata"].get("deletionTimestamp"):
            await self.kube.patch(f"{CONFIGS}/cluster", {"metadata": {"finalizers": None}})
            return None
        spec = config["spec"]
        # Conditions that this round does not speak of stay as they are, as the operator leaves them.
        conditions = Conditions()
        again: float | None = None
        if spec["managementState"] == "Removed":
            again = await self._remove(conditions)
        elif spec["managementState"] == "Unmanaged":
            conditions.unmanaged()
        else:
            again = await self._manage(config, conditions)
        if spec["managementState"] != "Removed":
            self._gone = False
        await self._tell_hosts(spec["managementState"] != "Removed")
        await self._tell_status(config, conditions)
        return again

    async def _remove(self, conditions: Conditions) -> float | None:
        self.registry.serving = False
        self._template = ""
        loop = asyncio.get_running_loop()
        if not self._gone and not self._settles:
            for collection, name in OBJECTS:
                await self.kube.delete(f"{collection}/{name}")
            for name in self._own_routes():
                await self.kube.delete(f"{ROUTES}/{name}")
            self._settles = loop.time() + self.delay
        left = self._settles - loop.time()
        if not self._gone and left > 0:
            conditions.being_removed(gone=False)
            return left
        self._gone, self._settles, self._ready = True, 0.0, 0
        conditions.being_removed(gone=True)
        return None

    async def _manage(self, config: Object, conditions: Conditions) -> float | None:
        spec = config["spec"]
        again: float | None = None
        if not spec.get("httpSecret"):
            await self.kube.patch(f"{CONFIGS}/cluster", {"spec": {"httpSecret": secrets.token_hex(64)}})
        try:
            self._verify(spec)
            conditions.storage, problem = await sync_storage(self.kube, spec["storage"], self.claims)
            if problem:
                raise Retry(f"unable to sync storage configuration: {problem}")
            settled = await self._apply_deployment(spec)
            conditions.deployment(spec["replicas"], self._ready, settled)
            await self._apply_routes(spec)
        except Refused as refusal:
            self._keep(config, conditions)
            conditions.permanent(*refusal.args)
        except Retry as problem:
            self._keep(config, conditions)
            conditions.retried(str(problem))
            again = 0.5
        else:
            self._judge_routes(conditions)
        left = self._settles - asyncio.get_running_loop().time()
        if self._settles and left > 0:
            again = min(left, again or left)
        return again

    def _verify(self, spec: Object) -> None:
        names = [route["name"] for route in spec.get("routes") or []]
        if "default-route" in names or len(set(names)) < len(names):
            text = "unable to complete resource: duplication of names has been detected in the additional routes"
            raise Refused("VerificationFailed", text)
        if spec["replicas"] < 0:
            raise Refused(
                "VerificationFailed", "unable to complete resource: replicas must be greater than or equal to 0"
            )
        if not {key for key, value in spec["storage"].items() if value is not None} - {"managementState"}:
            raise Refused("StorageNotConfigured", "storage backend not configured")

    def _keep(self, config: Object, conditions: Conditions) -> None:
        """What an error does not touch keeps what it said before."""
        before = {item["type"]: item for item in (config.get("status") or {}).get("conditions") or []}
        for kind, attribute in (("Available", "available"), ("Degraded", "degraded")):
            if kind in before:
                item = before[kind]
                setattr(conditions, attribute, (item["status"], item.get("reason"), item.get("message")))
        if conditions.available[1] == "Removed" or "Available" not in before:
            conditions.available = ("False", "DeploymentNotFound", "The deployment does not exist")
        if conditions.degraded[1] == "Removed":
            conditions.degraded = ("False", None, None)

    async def _apply_deployment(self, spec: Object) -> bool:
        """The objects of the registry; whether its pods are as wanted."""
        loop = asyncio.get_running_loop()
        body = deployment(spec)
        template = json.dumps(body["spec"], sort_keys=True)
        if template != self._template:
            await self._ensure_namespace_objects()
            await self.kube.put(DEPLOYMENT, body)
            self._template = template
            self._settles = loop.time() + self.delay
        if self._settles and loop.time() >= self._settles:
            self._settles = 0.0
            self._ready = spec["replicas"]
            status = {"replicas": self._ready, "readyReplicas": self._ready, "availableReplicas": self._ready,
                      "updatedReplicas": self._ready}  # fmt: skip
            await self.kube.patch(f"{DEPLOYMENT}/image-registry/status", {"status": status})
        self.registry.serving = self._ready > 0
        return not self._settles

    async def _ensure_namespace_objects(self) -> None:
        for collection, body in managed_objects(self.registry.certificate, self.registry.service_ca):
            await self.kube.ensure(collection, body)

    def _own_routes(self) -> dict[str, Object]:
        return {
            name: route
            for (_namespace, name), route in self.routes.objects.items()
            if (route["metadata"].get("annotations") or {}).get("imageregistry.openshift.io") == "true"
            and not route["metadata"].get("deletionTimestamp")
        }

    async def _apply_routes(self, spec: Object) -> None:
        present, problems = self._own_routes(), []
        wanted = desired_routes(spec, self.domain)
        for name, route in wanted.items():
            material: Object = {}
            if route.get("secretName"):
                secret = self.secrets.get(NAMESPACE, route["secretName"])
                if secret is None:
                    problems.append(
                        "unable to apply objects: failed to create object *v1.Route, "
                        f'Namespace={NAMESPACE}, Name={name}: secret "{route["secretName"]}" not found'
                    )
                    continue
                material = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
            body = route_body(name, route, material)
            text = json.dumps(body, sort_keys=True)
            checksum = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
            body["metadata"]["annotations"]["imageregistry.operator.openshift.io/checksum"] = checksum
            await self._apply_route(name, body, present.get(name), checksum)
        for name in present:
            if name not in wanted:
                await self.kube.delete(f"{ROUTES}/{name}")
        if problems:
            raise Retry(problems[0])

    async def _apply_route(self, name: str, body: Object, old: Object | None, checksum: str) -> None:
        if old is None:
            await self.kube.ensure(ROUTES, body)
        elif old["metadata"]["annotations"].get("imageregistry.operator.openshift.io/checksum") != checksum:
            spec: Any = {**dict.fromkeys(old["spec"]), **body["spec"]}
            await self.kube.patch(f"{ROUTES}/{name}", {"metadata": body["metadata"], "spec": spec})

    def _judge_routes(self, conditions: Conditions) -> None:
        for name, route in sorted(self._own_routes().items()):
            for ingress in (route.get("status") or {}).get("ingress") or []:
                for condition in ingress["conditions"]:
                    if condition["type"] == "Admitted" and condition["status"] != "True":
                        text = (f"route {name} (host {ingress['host']}, router {ingress['routerName']}) not admitted: "
                                f"{condition.get('message', '')}")  # fmt: skip
                        conditions.degraded = ("True", "RouteDegraded", text)
                        return

    async def _tell_hosts(self, internal: bool) -> None:
        image = self.images.get("", "cluster")
        if image is None:
            return
        default, others = [], []
        for name, route in self._own_routes().items():
            for ingress in (route.get("status") or {}).get("ingress") or []:
                (default if name == "default-route" else others).append(ingress["host"])
        self.hosts = default + sorted(set(others))
        self.internal_host = INTERNAL_HOST if internal else ""
        # imageStreamImportMode, which the operator also writes, is not in the default feature set's CRD.
        status = {
            "externalRegistryHostnames": self.hosts or None,
            "internalRegistryHostname": self.internal_host or None,
        }
        old = image.get("status") or {}
        if any(old.get(key) != value for key, value in status.items()):
            await self.kube.patch(f"{IMAGES}/cluster/status", {"status": status})

    async def _tell_status(self, config: Object, conditions: Conditions) -> None:
        old = config.get("status") or {}
        removed = config["spec"]["managementState"] == "Removed"
        storage = {} if removed else config["spec"]["storage"]
        status = {
            "conditions": conditions.of_config(old.get("conditions") or []),
            "observedGeneration": config["metadata"]["generation"],
            "readyReplicas": self._ready,
            "storage": {**{key: None for key in old.get("storage") or {} if key not in storage}, **storage},
            "storageManaged": not removed or bool(old.get("storageManaged")),
            "generations": await self._generations(removed),
        }
        shown = {**status, "storage": storage}
        if any(old.get(key) != value for key, value in shown.items()):
            await self.kube.patch(f"{CONFIGS}/cluster/status", {"status": status})
        operator = self.operators.get("", "image-registry")
        if operator is not None:
            before = (operator.get("status") or {}).get("conditions") or []
            after = conditions.of_cluster_operator(before)
            if before != after:
                await self.kube.patch(f"{OPERATORS}/image-registry/status", {"status": {"conditions": after}})

    async def _generations(self, removed: bool) -> list[Object]:
        names = [("daemonsets", "node-ca", 1)]
        if not removed and self._template:
            found = await self.kube.find(f"{DEPLOYMENT}/image-registry")
            if found:
                names.append(("deployments", "image-registry", found["metadata"]["generation"]))
        return [
            {"group": "apps", "hash": "", "lastGeneration": generation, "name": name, "namespace": NAMESPACE,
             "resource": resource}
            for resource, name, generation in names
        ]  # fmt: skip
