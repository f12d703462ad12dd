"""The Operator Lifecycle Manager: Subscriptions into InstallPlans into ClusterServiceVersions.

Real, and so here: without exactly one OperatorGroup in its namespace a Subscription stays silent; one InstallPlan serves
all Subscriptions of a namespace that have something new; ``installedCSV`` and AtLatestKnown appear as soon as the CSV
object exists, long before it is Succeeded; a resolution that fails is told in the condition ResolutionFailed; deleting the
Subscription takes its InstallPlans (owner references) and leaves the CSV, deleting the CSV takes the operator's Deployment
and leaves its CRDs. Conditions of a CSV have a phase and a reason, no type and no status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import yaml

from .kube import Controller, Kube, Object
from .olm_catalog import ALL_MODES, GLOBAL, MANIFESTS, Bundle, Package, first_packages, install_modes
from .store import now

ALPHA = "/apis/operators.coreos.com/v1alpha1"
GROUPS = "/apis/operators.coreos.com/v1/operatorgroups"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CATALOG = "redhat-operators"
#: An operator's namespace for all namespaces, with its OperatorGroup, is part of every cluster.
EVERYWHERE = "openshift-operators"

UNSUPPORTED = {
    "OwnNamespace": "OwnNamespace InstallModeType not supported, cannot configure to watch own namespace",
    "SingleNamespace": "SingleNamespace InstallModeType not supported, cannot configure to watch one namespace",
    "MultiNamespace": "MultiNamespace InstallModeType not supported, cannot configure to watch 2 namespaces",
    "AllNamespaces": "AllNamespaces InstallModeType not supported, cannot configure to watch all namespaces",
}
#: Phase after phase of a CSV that installs without trouble: (phase, reason, message).
PENDING = [
    ("Pending", "RequirementsUnknown", "requirements not yet checked"),
    ("Pending", "RequirementsNotMet", "one or more requirements couldn't be found"),
    ("InstallReady", "AllRequirementsMet", "all requirements found, attempting install"),
    ("Installing", "InstallSucceeded", "waiting for install components to report healthy"),
]
WAITING = (
    'installing: waiting for deployment {0} to become ready: deployment "{0}" not available: Deployment does not have'
    " minimum availability."
)
SUCCEEDED = ("Succeeded", "InstallSucceeded", "install strategy completed with no errors")


class OperatorLifecycleManager(Controller):
    """One cluster's OLM. ``pace`` is how many seconds each step takes."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(kube)
        self.pace = 0.05
        #: (namespace, name) of a CatalogSource that answers → what it offers.
        self.catalogs: dict[tuple[str, str], dict[str, Package]] = {(GLOBAL, CATALOG): first_packages()}
        self.sources = self.watch(f"{ALPHA}/catalogsources")
        self.subscriptions = self.watch(f"{ALPHA}/subscriptions")
        self.plans = self.watch(f"{ALPHA}/installplans")
        self.versions = self.watch(f"{ALPHA}/clusterserviceversions")
        self.groups = self.watch(GROUPS)
        self._furnished = False
        self._due: dict[tuple[str, str, str], float] = {}

    def ready_catalogs(self) -> dict[tuple[str, str], dict[str, Package]]:
        """Those that the package server has read."""
        return {key: packages for key, packages in self.catalogs.items() if _is_ready(self.sources.objects.get(key))}

    def offered(self) -> dict[str, Bundle]:
        """Every bundle of every catalog, by the name of its CSV."""
        return {
            bundle.name: bundle
            for packages in self.catalogs.values()
            for package in packages.values()
            for bundles in package.channels.values()
            for bundle in bundles
        }

    def works_in(self, package: str, namespace: str) -> bool:
        """Whether an operator of this package is at work and watches the namespace."""
        for item in self._working(package):
            groups = _in(self.groups.objects, item["metadata"]["namespace"])
            targets = (groups[0].get("spec") or {}).get("targetNamespaces") if groups else [""]
            if not targets or namespace in targets:
                return True
        return False

    def version_of(self, package: str) -> str:
        """The version at work, of one of them."""
        return next((str(item["spec"]["version"]) for item in self._working(package)), "")

    def _working(self, package: str) -> list[Object]:
        return [
            item
            for item in self.versions.objects.values()
            if item["spec"]["displayName"] == package and (item.get("status") or {}).get("phase") == "Succeeded"
        ]

    async def reconcile(self) -> float | None:
        """One step of everything that is under way."""
        await self._furnish()
        again: list[float] = []
        for key, source in list(self.sources.objects.items()):
            again += await self._connect(key, source)
        namespaces = {key[0] for key in (*self.subscriptions.objects, *self.plans.objects, *self.versions.objects)}
        for namespace in sorted(namespaces):
            groups = [item for key, item in self.groups.objects.items() if key[0] == namespace]
            subscriptions = _in(self.subscriptions.objects, namespace)
            if len(groups) == 1:
                await self._resolve(namespace, subscriptions)
            else:
                await self._only_health(subscriptions)
            for plan in _in(self.plans.objects, namespace):
                again += await self._carry_out(plan)
            for version in _in(self.versions.objects, namespace):
                again += await self._install(version, groups)
        return min(again, default=None)

    async def _furnish(self) -> None:
        if self._furnished:
            return
        source = {"displayName": "Red Hat Operators", "publisher": "Red Hat", "sourceType": "grpc", "image": "index:v4"}
        body = _object("CatalogSource", CATALOG, spec=source)
        await self.kube.ensure(f"{ALPHA}/namespaces/{GLOBAL}/catalogsources", body)
        group = {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "spec": {}}
        body = {**group, "metadata": {"name": "global-operators"}}
        await self.kube.ensure(f"/apis/operators.coreos.com/v1/namespaces/{EVERYWHERE}/operatorgroups", body)
        self._furnished = True

    def _wait(self, kind: str, item: Object, seconds: float) -> float:
        """How many seconds are left of those that began when this was first asked for the object as it is."""
        loop = asyncio.get_running_loop()
        key = (kind, item["metadata"]["uid"], item["metadata"]["resourceVersion"])
        return self._due.setdefault(key, loop.time() + seconds) - loop.time()

    # Catalogs

    async def _connect(self, key: tuple[str, str], source: Object) -> list[float]:
        old = ((source.get("status") or {}).get("connectionState") or {}).get("lastObservedState")
        wanted = "READY" if key in self.catalogs else "TRANSIENT_FAILURE"
        if old == wanted:
            return []
        state = wanted
        if old is None:
            state = "CONNECTING"
        elif (left := self._wait("CatalogSource", source, self.pace)) > 0:
            return [left]
        address = f"{key[1]}.{key[0]}.svc:50051"
        connection = {"address": address, "lastConnect": now(), "lastObservedState": state}
        await self._status(f"{ALPHA}/namespaces/{key[0]}/catalogsources/{key[1]}", {"connectionState": connection})
        return []

    # Subscriptions

    async def _only_health(self, subscriptions: Iterable[Object]) -> None:
        for subscription in subscriptions:
            await self._tell(subscription, {}, self._health(subscription))

    def _health(self, subscription: Object) -> list[Object]:
        key = (subscription["spec"]["sourceNamespace"], subscription["spec"]["source"])
        if key not in self.sources.objects:
            text = f"targeted catalogsource {key[0]}/{key[1]} missing"
            return [_condition("CatalogSourcesUnhealthy", "True", "UnhealthyCatalogSourceFound", text)]
        return [
            _condition(
                "CatalogSourcesUnhealthy",
                "False",
                "AllCatalogSourcesHealthy",
                "all available catalogsources are healthy",
            )
        ]

    async def _resolve(self, namespace: str, subscriptions: list[Object]) -> None:
        """What is new for the namespace, as one InstallPlan."""
        new: list[tuple[Object, Bundle]] = []
        for subscription in subscriptions:
            bundle, problem = self._next(namespace, subscription)
            if problem:
                failed = _condition("ResolutionFailed", "True", "ConstraintsNotSatisfiable", problem)
                await self._tell(subscription, {}, [*self._health(subscription), failed])
            elif bundle is None:
                await self._progress(namespace, subscription)
            else:
                new.append((subscription, bundle))
        if new:
            await self._plan(namespace, new)

    def _next(self, namespace: str, subscription: Object) -> tuple[Bundle | None, str]:
        """The bundle that an InstallPlan is to be made for, or why none can be found."""
        spec, status = subscription["spec"], subscription.get("status") or {}
        name, key = subscription["metadata"]["name"], (spec["sourceNamespace"], spec["source"])
        because = f"subscription {name} exists"
        start = "constraints not satisfiable: no operators found"
        if key not in self.catalogs or key not in self.sources.objects:
            return (
                None,
                f"{start} from catalog {key[1]} in namespace {key[0]} referenced by subscription {name}, {because}",
            )
        package = self.catalogs[key].get(spec["name"])
        if package is None:
            return None, (
                f"{start} in package {spec['name']} in the catalog referenced by subscription {name}, {because}"
            )
        bundles = package.channels.get(spec.get("channel") or package.default_channel)
        if bundles is None:
            return None, (
                f"{start} in channel {spec['channel']} of package {package.name} in the catalog referenced by"
                f" subscription {name}, {because}"
            )
        current = status.get("currentCSV", "")
        if not current:
            left = self.versions.get(namespace, bundles[-1].name)
            if left is not None:
                return None, (
                    f"constraints not satisfiable: {because}, clusterserviceversion {bundles[-1].name} exists and is not"
                    " referenced by a subscription"
                )
            wanted = spec.get("startingCSV") or bundles[-1].name
            return next((bundle for bundle in bundles if bundle.name == wanted), None), ""
        installed = self.versions.get(namespace, current)
        if status.get("installedCSV") != current and status.get("state") == "UpgradePending":
            # not until the plan is carried out; one for another channel replaces a plan that waits for approval
            reference = (status.get("installPlanRef") or {}).get("name", "")
            plan = self.plans.get(namespace, reference)
            approved = plan is None or plan["spec"]["approved"]
            if approved or bundles[-1].name == current or any(bundle.name == current for bundle in bundles):
                return None, ""
            current = status.get("installedCSV", "")
        elif (installed or {}).get("status", {}).get("phase") != "Succeeded":
            return None, ""
        return next((bundle for bundle in bundles if current and bundle.replaces == current), None), ""

    async def _plan(self, namespace: str, new: list[tuple[Object, Bundle]]) -> None:
        generation = 1 + max(
            (plan["spec"].get("generation", 0) for plan in _in(self.plans.objects, namespace)), default=0
        )
        manual = any(subscription["spec"].get("installPlanApproval") == "Manual" for subscription, _bundle in new)
        spec = {
            "approval": "Manual" if manual else "Automatic",
            "approved": not manual,
            "clusterServiceVersionNames": [bundle.name for _subscription, bundle in new],
            "generation": generation,
        }
        body = _object("InstallPlan", "", spec=spec)
        body["metadata"] = {
            "generateName": "install-",
            "ownerReferences": [_owner(subscription) for subscription, _bundle in new],
        }
        plan = await self.kube.create(f"{ALPHA}/namespaces/{namespace}/installplans", body)
        for subscription, bundle in new:
            metadata = plan["metadata"]
            kind = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "InstallPlan", "name": metadata["name"]}
            reference = {**kind, "namespace": namespace, "uid": metadata["uid"]}
            reference["resourceVersion"] = metadata["resourceVersion"]
            status = {
                "currentCSV": bundle.name,
                "installPlanGeneration": generation,
                "installPlanRef": reference,
                "installplan": {**kind, "uuid": metadata["uid"]},
                "state": "UpgradePending",
            }
            await self._tell(subscription, status, self._health(subscription))
            labels = {f"operators.coreos.com/{bundle.package}.{namespace}": ""}
            await self.kube.patch(_path("subscriptions", subscription), {"metadata": {"labels": labels}})

    async def _progress(self, namespace: str, subscription: Object) -> None:
        """AtLatestKnown as soon as the CSV exists; what the InstallPlan waits for or failed with until then."""
        status = subscription.get("status") or {}
        conditions, new = self._health(subscription), {}
        current = status.get("currentCSV")
        plan = self.plans.get(namespace, (status.get("installPlanRef") or {}).get("name", ""))
        phase = ((plan or {}).get("status") or {}).get("phase")
        if current and self.versions.get(namespace, current):
            new = {"installedCSV": current, "state": "AtLatestKnown"}
        elif phase in ("RequiresApproval", "Installing"):
            conditions.append(_condition("InstallPlanPending", "True", phase))
        elif phase == "Failed":
            text = (plan or {})["status"]["conditions"][0]["message"]
            conditions.append(_condition("InstallPlanFailed", "True", "InstallComponentFailed", text))
        await self._tell(subscription, new, conditions)

    async def _tell(self, subscription: Object, new: Object, conditions: list[Object]) -> None:
        old = subscription.get("status") or {}
        key = (subscription["spec"]["sourceNamespace"], subscription["spec"]["source"])
        source = self.sources.objects.get(key)
        health = old.get("catalogHealth")
        if source and not health:
            reference = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "CatalogSource", "name": key[1]}
            reference |= {"namespace": key[0], "uid": source["metadata"]["uid"]}
            health = [{"catalogSourceRef": reference, "healthy": True, "lastUpdated": now()}]
        wanted = {**old, **new, "conditions": _kept(old.get("conditions"), conditions)}
        if health:
            wanted["catalogHealth"] = health
        if wanted != old:
            wanted["lastUpdated"] = now()
            await self._status(_path("subscriptions", subscription), wanted)
            subscription["status"] = wanted

    # InstallPlans

    async def _carry_out(self, plan: Object) -> list[float]:
        phase = (plan.get("status") or {}).get("phase")
        path = _path("installplans", plan)
        if phase in ("Complete", "Failed"):
            return []
        bundles = [self.offered()[name] for name in plan["spec"]["clusterServiceVersionNames"]]
        if not plan["spec"]["approved"]:
            if phase != "RequiresApproval":
                await self._status(path, {"phase": "RequiresApproval", "catalogSources": [CATALOG]})
            return []
        if phase != "Installing":
            await self._status(path, {"phase": "Installing", "catalogSources": [CATALOG]})
            return []
        if (left := self._wait("InstallPlan", plan, self.pace)) > 0:
            return [left]
        failure = next((bundle.plan_failure for bundle in bundles if bundle.plan_failure), "")
        if failure:
            failed = {"type": "Installed", "status": "False", "reason": "InstallComponentFailed", "message": failure}
            await self._status(path, {"phase": "Failed", "message": failure, "conditions": [{**failed, **_times()}]})
            return []
        for bundle in bundles:
            for file in bundle.crds:
                await self.kube.put(CRDS, yaml.safe_load((MANIFESTS / f"{file}.yaml").read_text(encoding="utf-8")))
            await self._create_version(plan["metadata"]["namespace"], bundle)
        installed = {"type": "Installed", "status": "True", **_times()}
        await self._status(path, {"phase": "Complete", "conditions": [installed]})
        return []

    async def _create_version(self, namespace: str, bundle: Bundle) -> None:
        owned = [
            {"kind": crd["spec"]["names"]["kind"], "name": crd["metadata"]["name"], "version": version["name"]}
            for crd in (
                yaml.safe_load((MANIFESTS / f"{file}.yaml").read_text(encoding="utf-8")) for file in bundle.crds
            )
            for version in crd["spec"]["versions"]
        ]
        spec: Object = {
            "displayName": bundle.package,
            "version": bundle.version,
            "install": {"strategy": "deployment", "spec": {"deployments": []}},
            "installModes": install_modes(bundle),
            "customresourcedefinitions": {"owned": owned},
        }
        if bundle.replaces:
            spec["replaces"] = bundle.replaces
        body = _object("ClusterServiceVersion", bundle.name, spec=spec)
        body["metadata"]["labels"] = {f"operators.coreos.com/{bundle.package}.{namespace}": ""}
        await self.kube.ensure(f"{ALPHA}/namespaces/{namespace}/clusterserviceversions", body)

    # ClusterServiceVersions

    async def _install(self, version: Object, groups: list[Object]) -> list[float]:
        bundle = self.offered().get(version["metadata"]["name"])
        if bundle is None or version["metadata"].get("deletionTimestamp"):
            return []
        namespace = version["metadata"]["namespace"]
        status = version.get("status") or {}
        phase = status.get("phase")
        newer = [
            item
            for item in _in(self.versions.objects, namespace)
            if item["spec"].get("replaces") == version["metadata"]["name"]
        ]
        if newer:
            return await self._make_way(version, newer[0])
        if len(groups) > 1:
            text = "csv created in namespace with multiple operatorgroups, can't pick one automatically"
            return await self._phase(version, ("Failed", "TooManyOperatorGroups", text))
        if not groups:
            text = "csv in namespace with no operatorgroups"
            return await self._phase(version, ("Failed", "NoOperatorGroup", text))
        mode = install_mode(groups[0])
        if mode not in bundle.modes:
            return await self._phase(version, ("Failed", "UnsupportedOperatorGroup", UNSUPPORTED[mode]))
        deployment = f"{bundle.package}-tng"
        steps = [*PENDING, ("Installing", "InstallWaiting", WAITING.format(deployment))]
        done = [status.get("reason") == step[1] and phase == step[0] for step in steps]
        if phase == "Succeeded" or (phase == "Failed" and bundle.failure):
            return []
        if True not in done:
            return await self._phase(version, steps[0])
        at = done.index(True)
        last = at == len(steps) - 1
        if last and bundle.pods is None:
            return []
        left = self._wait("CSV", version, (bundle.pods or 0.0) if last else self.pace)
        if left > 0:
            return [left]
        if not last:
            if steps[at + 1][0] == "Installing":
                await self._deploy(version, deployment)
            return await self._phase(version, steps[at + 1])
        if bundle.failure:
            return await self._phase(version, ("Failed", "InstallCheckFailed", bundle.failure))
        return await self._phase(version, SUCCEEDED)

    async def _make_way(self, version: Object, newer: Object) -> list[float]:
        name = newer["metadata"]["name"]
        if (newer.get("status") or {}).get("phase") == "Succeeded":
            await self.kube.delete(_path("clusterserviceversions", version))
            return []
        return await self._phase(version, ("Replacing", "BeingReplaced", f"being replaced by csv: {name}"))

    async def _deploy(self, version: Object, name: str) -> None:
        namespace = version["metadata"]["namespace"]
        labels = {"app": name}
        body: Object = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "ownerReferences": [_owner(version)]},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "operator", "image": version["metadata"]["name"]}]},
                },
            },
        }
        await self.kube.put(f"/apis/apps/v1/namespaces/{namespace}/deployments", body)

    async def _phase(self, version: Object, step: tuple[str, str, str]) -> list[float]:
        phase, reason, message = step
        old = version.get("status") or {}
        if (old.get("phase"), old.get("reason")) == (phase, reason):
            return []
        told = {"phase": phase, "reason": reason, "message": message, "lastTransitionTime": now()}
        told["lastUpdateTime"] = now()
        conditions = [*(old.get("conditions") or []), told][-10:]
        await self._status(_path("clusterserviceversions", version), {**told, "conditions": conditions})
        return []

    async def _status(self, path: str, status: Object) -> None:
        await self.kube.patch(f"{path}/status", {"status": status})


