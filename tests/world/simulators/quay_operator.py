"""The Quay operator: QuayRegistries into a configuration, a Deployment, a Route and a Quay behind it.

Real, and so here: statuses before the first round call every component unmanaged and ready; the operator completes
``spec.components`` in place and looks again 10 s later (here ``pace``); what is wrong with components or bundle is
RolloutBlocked=True and leaves everything as it was; ``observedGeneration`` is written when the objects are applied, before
pods are replaced, and Available stays True meanwhile; the configuration that pods use is a Secret with a hash of the
content in its name. Databases, Redis and storage are pretended, with the claims that hold their data.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from .kube import Cache, Controller, Kube, Object
from .olm import OperatorLifecycleManager
from .router import Backend, Handler, Router
from .store import now

Launch = Callable[[Object, Object], Awaitable[Handler]]

QUAY = "/apis/quay.redhat.com/v1"
#: In the order in which the operator completes them → type and texts of their condition.
COMPONENTS = {
    "quay": ("Quay", "Quay component healthy", "Quay not managed by the operator"),
    "postgres": ("Postgres", "Deployment {0}-quay-database healthy", "Postgres not managed by the operator"),
    "clair": ("Clair", "Clair component healthy", "Clair not managed by the operator"),
    "redis": ("Redis", "Deployment {0}-quay-redis healthy", "Redis not managed by the operator"),
    "horizontalpodautoscaler": (
        "HPA", "Horizontal pod autoscaler found", "Horizontal pod autoscaler not managed by the operator",
    ),
    "objectstorage": ("ObjectStorage", "", "Object storage not managed by the operator"),
    "route": ("Route", "Route admitted", "Route is not managed by the operator"),
    "mirror": ("Mirror", "Deployment {0}-quay-mirror healthy", "Mirror not managed by the operator"),
    "monitoring": ("Monitoring", "", "Monitoring not managed by the operator"),
    "tls": ("TLS", "Using cluster wildcard certs", "TLS not managed by the operator"),
    "clairpostgres": (
        "ClairPostgres", "Deployment {0}-clair-postgres healthy", "ClairPostgres not managed by the operator",
    ),
}  # fmt: skip
#: Required components → what the bundle has to have when they are unmanaged.
NECESSARY = {
    "postgres": ("DB_URI",),
    "redis": ("BUILDLOGS_REDIS", "USER_EVENTS_REDIS"),
    "objectstorage": ("DISTRIBUTED_STORAGE_CONFIG",),
    "route": ("SERVER_HOSTNAME",),
    "tls": ("ssl.cert", "ssl.key"),
}
VOLUMES = ("postgres", "clair", "clairpostgres")
SCALED = ("quay", "clair", "mirror")
CLAIMS = {"postgres": "{}-quay-postgres-13", "clairpostgres": "{}-clair-postgres-15"}
GOOD = ("ComponentsCreationSuccess", "All objects created/updated successfully")


class Blocked(Exception):
    """The rollout is blocked: (reason, message)."""


class QuayOperator(Controller):
    """Works where OLM has installed it. ``launch`` starts or reconfigures a Quay: (registry, its config.yaml) → what answers;
    ``rollouts`` counts them."""

    def __init__(self, kube: Kube, olm: OperatorLifecycleManager, router: Router, launch: Launch) -> None:
        super().__init__(kube)
        self.olm = olm
        self.router = router
        self.pace = 0.3
        self.launch = launch
        self.rollouts: dict[tuple[str, str], int] = {}
        self.registries = self.watch(f"{QUAY}/quayregistries")
        self.secrets: Cache = self.watch("/api/v1/secrets")
        self.versions: Cache = self.watch("/apis/operators.coreos.com/v1alpha1/clusterserviceversions")
        self._due: dict[tuple[str, str, str], float] = {}
        self._running: dict[tuple[str, str], str] = {}

    async def reconcile(self) -> float | None:
        """One round for each registry that the operator watches."""
        again: list[float] = []
        for key, registry in list(self.registries.objects.items()):
            if not self.olm.works_in("quay-operator", key[0]):
                continue
            if registry["metadata"].get("deletionTimestamp"):
                await self._forget(key)
            else:
                again += await self._round(key, registry)
        for key in set(self._running) - set(self.registries.objects):
            self._running.pop(key)
            self.router.backends.pop((key[0], f"{key[1]}-quay-app"), None)
        return min(again, default=None)

    async def _forget(self, key: tuple[str, str]) -> None:
        await self.kube.patch(_path(key), {"metadata": {"finalizers": None}})

    def _after(self, what: str, key: tuple[str, str], seconds: float) -> float:
        """Seconds left of those that began when this was first asked."""
        loop = asyncio.get_running_loop()
        return self._due.setdefault((what, *key), loop.time() + seconds) - loop.time()

    async def _round(self, key: tuple[str, str], registry: Object) -> list[float]:
        namespace, name = key
        spec, status = registry["spec"], registry.get("status") or {}
        if not status.get("conditions"):
            await self._tell(registry, _early(), {})
            return []
        if not spec.get("configBundleSecret"):
            body = {"metadata": {"generateName": f"{name}-config-bundle-"}, "stringData": {"config.yaml": "{}\n"}}
            made = await self.kube.create(f"/api/v1/namespaces/{namespace}/secrets", body)
            await self.kube.patch(_path(key), {"spec": {"configBundleSecret": made["metadata"]["name"]}})
            return []
        try:
            bundle, config = self._bundle(namespace, spec["configBundleSecret"])
            components = _completed(spec.get("components") or [], bundle)
            if components != spec.get("components"):
                await self.kube.patch(_path(key), {"spec": {"components": components}})
                return []
            _validate(components, bundle, config)
        except Blocked as blocked:
            reason, message = blocked.args
            await self._tell(registry, [_condition("RolloutBlocked", "True", reason, message)], {})
            return []
        digest = hashlib.sha256(json.dumps([bundle, components], sort_keys=True).encode()).hexdigest()[:10]
        applied = f"{digest}-{registry['metadata']['generation']}"
        if (left := self._after(f"requeue {applied}", key, self.pace)) > 0:
            return [left]
        return await self._roll_out(registry, components, config, digest)

    def _bundle(self, namespace: str, name: str) -> tuple[dict[str, str], Object]:
        secret = self.secrets.get(namespace, name)
        if secret is None:
            raise Blocked("ConfigInvalid", f'unable to get `configBundleSecret`: secrets "{name}" not found')
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        try:
            config = yaml.safe_load(data.get("config.yaml") or "{}")
        except yaml.YAMLError as error:
            raise Blocked("ConfigInvalid", f"unable to parse config.yaml: {error}") from None
        return data, config

    async def _roll_out(self, registry: Object, components: list[Object], config: Object, digest: str) -> list[float]:
        namespace, name = key = (registry["metadata"]["namespace"], registry["metadata"]["name"])
        managed = {item["kind"] for item in components if item["managed"]}
        host = config.get("SERVER_HOSTNAME") or f"{name}-quay-{namespace}.{self.router.domain}"
        good = [_condition("RolloutBlocked", "False", *GOOD)]
        if self._running.get(key) == digest:
            told = [*good, *_healthy(name, managed), _created()]
            seen = {"observedGeneration": registry["metadata"]["generation"], "currentVersion": self._version()}
            await self._tell(registry, told, seen)
            return []
        secret = f"{name}-quay-config-secret-{digest}"
        deployment = await self._apply(registry, managed, secret, host)
        first = key not in self._running
        progress = [_condition("ComponentsCreated", "False", "MigrationsInProgress", "running database migrations")]
        seen = {"registryEndpoint": f"https://{host}", "observedGeneration": registry["metadata"]["generation"]}
        await self._tell(registry, [*good, *(progress if first else [])], seen)
        if (left := self._after(f"pods {digest}", key, self.pace)) > 0:
            return [left]
        handle = await self.launch(registry, {**config, "SERVER_HOSTNAME": host})
        self.router.backends[namespace, f"{name}-quay-app"] = Backend(handle)
        self.rollouts[key] = self.rollouts.get(key, 0) + 1
        generation = deployment["metadata"]["generation"]
        ready = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}-quay-app/status"
        await self.kube.patch(path, {"status": {"observedGeneration": generation, **ready}})
        self._running[key] = digest
        self._due = {due: time for due, time in self._due.items() if due[1:] != key}
        await self.kube.patch(_path(key), {"metadata": {"finalizers": ["quay-operator/finalizer"]}})
        return [0.0]

    def _version(self) -> str:
        return f"v{self.olm.version_of('quay-operator')}"

    async def _apply(self, registry: Object, managed: set[str], secret: str, host: str) -> Object:
        namespace, name = registry["metadata"]["namespace"], registry["metadata"]["name"]
        metadata = {
            "labels": {"quay-operator/quayregistry": name},
            "ownerReferences": [
                {"apiVersion": registry["apiVersion"], "kind": registry["kind"], "name": name,
                 "uid": registry["metadata"]["uid"]}
            ],
        }  # fmt: skip
        core = f"/api/v1/namespaces/{namespace}"

        def body(called: str, **content: Any) -> Object:
            return {"metadata": {"name": called, **metadata}, **content}

        keys = {"DATABASE_SECRET_KEY": secrets.token_hex(20), "SECRET_KEY": secrets.token_hex(20)}
        await self._own(f"{core}/secrets", body(f"{name}-quay-registry-managed-secret-keys", stringData=keys))
        await self._own(f"{core}/secrets", body(secret, stringData={"config.yaml": "rendered"}))
        volume = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}}
        for kind, claim in CLAIMS.items():
            if kind in managed:
                await self._own(f"{core}/persistentvolumeclaims", body(claim.format(name), spec=volume))
        if "route" in managed:
            target = {"kind": "Service", "name": f"{name}-quay-app", "weight": 100}
            tls = {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}
            route = {"host": host, "to": target, "port": {"targetPort": "http"}, "tls": tls}
            await self.kube.put(
                f"/apis/route.openshift.io/v1/namespaces/{namespace}/routes",
                {"apiVersion": "route.openshift.io/v1", "kind": "Route", **body(f"{name}-quay", spec=route)},
            )
        labels = {"quay-component": "quay-app"}
        pod = {
            "containers": [{"name": "quay-app", "image": "quay"}],
            "volumes": [{"name": "config", "secret": {"secretName": secret}}],
        }
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        await self.kube.put(deployments, body(f"{name}-quay-app", spec=spec))
        return await self.kube.get(f"{deployments}/{name}-quay-app")

    async def _own(self, collection: str, item: Object) -> None:
        """Create, or take over what an earlier registry of that name left."""
        if not await self.kube.ensure(collection, item):
            metadata = {"metadata": {"ownerReferences": item["metadata"]["ownerReferences"]}}
            await self.kube.patch(f"{collection}/{item['metadata']['name']}", metadata)

    async def _tell(self, registry: Object, conditions: list[Object], fields: Object) -> None:
        old = registry.get("status") or {}
        merged = {item["type"]: item for item in old.get("conditions") or []}
        for item in conditions:
            before = merged.get(item["type"])
            if before is None or any(before.get(key) != value for key, value in item.items()):
                merged[item["type"]] = {**item, "lastTransitionTime": now(), "lastUpdateTime": now()}
        wanted = {**old, **fields, "conditions": list(merged.values())}
        if wanted != old:
            key = registry["metadata"]["namespace"], registry["metadata"]["name"]
            await self.kube.patch(f"{_path(key)}/status", {"status": {**wanted, "lastUpdated": f"{now()} +0000 UTC"}})


def _completed(given: list[Object], bundle: dict[str, str]) -> list[Object]:
    unmanaged = {"objectstorage", "monitoring"} | ({"tls"} if {"ssl.cert", "ssl.key"} <= set(bundle) else set())
    kinds = {item["kind"] for item in given}
    return [*given, *({"kind": kind, "managed": kind not in unmanaged} for kind in COMPONENTS if kind not in kinds)]


def _validate(components: list[Object], bundle: dict[str, str], config: Object) -> None:
    by_kind = {item["kind"]: item for item in components}
    if by_kind["objectstorage"]["managed"]:
        text = "error checking for object storage support: unable to list object bucket claims: failed to get API group"
        raise Blocked("ObjectStorageComponentDependencyError", text)
    for kind, fields in NECESSARY.items():
        if not by_kind[kind]["managed"] and not all(field in bundle or field in config for field in fields):
            text = (
                f"required component `{kind}` marked as unmanaged, but `configBundleSecret` is missing necessary fields"
            )
            raise Blocked("ConfigInvalid", text)
    for kind, item in by_kind.items():
        overrides = item.get("overrides") or {}
        if overrides.get("volumeSize") and kind not in VOLUMES:
            text = f"invalid overrides: component {kind} does not support volumeSize overrides"
            raise Blocked("ComponentOverrideInvalid", text)
        if overrides.get("replicas") is not None and by_kind["horizontalpodautoscaler"]["managed"] and kind in SCALED:
            raise Blocked("ComponentOverrideInvalid", "invalid overrides: cannot override replicas with managed HPA")


def _early() -> list[Object]:
    told = [
        _condition(f"Component{name}Ready", "True", "ComponentNotManaged", text)
        for name, _ready, text in COMPONENTS.values()
        if name != "Quay"
    ]
    waiting = "Awaiting for component tls to become available"
    return [
        *told,
        _condition("ComponentQuayReady", "False", "ComponentNotReady", waiting),
        _condition("Available", "False", "ComponentNotReady", "Some components are not ready"),
    ]


def _healthy(name: str, managed: set[str]) -> list[Object]:
    told = [
        _condition(f"Component{kind}Ready", "True", "ComponentReady", ready.format(name))
        if component in managed
        else _condition(f"Component{kind}Ready", "True", "ComponentNotManaged", unmanaged)
        for component, (kind, ready, unmanaged) in COMPONENTS.items()
    ]
    return [*told, _condition("Available", "True", "HealthChecksPassing", "All components reporting as healthy")]


def _created() -> Object:
    return _condition("ComponentsCreated", "True", "ComponentsCreationSuccess", "All registry components created")


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _path(key: tuple[str, str]) -> str:
    return f"{QUAY}/namespaces/{key[0]}/quayregistries/{key[1]}"
