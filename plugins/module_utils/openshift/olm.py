# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators installed by the Operator Lifecycle Manager: namespace, OperatorGroup, Subscription, the approval it needs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import olm_progress, projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import ApiError, Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CLUSTER_SERVICE_VERSION,
    INSTALL_PLAN,
    NAMESPACE,
    OPERATOR_GROUP,
    SUBSCRIPTION,
    Kind,
    Object,
    changes,
    is_ours,
    labels_of,
    name_of,
    namespace_of,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm_catalog import (
    Channel,
    Package,
    find_package,
    version_key,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm_progress import (
    LATEST,
    Goal,
    may_approve,
    status_of,
    version_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: OLM shows operators for all namespaces in each of them, as copies with this label.
_COPIED = "olm.copiedFrom"

#: ``target_namespaces`` for all of them.
_EVERY = "*"

_Key = tuple[str, str]  # namespace, package


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator as wanted. Empty values leave what is there, or take OLM's default. ``where`` is for messages."""

    where: str
    package: str
    namespace: str
    present: bool = True
    channel: str = ""
    source: str = ""
    source_namespace: str = ""
    approval: str = ""
    version: str = ""
    target_namespaces: tuple[str, ...] | None = None
    config: Mapping[str, Any] | None = None
    delete_namespace: bool = False

    @property
    def key(self) -> _Key:
        return self.namespace, self.package

    def subscription(self, before: Object | None, offer: Package | None) -> Object:
        """The Subscription as it will be."""
        spec: Object = dict((before or {}).get("spec") or {"name": self.package})
        if offer is not None:
            spec.update(source=offer.source, sourceNamespace=offer.source_namespace)
            channel = offer.channel(self.channel or spec.get("channel") or offer.default_channel, self.where)
            spec["channel"] = channel.name
            if before is None and self.version not in ("", LATEST):
                spec["startingCSV"] = channel.csv_of(self.version, self.package, self.where)
        if self.approval or before is None:
            spec["installPlanApproval"] = self.approval or "Automatic"
        if self.config is not None:
            spec["config"] = dict(self.config)
        if self.version not in ("", LATEST) and spec.get("installPlanApproval") != "Manual":
            raise InputError(
                f"{self.where}: version {self.version} needs approval: Manual, since OLM upgrades past it otherwise."
            )
        if before is None:
            return new(SUBSCRIPTION, self.package, self.namespace, spec=spec)
        return {**before, "spec": spec}


@dataclasses.dataclass(frozen=True)
class State:
    """What there is in the namespaces of the operators, and what the catalogs offer of those that need it."""

    subscriptions: list[Object]
    groups: list[Object]
    versions: list[Object]
    projects: projects.Projects
    offers: Mapping[_Key, Package]
    plans: Mapping[_Key, Object]
    doomed: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)  # namespace to delete → what is in it


class OlmOperators:
    """The module ``olm_operator``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._wait = bool(params["wait"])
        self._timeout = float(params["wait_timeout"])
        self._operators: dict[_Key, Operator] = {}
        self._goals: dict[_Key, Goal] = {}
        self._settled: set[_Key] = set()
        self._gone: list[tuple[Kind, str, str]] = []
        for index, entry in enumerate(params["operators"]):
            operator = parse(entry, params.get("namespace") or "", f"operators[{index}]")
            if self._operators.setdefault(operator.key, operator) is not operator:
                raise InputError(f"{operator.where}: {operator.package} in {operator.namespace} is listed before.")

    # Reading

    def read(self, cluster: Cluster) -> State:
        """Three requests; more for what is not installed yet."""
        deadline = time.monotonic() + (self._timeout if self._wait else 0.0)
        namespaces = {operator.namespace for operator in self._operators.values()}
        kinds = [SUBSCRIPTION, OPERATOR_GROUP, CLUSTER_SERVICE_VERSION]
        subscriptions, groups, versions = cluster.map(lambda kind: cluster.list_in(kind, namespaces), kinds)
        versions = [item for item in versions if _COPIED not in labels_of(item)]
        occupied = {namespace_of(item) for item in subscriptions}
        present = [operator for operator in self._operators.values() if operator.present]
        found = projects.read(cluster, {operator.namespace for operator in present} - occupied, True, {})
        offers: dict[_Key, Package] = {}
        plans: dict[_Key, Object] = {}

        def look(operator: Operator) -> None:
            before = self._subscription(operator, subscriptions)
            group = _in(groups, operator.namespace)
            if self._needs_offer(operator, before, group, versions):
                spec = (before or {}).get("spec") or {}
                offers[operator.key] = find_package(
                    cluster,
                    operator.package,
                    operator.source or spec.get("source", ""),
                    operator.source_namespace or spec.get("sourceNamespace", ""),
                    operator.where,
                    deadline,
                )
            offer = offers.get(operator.key)
            # without exactly one OperatorGroup OLM is silent, and there is nothing to wait for
            if before is not None and len(group) == 1 and operator.subscription(before, offer) == before:
                seen, plan = olm_progress.pending_plan(cluster, before, self._goal(operator, before, offer), deadline)
                subscriptions[subscriptions.index(before)] = seen
                if plan is not None:
                    plans[operator.key] = plan

        cluster.map(look, present)
        doomed = [operator.namespace for operator in self._operators.values() if operator.delete_namespace]
        there = projects.find(cluster, doomed)
        contents = {name: _custom_resources(cluster, _in(versions, name)) for name in sorted(there)}
        return State(subscriptions, groups, versions, found, offers, plans, contents)

    def _subscription(self, operator: Operator, subscriptions: Iterable[Object]) -> Object | None:
        """The Subscription of the operator's package, whatever its name."""
        found = [item for item in _in(subscriptions, operator.namespace) if item["spec"]["name"] == operator.package]
        if len(found) > 1 and operator.present:
            names = ", ".join(sorted(map(name_of, found)))
            raise RegistryError(
                f"{operator.where}: {operator.namespace} has {len(found)} Subscriptions of {operator.package}: {names}."
                " Delete all but one."
            )
        return found[0] if found else None

    def _needs_offer(
        self, operator: Operator, before: Object | None, groups: list[Object], versions: Iterable[Object]
    ) -> bool:
        if before is None or not groups:
            return True
        spec = before["spec"]
        wanted = {
            "channel": operator.channel,
            "source": operator.source,
            "sourceNamespace": operator.source_namespace if operator.source else "",
        }
        if any(value and value != spec.get(field) for field, value in wanted.items()):
            return True
        if operator.target_namespaces is not None and _targets(groups[0]) != _wanted_targets(operator):
            return True
        if operator.version in ("", LATEST):
            return False
        installed = status_of(before).get("installedCSV", "")
        return _version(installed, _in(versions, operator.namespace)) != operator.version

    # Planning

    def plan(self, state: State) -> Plan:
        """Stage 0: namespaces; 1: OperatorGroups; 2: Subscriptions; 3: approvals; 4 and more: what goes."""
        plan = Plan(state.projects.creation())
        self._goals, self._settled, self._gone = {}, set(), []
        results: list[Object] = []
        for operator in self._operators.values():
            before = self._subscription(operator, state.subscriptions)
            if not operator.present:
                plan.changes += self._removal(operator, before, state)
                continue
            offer = state.offers.get(operator.key)
            plan.changes += self._group(operator, before, offer, state)
            after = operator.subscription(before, offer)
            self._refuse_leftover(operator, before, state)
            plan.changes += changes(SUBSCRIPTION, before, after, stage=2)
            goal = self._goal(operator, after, offer, new_or_changed=before is None or after != before)
            self._refuse_downgrade(operator, before, state)
            self._goals[operator.key] = goal
            pending = state.plans.get(operator.key)
            if pending is not None and before is not None and may_approve(goal, before, pending):
                plan.changes += changes(INSTALL_PLAN, pending, olm_progress.approved(pending), stage=3)
                plan.warnings += _shared(operator, pending)
            result = _result(operator, after, state.versions)
            if after == before and goal.reached(after) and result["phase"] == "Succeeded":
                self._settled.add(operator.key)
            results.append(result)
        plan.result["operators"] = results
        return plan

    def _group(self, operator: Operator, before: Object | None, offer: Package | None, state: State) -> list[Change]:
        groups = _in(state.groups, operator.namespace)
        wanted = _wanted_targets(operator)
        channel = self._channel(operator, before, offer)
        if len(groups) > 1:
            names = ", ".join(sorted(map(name_of, groups)))
            raise RegistryError(
                f"{operator.where}: {operator.namespace} has {len(groups)} OperatorGroups: {names}. OLM installs nothing"
                " where there is more than one. Delete all but one, or choose another namespace."
            )
        if not groups:
            if operator.target_namespaces is None:
                own = channel is None or "OwnNamespace" in channel.modes
                wanted = [operator.namespace] if own else []
            _check_mode(operator, channel, wanted)
            spec = {"targetNamespaces": wanted} if wanted else {}
            return changes(
                OPERATOR_GROUP, None, new(OPERATOR_GROUP, operator.namespace, operator.namespace, spec=spec), 1
            )
        group = groups[0]
        stored = _targets(group)
        if operator.target_namespaces is None or stored == wanted:
            _check_mode(operator, channel, stored)
            return []
        if not is_ours(group):
            raise RegistryError(
                f"{operator.where}.target_namespaces: OperatorGroup {operator.namespace}/{name_of(group)} is not of this"
                f" collection and watches {', '.join(stored) or 'all namespaces'}. Leave target_namespaces out to take it as"
                " it is, or choose another namespace for the operator."
            )
        _check_mode(operator, channel, wanted)
        spec = {key: value for key, value in (group.get("spec") or {}).items() if key != "targetNamespaces"}
        spec |= {"targetNamespaces": wanted} if wanted else {}
        return changes(OPERATOR_GROUP, group, {**group, "spec": spec}, 1)

    def _channel(self, operator: Operator, before: Object | None, offer: Package | None) -> Channel | None:
        if offer is None:
            return None
        stored = ((before or {}).get("spec") or {}).get("channel")
        return offer.channel(operator.channel or stored or offer.default_channel, operator.where)

    def _goal(
        self, operator: Operator, subscription: Object, offer: Package | None, new_or_changed: bool = False
    ) -> Goal:
        """What has to be installed in the end."""
        spec, status = subscription["spec"], status_of(subscription)
        automatic = spec.get("installPlanApproval") != "Manual"
        exact = operator.version not in ("", LATEST)
        csv = ""
        if exact and offer is not None:
            csv = offer.channel(spec["channel"], operator.where).csv_of(
                operator.version, operator.package, operator.where
            )
        elif not exact and (automatic or operator.version == LATEST or not status.get("installedCSV")):
            csv = status.get("currentCSV", "")
            if new_or_changed and offer is not None:
                csv = offer.channel(spec["channel"], operator.where).head
        return Goal(operator.package, csv, exact, not automatic, operator.version)

    def _refuse_leftover(self, operator: Operator, before: Object | None, state: State) -> None:
        """OLM resolves nothing for a package whose CSV is there without a Subscription."""
        left = self._own_versions(operator, before, state)
        if before is None and left:
            raise RegistryError(
                f"{operator.where}: ClusterServiceVersion {operator.namespace}/{name_of(left[0])} is there without a"
                " Subscription, and OLM does not take it over. Remove it first with state: absent (its custom resources"
                " stay)."
            )

    def _refuse_downgrade(self, operator: Operator, before: Object | None, state: State) -> None:
        if operator.version in ("", LATEST) or before is None:
            return
        installed = _version(status_of(before).get("installedCSV", ""), _in(state.versions, operator.namespace))
        if installed and version_key(installed) > version_key(operator.version):
            raise RegistryError(
                f"{operator.where}.version: {operator.package} {installed} is installed, and OLM does not go back to"
                f" {operator.version}."
            )

    def _own_versions(self, operator: Operator, subscription: Object | None, state: State) -> list[Object]:
        status = status_of(subscription or {})
        names = {status.get("installedCSV"), status.get("currentCSV")}
        label = f"operators.coreos.com/{operator.package}.{operator.namespace}"
        return [
            item
            for item in _in(state.versions, operator.namespace)
            if name_of(item) in names or label in labels_of(item)
        ]

    def _removal(self, operator: Operator, before: Object | None, state: State) -> list[Change]:
        going = {key for key, other in self._operators.items() if not other.present}
        staying = [
            name_of(item)
            for item in _in(state.subscriptions, operator.namespace)
            if (operator.namespace, item["spec"]["name"]) not in going
        ]
        versions = self._own_versions(operator, before, state)
        gone = [(SUBSCRIPTION, before, 4)] if before else []
        gone += [(CLUSTER_SERVICE_VERSION, item, 5) for item in versions]
        if not staying:
            gone += [(OPERATOR_GROUP, item, 6) for item in _in(state.groups, operator.namespace) if is_ours(item)]
        if operator.delete_namespace and operator.namespace in state.doomed:
            kept = [f"Subscription {name}" for name in staying] + state.doomed[operator.namespace]
            if kept:
                raise RegistryError(
                    f"{operator.where}.delete_namespace: {operator.namespace} still holds {', '.join(kept)}. Remove that"
                    " first, or leave delete_namespace out."
                )
            gone.append((NAMESPACE, {"metadata": {"name": operator.namespace}}, 7))
        self._gone += [(kind, name_of(item), operator.namespace) for kind, item, stage in gone if stage in (5, 7)]
        return [change for kind, item, stage in gone for change in changes(kind, item, None, stage)]

    # Waiting

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Until each CSV is Succeeded, with the approvals that come up on the way; until what goes is gone."""
        if not self._wait:
            return {}
        deadline = time.monotonic() + self._timeout
        for kind, name, namespace in self._gone:
            self._until_gone(cluster, kind, name, "" if kind == NAMESPACE else namespace, deadline)
        operators = [operator for operator in self._operators.values() if operator.present]

        def follow(pair: tuple[Operator, Object]) -> Object:
            operator, result = pair
            if operator.key in self._settled:
                return result
            arrived = olm_progress.follow(
                cluster, operator.namespace, result["name"], self._goals[operator.key], deadline
            )
            return _result(operator, arrived.subscription, [arrived.version], arrived.approved)

        return {"operators": cluster.map(follow, list(zip(operators, plan.result["operators"], strict=True)))}

    def _until_gone(self, cluster: Cluster, kind: Kind, name: str, namespace: str, deadline: float) -> None:
        text = f"{kind.kind} {name} was not gone after {self._timeout:.0f} seconds. See its finalizers."
        cluster.wait(kind, name, namespace, lambda seen: seen is None, deadline, lambda _seen: text)


def parse(entry: Mapping[str, Any], default_namespace: str, where: str) -> Operator:
    """An entry of the list, validated."""
    namespace = entry.get("namespace") or default_namespace
    if not namespace:
        raise InputError(f"{where}: namespace is missing. Set it there, or for all entries as the module's namespace.")
    check_project(namespace, f"{where}.namespace")
    check_object(entry["package"], f"{where}.package")
    present = (entry.get("state") or "present") == "present"
    targets = entry.get("target_namespaces")
    if targets is not None:
        if not targets:
            raise InputError(f"{where}.target_namespaces: the list is empty. Name namespaces, or ['*'] for all.")
        if _EVERY in targets and len(targets) > 1:
            raise InputError(f"{where}.target_namespaces: '*' means all namespaces; leave out the others.")
        for index, name in enumerate(targets):
            if name != _EVERY:
                check_project(name, f"{where}.target_namespaces[{index}]")
    delete = bool(entry.get("delete_namespace"))
    if delete and present:
        raise InputError(f"{where}.delete_namespace needs state: absent.")
    if delete and (namespace == "default" or namespace.startswith(("openshift", "kube-"))):
        raise InputError(f"{where}.delete_namespace: {namespace} belongs to the cluster. Leave delete_namespace out.")
    return Operator(
        where=where,
        package=entry["package"],
        namespace=namespace,
        present=present,
        channel=entry.get("channel") or "",
        source=entry.get("source") or "",
        source_namespace=entry.get("source_namespace") or "openshift-marketplace",
        approval=entry.get("approval") or "",
        version=(entry.get("version") or "").removeprefix("v"),
        target_namespaces=None if targets is None else tuple(targets),
        config=entry.get("config"),
        delete_namespace=delete,
    )


def _in(items: Iterable[Object], namespace: str) -> list[Object]:
    return [item for item in items if namespace_of(item) == namespace]


def _targets(group: Mapping[str, Any]) -> list[str]:
    """The namespaces that an OperatorGroup watches, none for all."""
    return sorted((group.get("spec") or {}).get("targetNamespaces") or [])


def _wanted_targets(operator: Operator) -> list[str]:
    return sorted(name for name in operator.target_namespaces or () if name != _EVERY)


def _check_mode(operator: Operator, channel: Channel | None, targets: list[str]) -> None:
    """Refuse what the operator says it cannot do (its CSV would fail with UnsupportedOperatorGroup)."""
    if channel is None or not channel.modes:
        return
    if not targets:
        mode = "AllNamespaces"
    elif len(targets) > 1:
        mode = "MultiNamespace"
    else:
        mode = "OwnNamespace" if targets == [operator.namespace] else "SingleNamespace"
    if mode not in channel.modes:
        raise InputError(
            f"{operator.where}.target_namespaces: {operator.package} does not support {mode}"
            f" ({', '.join(targets) or 'all namespaces'}), only {', '.join(sorted(channel.modes))}."
            + (
                " Use target_namespaces: ['*'], in a namespace whose OperatorGroup watches all (openshift-operators)."
                if channel.modes == {"AllNamespaces"}
                else ""
            )
        )


def _version(csv: str, versions: Iterable[Object]) -> str:
    """The version of an installed CSV; empty where it is not there."""
    return next((str(item["spec"].get("version", "")) for item in versions if name_of(item) == csv), "")


def _custom_resources(cluster: Cluster, versions: Iterable[Object]) -> list[str]:
    """What the operators of a namespace manage in it, one entry each: deleting the namespace would delete that, too."""
    found: list[str] = []
    for version in versions:
        owned = (version["spec"].get("customresourcedefinitions") or {}).get("owned") or []
        for crd in {item["name"]: item for item in owned}.values():
            plural, _dot, group = crd["name"].partition(".")
            try:
                items = cluster.list_objects(Kind(crd["kind"], plural, group, crd["version"]))
            except ApiError as error:
                if error.status != 404:  # the definition is gone already
                    raise
                items = []
            found += [f"{crd['kind']} {name_of(item)}" for item in items if namespace_of(item) == namespace_of(version)]
    return found


def _shared(operator: Operator, plan: Mapping[str, Any]) -> list[str]:
    others = [name for name in plan["spec"]["clusterServiceVersionNames"] if version_of(name, operator.package) == ""]
    if not others:
        return []
    return [f"InstallPlan {name_of(plan)} installs {', '.join(others)}, too: OLM makes one plan for a namespace."]


def _result(
    operator: Operator, subscription: Object, versions: Iterable[Object], approved: Iterable[str] = ()
) -> Object:
    spec, status = subscription["spec"], status_of(subscription)
    csv = status.get("installedCSV", "")
    version = next((item for item in _in(versions, operator.namespace) if name_of(item) == csv), {})
    current = status.get("currentCSV", "")
    return {
        "package": operator.package,
        "namespace": operator.namespace,
        "name": name_of(subscription),
        "channel": spec.get("channel", ""),
        "source": spec.get("source", ""),
        "csv": csv,
        "version": str((version.get("spec") or {}).get("version", "")),
        "phase": str((version.get("status") or {}).get("phase", "")),
        "pending": current if current != csv else "",
        "approved": list(approved),
    }