def install_mode(group: Object) -> str:
    """The mode that an OperatorGroup asks of its operators."""
    targets = (group.get("spec") or {}).get("targetNamespaces") or []
    if not targets:
        return ALL_MODES[3]
    if len(targets) > 1:
        return ALL_MODES[2]
    return ALL_MODES[0] if targets == [group["metadata"]["namespace"]] else ALL_MODES[1]


def _is_ready(source: Object | None) -> bool:
    return (((source or {}).get("status") or {}).get("connectionState") or {}).get("lastObservedState") == "READY"


def _in(objects: dict[tuple[str, str], Object], namespace: str) -> list[Object]:
    return [item for key, item in sorted(objects.items()) if key[0] == namespace]


def _object(kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": "operators.coreos.com/v1alpha1", "kind": kind, "metadata": {"name": name}, **content}


def _path(plural: str, item: Object) -> str:
    return f"{ALPHA}/namespaces/{item['metadata']['namespace']}/{plural}/{item['metadata']['name']}"


def _owner(item: Object) -> Object:
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "blockOwnerDeletion": False,
        "controller": False,
    }


def _times() -> Object:
    return {"lastTransitionTime": now(), "lastUpdateTime": now()}


def _condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    told = {"type": kind, "status": status, "reason": reason}
    return {**told, "message": message} if message else told


def _kept(old: list[Object] | None, new: list[Object]) -> list[Object]:
    """The conditions, each with the time since when it says so."""
    since = {item["type"]: item for item in old or []}
    kept = []
    for item in new:
        before = since.get(item["type"], {})
        same = before.get("status") == item["status"] and before.get("reason") == item["reason"]
        kept.append({**item, "lastTransitionTime": before["lastTransitionTime"] if same else now()})
    return kept
