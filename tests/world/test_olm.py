"""The simulated OLM does what the real one was recorded to do: order, fields, texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from world.apiclient import ApiError
from world.world import World

ALPHA = "/apis/operators.coreos.com/v1alpha1/namespaces"
PACKAGES = "/apis/packages.operators.coreos.com/v1/namespaces"
HEALTHY = ("CatalogSourcesUnhealthy", "False", "AllCatalogSourcesHealthy")
Seen = list[tuple[Any, ...]]


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    name = f"contract-{time.monotonic_ns()}"
    world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{name}")


def get(world: World, namespace: str, plural: str, name: str = "") -> Any:
    answer = world.plane.admin.request("GET", f"{ALPHA}/{namespace}/{plural}/{name}".rstrip("/"))
    return answer if name else answer["items"]


def subscribe(world: World, namespace: str, called: str = "quay-operator", **spec: Any) -> None:
    base = {"name": "quay-operator", "channel": "stable-3.13", "source": "redhat-operators"}
    base["sourceNamespace"] = "openshift-marketplace"
    body = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "Subscription", "metadata": {"name": called}}
    world.plane.admin.request("POST", f"{ALPHA}/{namespace}/subscriptions", {**body, "spec": {**base, **spec}})


def group(world: World, namespace: str) -> None:
    body = {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "metadata": {"name": "og"}}
    path = f"/apis/operators.coreos.com/v1/namespaces/{namespace}/operatorgroups"
    world.plane.admin.request("POST", path, {**body, "spec": {"targetNamespaces": [namespace]}})


def conditions(item: Any) -> Seen:
    return [(c["type"], c["status"], c.get("reason")) for c in (item.get("status") or {}).get("conditions") or []]


def until(world: World, look: Callable[[], Any], wanted: Callable[[Any], bool]) -> list[Any]:
    """Everything that was seen on the way."""
    seen: list[Any] = []

    def check() -> bool:
        now = look()
        if not seen or seen[-1] != now:
            seen.append(now)
        return wanted(now)

    world.wait_for(check, "what was recorded")
    return seen


def test_a_subscription_is_silent_without_a_group_and_latest_before_its_csv_succeeded(
    world: World, namespace: str
) -> None:
    subscribe(world, namespace)
    world.wait_for(lambda: conditions(get(world, namespace, "subscriptions", "quay-operator")) == [HEALTHY], "a status")
    status = get(world, namespace, "subscriptions", "quay-operator")["status"]
    assert set(status) == {"catalogHealth", "conditions", "lastUpdated"}
    assert get(world, namespace, "installplans") == []
    group(world, namespace)

    def look() -> tuple[Any, ...]:
        status = get(world, namespace, "subscriptions", "quay-operator")["status"]
        versions = {item["metadata"]["name"]: item for item in get(world, namespace, "clusterserviceversions")}
        version = (versions.get("quay-operator.v3.13.1") or {}).get("status") or {}
        return status.get("state"), status.get("installedCSV"), version.get("phase"), version.get("reason")

    seen = until(world, look, lambda now: now[2] == "Succeeded")
    phases = list(dict.fromkeys(item[2:] for item in seen if item[2]))
    assert phases[-1] == ("Succeeded", "InstallSucceeded")
    assert {"Pending", "Installing"} <= {phase for phase, _reason in phases}
    early = [item for item in seen if item[0] == "AtLatestKnown" and item[2] != "Succeeded"]
    assert early and early[0][1] == "quay-operator.v3.13.1"
    (plan,) = get(world, namespace, "installplans")
    assert (plan["spec"]["approval"], plan["spec"]["approved"], plan["spec"]["generation"]) == ("Automatic", True, 1)
    assert plan["status"]["phase"] == "Complete"
    assert conditions(plan) == [("Installed", "True", None)]


def test_a_manual_plan_waits_and_goes_with_its_subscription_while_the_csv_stays(world: World, namespace: str) -> None:
    group(world, namespace)
    subscribe(world, namespace, installPlanApproval="Manual")
    pending = ("InstallPlanPending", "True", "RequiresApproval")

    def waits() -> bool:
        return conditions(get(world, namespace, "subscriptions", "quay-operator")) == [HEALTHY, pending]

    world.wait_for(waits, "the plan")
    status = get(world, namespace, "subscriptions", "quay-operator")["status"]
    (plan,) = get(world, namespace, "installplans")
    name = plan["metadata"]["name"]
    assert (status["state"], status["installPlanRef"]["name"], status["installplan"]["uuid"]) == (
        "UpgradePending", name, plan["metadata"]["uid"],
    )  # fmt: skip
    assert plan["status"]["phase"] == "RequiresApproval"
    world.plane.admin.request("PATCH", f"{ALPHA}/{namespace}/installplans/{name}", {"spec": {"approved": True}})
    world.wait_for(lambda: len(get(world, namespace, "clusterserviceversions")) == 1, "the CSV")
    world.plane.admin.request("DELETE", f"{ALPHA}/{namespace}/subscriptions/quay-operator")
    world.wait_for(lambda: get(world, namespace, "installplans") == [], "the plan to be collected")
    assert len(get(world, namespace, "clusterserviceversions")) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "nopkg"}, "no operators found in package nopkg in the catalog referenced by subscription s,"),
        ({"channel": "stable-9"}, "no operators found in channel stable-9 of package quay-operator in the catalog"),
        ({"source": "nosuch"}, "no operators found from catalog nosuch in namespace openshift-marketplace"),
    ],
)
def test_a_resolution_that_fails_says_so(world: World, namespace: str, spec: dict[str, str], message: str) -> None:
    group(world, namespace)
    subscribe(world, namespace, "s", **spec)
    failed = ("ResolutionFailed", "True", "ConstraintsNotSatisfiable")
    world.wait_for(lambda: failed in conditions(get(world, namespace, "subscriptions", "s")), "the condition")
    subscription = get(world, namespace, "subscriptions", "s")
    text = subscription["status"]["conditions"][1]["message"]
    assert text.startswith(f"constraints not satisfiable: {message}")
    assert text.endswith("subscription s exists")
    missing = ("CatalogSourcesUnhealthy", "True", "UnhealthyCatalogSourceFound")
    assert (missing in conditions(subscription)) == ("source" in spec)


def test_package_manifests_are_seen_from_every_namespace(world: World) -> None:
    admin = world.plane.admin
    item = admin.request("GET", f"{PACKAGES}/nosuch/packagemanifests/quay-operator")
    assert (item["metadata"]["namespace"], item["metadata"]["labels"]["catalog"]) == ("nosuch", "redhat-operators")
    assert item["status"]["catalogSourceNamespace"] == "openshift-marketplace"
    assert item["status"]["channels"][0]["entries"][-1] == {"name": "quay-operator.v3.13.0", "version": "3.13.0"}
    with pytest.raises(ApiError, match=r'packagemanifests\.packages\.operators\.coreos\.com "x" not found'):
        admin.request("GET", f"{PACKAGES}/default/packagemanifests/x")
    listed = admin.request("GET", f"{PACKAGES}/default/packagemanifests?labelSelector=catalog%3Dnosuch")
    assert listed["items"] == []
