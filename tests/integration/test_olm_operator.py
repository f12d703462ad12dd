"""Operators installed on a simulated OLM: approvals, upgrades, removal, and what is said when it fails."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import summaries

from ansible_collections.quayside.registry.plugins.module_utils.openshift import olm_progress
from support import Killed, killed_after, run_module
from world.apiclient import ApiError
from world.simulators.olm_catalog import Bundle, Package
from world.world import World

Run = Callable[..., dict[str, Any]]
ALPHA = "/apis/operators.coreos.com/v1alpha1"
GROUPS = "/apis/operators.coreos.com/v1"
MARKET = "openshift-marketplace"
QUAY = {"package": "quay-operator", "channel": "stable-3.13"}
_numbers = itertools.count(1)


@pytest.fixture
def namespace(world: World) -> Iterator[str]:
    name = f"olm-{next(_numbers)}"
    yield name
    with contextlib.suppress(ApiError):  # a test that is refused makes none
        world.plane.admin.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def run(world: World, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(olm_progress, "GRACE", 2.0)

    def run(*operators: dict[str, Any], check: bool = False, **params: Any) -> dict[str, Any]:
        wanted = {"namespace": namespace, "wait_timeout": 20, **params}
        connection = {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("olm_operator", check=check, operators=list(operators), **{**connection, **wanted})

    return run


@pytest.fixture
def offer(world: World) -> Iterator[Callable[..., None]]:
    """Adds a package with one channel to the catalog."""
    packages = world.simulation.olm.catalogs[MARKET, "redhat-operators"]
    before = dict(packages)

    def add(*bundles: Bundle) -> None:
        packages[bundles[0].package] = Package(bundles[0].package, {"stable": list(bundles)}, "stable")

    yield add
    packages.clear()
    packages.update(before)


def objects(world: World, plural: str, namespace: str, api: str = ALPHA) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.plane.admin.request("GET", f"{api}/namespaces/{namespace}/{plural}")["items"]
    return items


def group(world: World, namespace: str, name: str, *targets: str) -> None:
    spec = {"targetNamespaces": list(targets)} if targets else {}
    body = {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "metadata": {"name": name}, "spec": spec}
    world.plane.admin.request("POST", f"{GROUPS}/namespaces/{namespace}/operatorgroups", body)


def test_check_mode_predicts_the_run_and_a_second_run_only_lists(run: Run, world: World, namespace: str) -> None:
    predicted = run(QUAY, check=True)
    made = run(QUAY)
    assert (
        summaries(predicted)
        == summaries(made)
        == [
            f"create Namespace {namespace}",
            f"create OperatorGroup {namespace}",
            "create Subscription quay-operator",
        ]
    )
    assert predicted["diff"] == made["diff"]
    assert made["operators"] == [
        {**QUAY, "namespace": namespace, "name": "quay-operator", "source": "redhat-operators", "version": "3.13.1",
         "csv": "quay-operator.v3.13.1", "phase": "Succeeded", "pending": "", "approved": []}
    ]  # fmt: skip
    (there,) = objects(world, "operatorgroups", namespace, GROUPS)
    assert there["spec"]["targetNamespaces"] == [namespace]
    mark = world.mark()
    again = run(QUAY)
    assert summaries(again) == []
    assert again["operators"] == made["operators"]
    assert [request.verb for request in world.requests(mark)] == ["list", "list", "list"]


def test_manual_approval_reaches_the_version_and_no_further(run: Run, world: World, namespace: str) -> None:
    made = run({**QUAY, "approval": "Manual", "version": "3.13.0"})
    assert made["operators"][0]["version"] == "3.13.0"
    plans = [item for item in objects(world, "installplans", namespace) if item["spec"]["approved"]]
    assert made["operators"][0]["approved"] == [item["metadata"]["name"] for item in plans]
    world.wait_for(lambda: len(objects(world, "installplans", namespace)) == 2, "the upgrade to be offered")
    seen = run({**QUAY, "version": "3.13.0"})
    assert summaries(seen) == []
    left = run(QUAY)
    assert summaries(left) == []
    assert left["operators"][0]["pending"] == "quay-operator.v3.13.1"
    assert [plan["spec"]["approved"] for plan in objects(world, "installplans", namespace)].count(False) == 1
    predicted = run({**QUAY, "version": "3.13.1"}, check=True)
    upgraded = run({**QUAY, "version": "3.13.1"})
    assert predicted["changes"] == upgraded["changes"]
    assert [change["kind"] for change in upgraded["changes"]] == ["InstallPlan"]
    assert upgraded["operators"][0]["version"] == "3.13.1"
    world.wait_for(lambda: len(objects(world, "clusterserviceversions", namespace)) == 1, "the old version to go")
    assert "3.13.1 is installed, and OLM does not go back to 3.13.0" in run({**QUAY, "version": "3.13.0"})["msg"]


def test_a_version_several_steps_away_is_reached_in_one_run(run: Run) -> None:
    run({**QUAY, "approval": "Manual", "version": "3.13.0"})
    upgraded = run({"package": "quay-operator", "channel": "stable-3.14", "version": "3.14.0"})
    assert summaries(upgraded) == ["update Subscription quay-operator"]
    assert upgraded["operators"][0]["version"] == "3.14.0"
    assert len(upgraded["operators"][0]["approved"]) == 2
    assert summaries(run({"package": "quay-operator", "channel": "stable-3.14", "version": "3.14.0"})) == []


def test_a_channel_is_followed_automatically(run: Run) -> None:
    run(QUAY)
    upgraded = run({"package": "quay-operator", "channel": "stable-3.14"})
    assert summaries(upgraded) == ["update Subscription quay-operator"]
    assert upgraded["operators"][0]["csv"] == "quay-operator.v3.14.0"


def test_a_run_that_ended_before_the_approval_is_finished_by_the_next(run: Run, world: World, namespace: str) -> None:
    started = run({**QUAY, "approval": "Manual"}, wait=False)
    assert started["operators"][0]["csv"] == ""
    predicted = run({**QUAY, "approval": "Manual"}, check=True)
    finished = run({**QUAY, "approval": "Manual"})
    assert predicted["changes"] == finished["changes"]
    assert [change["kind"] for change in finished["changes"]] == ["InstallPlan"]
    assert finished["operators"][0]["version"] == "3.13.1"


def test_killed_after_any_write_the_next_run_ends_in_the_same_state(run: Run, world: World, namespace: str) -> None:
    """The writes are namespace, group, Subscription and approval; then Subscription, CSV and group of the removal."""
    wanted = {**QUAY, "approval": "Manual", "version": "3.13.0"}
    gone = {"package": "quay-operator", "state": "absent"}
    for writes in (1, 2, 3, 4):
        where = {"namespace": f"{namespace}-{writes}"}
        with killed_after(writes), pytest.raises(Killed):
            run(wanted, **where)
        finished = run(wanted, **where)
        assert (finished["operators"][0]["version"], finished["operators"][0]["phase"]) == ("3.13.0", "Succeeded")
        assert [item["kind"] for item in objects(world, "subscriptions", where["namespace"])] == ["Subscription"]
        assert summaries(run(wanted, **where)) == []
        if writes < 4:
            with killed_after(writes), pytest.raises(Killed):
                run(gone, **where)
        run(gone, **where)
        assert objects(world, "subscriptions", where["namespace"]) == []
        assert objects(world, "clusterserviceversions", where["namespace"]) == []
        assert objects(world, "operatorgroups", where["namespace"], GROUPS) == []
        world.plane.admin.request("DELETE", f"/api/v1/namespaces/{where['namespace']}")


def test_absent_leaves_what_is_not_the_operators(run: Run, world: World, namespace: str) -> None:
    run(QUAY)
    registry = {"apiVersion": "quay.redhat.com/v1", "kind": "QuayRegistry", "metadata": {"name": "q"}, "spec": {}}
    registries = f"/apis/quay.redhat.com/v1/namespaces/{namespace}/quayregistries"
    world.plane.admin.request("POST", registries, registry)
    gone = {"package": "quay-operator", "state": "absent"}
    assert "still holds QuayRegistry q" in run({**gone, "delete_namespace": True})["msg"]
    assert summaries(run(gone)) == [
        "delete Subscription quay-operator",
        "delete ClusterServiceVersion quay-operator.v3.13.1",
        f"delete OperatorGroup {namespace}",
    ]
    assert objects(world, "clusterserviceversions", namespace) == []
    world.wait_for(lambda: objects(world, "installplans", namespace) == [], "the InstallPlans to be collected")
    assert len(world.plane.admin.request("GET", registries)["items"]) == 1
    assert summaries(run(gone)) == []


def test_a_csv_that_was_left_behind_is_removed_and_not_installed_over(run: Run, world: World, namespace: str) -> None:
    run(QUAY)
    world.plane.admin.request("DELETE", f"{ALPHA}/namespaces/{namespace}/subscriptions/quay-operator")
    assert "quay-operator.v3.13.1 is there without a Subscription" in run(QUAY)["msg"]
    removed = run({"package": "quay-operator", "state": "absent"})
    assert "delete ClusterServiceVersion quay-operator.v3.13.1" in summaries(removed)
    assert run(QUAY)["operators"][0]["phase"] == "Succeeded"


def test_an_operator_for_all_namespaces_uses_the_group_that_is_there(run: Run) -> None:
    bridge = {"package": "quay-bridge-operator", "namespace": "openshift-operators"}
    try:
        made = run(bridge)
        assert summaries(made) == ["create Subscription quay-bridge-operator"]
        assert made["operators"][0]["phase"] == "Succeeded"
    finally:
        removed = run({**bridge, "state": "absent"})
    assert [change["kind"] for change in removed["changes"]] == ["Subscription", "ClusterServiceVersion"]


def test_groups_of_others_are_reused_or_explained(run: Run, world: World, namespace: str) -> None:
    world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    group(world, namespace, "theirs", "elsewhere")
    wanted = {**QUAY, "target_namespaces": [namespace]}
    refused = run(wanted)
    assert f"OperatorGroup {namespace}/theirs is not of this collection and watches elsewhere" in refused["msg"]
    assert "quay-bridge-operator does not support SingleNamespace" in run({"package": "quay-bridge-operator"})["msg"]
    assert summaries(run(QUAY)) == ["create Subscription quay-operator"]
    group(world, namespace, "second")
    assert "has 2 OperatorGroups: second, theirs. OLM installs nothing" in run(QUAY)["msg"]


def test_a_group_that_somebody_deleted_comes_back(run: Run, world: World, namespace: str) -> None:
    run({**QUAY, "approval": "Manual", "version": "3.13.0"})
    world.plane.admin.request("DELETE", f"{GROUPS}/namespaces/{namespace}/operatorgroups/{namespace}")
    again = run({**QUAY, "version": "3.13.0"})
    assert summaries(again) == [f"create OperatorGroup {namespace}"]


def test_our_group_follows_target_namespaces(run: Run, world: World, namespace: str) -> None:
    run({**QUAY, "target_namespaces": [namespace]})
    assert summaries(run({**QUAY, "target_namespaces": ["*"]})) == [f"update OperatorGroup {namespace}"]
    (there,) = objects(world, "operatorgroups", namespace, GROUPS)
    assert "targetNamespaces" not in there["spec"]
    assert summaries(run({**QUAY, "target_namespaces": ["*"]})) == []


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (
            {"package": "quay-operater"},
            "no catalog of openshift-marketplace offers quay-operater. Did you mean quay-op",
        ),
        (
            {**QUAY, "channel": "stable-3.15"},
            "has no channel stable-3.15. Did you mean stable-3.14? There are stable-3.13",
        ),
        (
            {**QUAY, "source": "redhat-operator"},
            "no CatalogSource redhat-operator in openshift-marketplace. Did you mean",
        ),
        (
            {**QUAY, "version": "3.13.9", "approval": "Manual"},
            "no version 3.13.9 in channel stable-3.13. There are 3.13.0",
        ),
        ({**QUAY, "version": "3.13.1"}, "version 3.13.1 needs approval: Manual"),
    ],
)
def test_what_no_catalog_offers_is_refused_before_anything_is_written(
    operator: dict[str, Any], message: str, run: Run
) -> None:
    for check in (True, False):
        refused = run(operator, check=check)
        assert message in refused["msg"]
        assert refused["changes"] == []


def test_a_catalog_is_waited_for(run: Run, world: World, namespace: str) -> None:
    olm, path = world.simulation.olm, f"{ALPHA}/namespaces/{MARKET}/catalogsources"
    spec = {"sourceType": "grpc", "image": "index:v4"}
    body = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "CatalogSource", "spec": spec}
    world.plane.admin.request("POST", path, {**body, "metadata": {"name": "mirrored"}})
    try:
        operator = {**QUAY, "source": "mirrored"}
        late = run(operator, wait_timeout=2)
        assert "the catalog was not ready in time: mirrored is TRANSIENT_FAILURE" in late["msg"]
        olm.catalogs[MARKET, "mirrored"] = dict(olm.catalogs[MARKET, "redhat-operators"])
        assert run(operator)["operators"][0]["source"] == "mirrored"
        both = run({**QUAY, "namespace": f"{namespace}-b"})
        assert "quay-operator is offered by mirrored, redhat-operators. Say which" in both["msg"]
    finally:
        world.plane.admin.request("DELETE", f"{path}/mirrored")
        olm.catalogs.pop((MARKET, "mirrored"), None)


def test_a_failed_csv_is_shown_in_a_few_lines(run: Run, offer: Callable[..., None]) -> None:
    offer(Bundle("broken", "1.0.0", failure="install failed: deployment broken not ready before timeout"))
    lines = run({"package": "broken"})["msg"].splitlines()
    assert lines[0].endswith("is not installed:")
    assert "CatalogSource openshift-marketplace/redhat-operators: READY" in lines
    assert "Subscription broken: AtLatestKnown" in lines
    assert lines[-1] == (
        "ClusterServiceVersion broken.v1.0.0: Failed (InstallCheckFailed): install failed: deployment broken not ready before"
        " timeout"
    )


def test_a_failed_install_plan_is_shown(run: Run, offer: Callable[..., None]) -> None:
    offer(Bundle("broken", "1.0.0", plan_failure="error validating existing CRs against new CRD's schema"))
    failed = run({"package": "broken"})
    assert failed["changed"] is True
    assert "InstallPlanFailed (InstallComponentFailed): error validating existing CRs" in failed["msg"]
    assert ": Failed (InstallComponentFailed): error validating existing CRs" in failed["msg"]


def test_an_operator_that_never_gets_ready_is_given_up_at_the_deadline(run: Run, offer: Callable[..., None]) -> None:
    offer(Bundle("slow", "1.0.0", pods=None))
    failed = run({"package": "slow"}, wait_timeout=3)
    assert "slow.v1.0.0: Installing (InstallWaiting): installing: waiting for deployment slow-tng" in failed["msg"]


def test_who_may_not_is_told_what_to_grant(run: Run, world: World) -> None:
    refused = run(QUAY, kubeconfig=str(world.kubeconfig("developer")))
    assert "Could not list" in refused["msg"]
    assert "Grant that right to the account" in refused["msg"]
