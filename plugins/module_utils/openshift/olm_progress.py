# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation of the Operator Lifecycle Manager under way: InstallPlans to approve, CSVs that become Succeeded.

OLM sets ``installedCSV`` and AtLatestKnown as soon as the CSV object exists, while its phase is still Pending; a resolution
fails for a second in the course of an ordinary upgrade; a CSV that Failed may recover.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CATALOG_SOURCE,
    CLUSTER_SERVICE_VERSION,
    INSTALL_PLAN,
    OPERATOR_GROUP,
    SUBSCRIPTION,
    Kind,
    Object,
    changes,
    name_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm_catalog import state_of, version_key

#: ``version``: whatever the channel has.
LATEST = "latest"

#: How many seconds trouble has to last before it is believed.
GRACE = 10.0

_TROUBLE = ("ResolutionFailed", "InstallPlanFailed", "InstallPlanMissing", "BundleUnpackFailed")


class _StillSo(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Goal:
    """What has to be installed in the end. ``csv`` empty: whatever is; ``exact``: that and nothing newer; ``manual``: its
    InstallPlans need approval; ``version`` as asked for: empty, a version, or latest."""

    package: str
    csv: str
    exact: bool
    manual: bool
    version: str

    def reached(self, subscription: Mapping[str, Any]) -> bool:
        """Whether the CSV that is wanted is the one installed (not that it works)."""
        installed = str(status_of(subscription).get("installedCSV", ""))
        if not installed or installed == self.csv or not self.csv:
            return bool(installed)
        there = version_key(version_of(installed, self.package))
        return not self.exact and there >= version_key(version_of(self.csv, self.package))


@dataclasses.dataclass(frozen=True)
class Arrived:
    """The end of an installation; ``approved`` are the names of the InstallPlans that were approved on the way."""

    subscription: Object
    version: Object
    approved: list[str]


def status_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return dict(item.get("status") or {})


def version_of(csv: str, package: str) -> str:
    """The version in a CSV's name (``PACKAGE.vVERSION`` by convention); empty for another package's."""
    start = f"{package}."
    return csv[len(start) :].removeprefix("v") if csv.startswith(start) else ""


def may_approve(goal: Goal, subscription: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
    """Whether this InstallPlan, which the Subscription references, is what was asked for and waits for approval."""
    status = status_of(subscription)
    if (
        not goal.manual
        or status_of(plan).get("phase") != "RequiresApproval"
        or plan["spec"].get("approved")
        or (status.get("installPlanRef") or {}).get("name") != name_of(plan)
        or status.get("currentCSV") not in plan["spec"].get("clusterServiceVersionNames", [])
    ):
        return False
    if goal.exact:
        wanted = version_key(version_of(goal.csv, goal.package) or goal.version)
        return version_key(version_of(status["currentCSV"], goal.package)) <= wanted
    return goal.version == LATEST or not status.get("installedCSV")


def approved(plan: Object) -> Object:
    return {**plan, "spec": {**plan["spec"], "approved": True}}


def pending_plan(cluster: Cluster, subscription: Object, goal: Goal, deadline: float) -> tuple[Object, Object | None]:
    """An existing Subscription, and the InstallPlan that it references, where one has to be approved to reach the goal.

    A Subscription that nothing came of yet is given until the deadline to get one: a run may have ended in between.
    """
    wants = goal.version != "" or not status_of(subscription).get("installedCSV")
    if not goal.manual or not wants:
        return subscription, None
    seen = subscription
    if not status_of(subscription).get("installPlanRef") and time.monotonic() < deadline:
        namespace, name = subscription["metadata"]["namespace"], name_of(subscription)

        def moved(item: Object | None) -> bool:
            return item is None or bool(status_of(item).get("installPlanRef")) or bool(_trouble(item))

        report = _reporter(cluster, namespace, name)
        seen = cluster.wait(SUBSCRIPTION, name, namespace, moved, deadline, report) or subscription
    return seen, _settled_plan(cluster, seen, deadline)


def _settled_plan(cluster: Cluster, subscription: Object, deadline: float) -> Object | None:
    """The referenced InstallPlan, once it is known what it waits for."""
    name = (status_of(subscription).get("installPlanRef") or {}).get("name", "")
    namespace = subscription["metadata"]["namespace"]
    if not name:
        return None
    plan = cluster.get(INSTALL_PLAN, name, namespace)
    if plan is None or status_of(plan).get("phase", "Planning") != "Planning" or time.monotonic() >= deadline:
        return plan
    return cluster.wait(
        INSTALL_PLAN,
        name,
        namespace,
        lambda seen: seen is None or status_of(seen).get("phase", "Planning") != "Planning",
        deadline,
        _reporter(cluster, namespace, name_of(subscription)),
    )


def follow(cluster: Cluster, namespace: str, name: str, goal: Goal, deadline: float) -> Arrived:
    """Wait until the goal is reached and its CSV is Succeeded; approve what has to be approved for that."""
    done: list[str] = []
    looked_at: set[str] = set()

    def moves(item: Object | None) -> bool:
        return item is None or goal.reached(item) or bool(_trouble(item)) or _new_plan(item, looked_at, goal)

    report = _reporter(cluster, namespace, name)
    while True:
        subscription = cluster.wait(SUBSCRIPTION, name, namespace, moves, deadline, report)
        if subscription is None:
            raise RegistryError(f"Subscription {namespace}/{name} was deleted by somebody else. Run again.")
        if goal.reached(subscription):
            break
        if _new_plan(subscription, looked_at, goal):
            plan = _settled_plan(cluster, subscription, deadline)
            if plan is None:
                continue
            if may_approve(goal, subscription, plan):
                try:
                    cluster.write(changes(INSTALL_PLAN, plan, approved(plan))[0])
                except Conflict:
                    continue
                done.append(name_of(plan))
            looked_at.add(name_of(plan))
        elif _stays(
            cluster, SUBSCRIPTION, name, namespace, lambda seen: bool(seen and _trouble(seen)), GRACE, deadline
        ):
            raise RegistryError(report(subscription))
    version = _succeeded(cluster, namespace, status_of(subscription)["installedCSV"], deadline, report)
    return Arrived(subscription, version, done)


def _succeeded(
    cluster: Cluster, namespace: str, csv: str, deadline: float, report: Callable[[Object | None], str]
) -> Object:
    def phase(item: Object | None) -> str:
        return str(status_of(item or {}).get("phase", ""))

    while True:
        seen = cluster.wait(
            CLUSTER_SERVICE_VERSION,
            csv,
            namespace,
            lambda item: phase(item) in ("Succeeded", "Failed"),
            deadline,
            report,
        )
        if seen is not None and phase(seen) == "Succeeded":
            return seen
        if _stays(
            cluster, CLUSTER_SERVICE_VERSION, csv, namespace, lambda item: phase(item) == "Failed", GRACE, deadline
        ):
            raise RegistryError(report(seen))


def _new_plan(subscription: Mapping[str, Any], looked_at: set[str], goal: Goal) -> bool:
    reference = (status_of(subscription).get("installPlanRef") or {}).get("name", "")
    return goal.manual and bool(reference) and reference not in looked_at


def _stays(
    cluster: Cluster,
    kind: Kind,
    name: str,
    namespace: str,
    bad: Callable[[Object | None], bool],
    seconds: float,
    deadline: float,
) -> bool:
    """Whether the object stays bad for so long."""

    def still(_seen: Object | None) -> str:
        raise _StillSo

    try:
        cluster.wait(
            kind, name, namespace, lambda seen: not bad(seen), min(deadline, time.monotonic() + seconds), still
        )
    except _StillSo:
        return True
    return False


def _trouble(subscription: Mapping[str, Any]) -> list[Object]:
    return [item for item in _conditions(subscription) if item["type"] in _TROUBLE and item["status"] == "True"]


def _conditions(item: Mapping[str, Any]) -> list[Object]:
    return list(status_of(item).get("conditions") or [])


def _reporter(cluster: Cluster, namespace: str, name: str) -> Callable[[Object | None], str]:
    return lambda _seen: describe(cluster, namespace, name)


def describe(cluster: Cluster, namespace: str, name: str) -> str:
    """What an installation hangs on, in a few lines."""
    subscription = cluster.get(SUBSCRIPTION, name, namespace)
    if subscription is None:
        return f"Subscription {namespace}/{name} is gone. Run again."
    spec, status = subscription["spec"], status_of(subscription)
    lines = [f"Operator {spec['name']} in {namespace} is not installed:"]
    place = spec["sourceNamespace"]
    catalog = cluster.get(CATALOG_SOURCE, spec["source"], place)
    lines.append(f"CatalogSource {place}/{spec['source']}: {state_of(catalog) if catalog else 'missing'}")
    told = [f"{item['type']}{_because(item)}" for item in _conditions(subscription) if item["status"] == "True"]
    lines.append(f"Subscription {name}: {'; '.join([status.get('state') or 'no state yet', *told])}")
    groups = len(cluster.list_objects(OPERATOR_GROUP, namespace))
    if groups != 1:
        lines.append(f"OperatorGroups in {namespace}: {groups}, and OLM does nothing where there is not exactly one")
    reference = (status.get("installPlanRef") or {}).get("name")
    plan = cluster.get(INSTALL_PLAN, reference, namespace) if reference else None
    if plan:
        failed = [_because(item).lstrip() for item in _conditions(plan) if item["status"] != "True"]
        lines.append(
            f"InstallPlan {name_of(plan)}: {' '.join([status_of(plan).get('phase') or 'no phase yet', *failed])}"
        )
    for csv in dict.fromkeys((status.get("installedCSV"), status.get("currentCSV"))):
        version = cluster.get(CLUSTER_SERVICE_VERSION, csv, namespace) if csv else None
        if version:
            told_by = status_of(version)
            lines.append(
                f"ClusterServiceVersion {name_of(version)}: {told_by.get('phase') or 'no phase yet'}{_because(told_by)}"
            )
    return "\n".join(lines)


def _because(item: Mapping[str, Any]) -> str:
    reason, message = item.get("reason"), item.get("message")
    return (f" ({reason})" if reason else "") + (f": {message}" if message else "")
