"""What an operator's namespace, OperatorGroup, Subscription and approvals come to, by tables."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import olm_catalog
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm import OlmOperators, State
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm_catalog import (
    Channel,
    Package,
    version_key,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm_progress import (
    Goal,
    may_approve,
    pending_plan,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.projects import Projects
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

ALL = frozenset({"OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"})
KEY = ("ops", "quay-operator")


def csv(version: str) -> str:
    return f"quay-operator.v{version}"


def offer(modes: frozenset[str] = ALL) -> Package:
    versions = {csv(version): version for version in ("3.13.0", "3.13.1", "3.14.0")}
    older = {name: version for name, version in versions.items() if version != "3.14.0"}
    channels = {
        "stable-3.13": Channel("stable-3.13", csv("3.13.1"), older, modes),
        "stable-3.14": Channel("stable-3.14", csv("3.14.0"), versions, modes),
    }
    return Package("quay-operator", "redhat-operators", "openshift-marketplace", "stable-3.14", channels)


def subject(**options: Any) -> OlmOperators:
    entry = {"package": "quay-operator", "namespace": "ops", **options}
    return OlmOperators({"operators": [entry], "namespace": None, "wait": True, "wait_timeout": 1})


def there(name: str, *, ours: bool = True, namespace: str = "ops", labels: Any = None, **content: Any) -> Any:
    marks = {**(MANAGED_BY if ours else {}), **(labels or {})}
    return {"metadata": {"name": name, "namespace": namespace, "labels": marks, "uid": "u"}, **content}


def subscription(installed: str = "3.13.1", current: str = "", plan: str = "", ours: bool = True, **spec: Any) -> Any:
    status: dict[str, Any] = {"currentCSV": csv(current or installed)} if current or installed else {}
    if installed:
        status["installedCSV"] = csv(installed)
    if plan:
        status["installPlanRef"] = {"name": plan}
    base = {"name": "quay-operator", "source": "redhat-operators", "sourceNamespace": "openshift-marketplace"}
    base |= {"channel": "stable-3.13", "installPlanApproval": "Automatic"}
    return there("quay-operator", ours=ours, spec={**base, **spec}, status=status)


def version(number: str, phase: str = "Succeeded", **metadata: Any) -> Any:
    return there(csv(number), ours=False, spec={"version": number}, status={"phase": phase}, **metadata)


def group(*targets: str, name: str = "ops", ours: bool = True) -> Any:
    return there(name, ours=ours, spec={"targetNamespaces": list(targets)} if targets else {})


def install_plan(current: str = "3.13.1", phase: str = "RequiresApproval", approved: bool = False, *more: str) -> Any:
    spec = {"approved": approved, "clusterServiceVersionNames": [csv(current), *more]}
    return there("install-x", ours=False, spec=spec, status={"phase": phase})


def planned(operators: OlmOperators, **state: Any) -> Plan:
    everything: dict[str, Any] = {"subscriptions": [], "groups": [], "versions": [], "projects": Projects()}
    given = State(**{**everything, "offers": {}, "plans": {}, **state})
    untouched = copy.deepcopy(given)
    plan = operators.plan(given)
    assert given == untouched
    return plan


def lines(plan: Plan) -> list[str]:
    return [str(change) for change in plan.changes]


def test_from_nothing_there_is_a_namespace_a_group_and_a_subscription() -> None:
    plan = planned(subject(), projects=Projects(missing=("ops",)), offers={KEY: offer()})
    assert lines(plan) == [
        "create Namespace ops",
        "create OperatorGroup ops/ops",
        "create Subscription ops/quay-operator",
    ]
    assert [change.stage for change in plan.changes] == [0, 1, 2]
    assert plan.changes[1].request.body["spec"] == {"targetNamespaces": ["ops"]}
    assert plan.changes[2].request.body["spec"] == {
        "name": "quay-operator",
        "channel": "stable-3.14",
        "source": "redhat-operators",
        "sourceNamespace": "openshift-marketplace",
        "installPlanApproval": "Automatic",
    }


@pytest.mark.parametrize(
    ("options", "modes", "targets"),
    [
        ({}, ALL, ["ops"]),
        ({}, frozenset({"AllNamespaces"}), None),
        ({"target_namespaces": ["*"]}, ALL, None),
        ({"target_namespaces": ["b", "a"]}, ALL, ["a", "b"]),
    ],
)
def test_a_new_group_watches(options: dict[str, Any], modes: frozenset[str], targets: Any) -> None:
    plan = planned(subject(**options), offers={KEY: offer(modes)})
    assert plan.changes[0].request.body["spec"].get("targetNamespaces") == targets


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({"version": "3.13.0", "approval": "Manual", "channel": "stable-3.13"}, {"startingCSV": csv("3.13.0")}),
        ({"version": "v3.13.0", "approval": "Manual"}, {"startingCSV": csv("3.13.0"), "channel": "stable-3.14"}),
        ({"version": "latest", "approval": "Manual"}, {"installPlanApproval": "Manual"}),
        ({"config": {"env": [{"name": "A", "value": "b"}]}}, {"config": {"env": [{"name": "A", "value": "b"}]}}),
    ],
)
def test_a_new_subscription_has(options: dict[str, Any], spec: dict[str, Any]) -> None:
    plan = planned(subject(**options), groups=[group("ops")], offers={KEY: offer()})
    body = plan.changes[0].request.body["spec"]
    assert spec.items() <= body.items()
    assert ("startingCSV" in body) == ("startingCSV" in spec)


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, {"subscriptions": [subscription()]}),
        ({}, {"subscriptions": [subscription(ours=False, config={"env": []})]}),
        ({"channel": "stable-3.13", "source": "redhat-operators"}, {"subscriptions": [subscription()]}),
        ({"version": "3.13.1"}, {"subscriptions": [subscription(installPlanApproval="Manual")]}),
        ({}, {"subscriptions": [subscription()], "groups": [group("elsewhere", ours=False)]}),
    ],
)
def test_what_is_as_wanted_changes_nothing(options: dict[str, Any], state: dict[str, Any]) -> None:
    plan = planned(subject(**options), **{"groups": [group("ops")], "versions": [version("3.13.1")], **state})
    assert lines(plan) == []
    assert plan.result["operators"][0]["phase"] == "Succeeded"
    assert plan.result["operators"][0]["version"] == "3.13.1"


@pytest.mark.parametrize(
    ("options", "installed", "current", "plan", "approved"),
    [
        ({}, "", "3.13.1", install_plan(), True),  # the first installation
        ({}, "3.13.0", "3.13.1", install_plan(), False),  # an upgrade that nobody asked for
        ({"version": "latest"}, "3.13.0", "3.13.1", install_plan(), True),
        ({"version": "3.13.1"}, "3.13.0", "3.13.1", install_plan(), True),
        ({"version": "3.13.0"}, "3.13.0", "3.13.1", install_plan(), False),
        ({"version": "latest"}, "3.13.0", "3.13.1", install_plan(approved=True), False),
        ({"version": "latest"}, "3.13.0", "3.13.1", install_plan(phase="Installing"), False),
        ({"version": "latest"}, "3.13.0", "3.13.1", install_plan(current="3.12.0"), False),  # of another time
    ],
)
def test_exactly_the_plan_that_is_referenced_and_wanted_is_approved(
    options: dict[str, Any], installed: str, current: str, plan: Any, approved: bool
) -> None:
    state = {
        "subscriptions": [subscription(installed, current, "install-x", installPlanApproval="Manual")],
        "groups": [group("ops")],
        "versions": [version(installed)] if installed else [],
        "offers": {KEY: offer()} if options.get("version", "latest") != "latest" else {},
        "plans": {KEY: plan},
    }
    expected = ["update InstallPlan ops/install-x"] if approved else []
    made = planned(subject(**options), **state)
    assert lines(made) == expected
    if approved:
        assert made.changes[0].request.body["spec"] == {"approved": True}


def test_a_plan_that_is_not_referenced_is_never_approved() -> None:
    goal = Goal("quay-operator", csv("3.13.1"), exact=False, manual=True, version="latest")
    assert may_approve(goal, subscription("", "3.13.1", "install-x"), install_plan())
    assert not may_approve(goal, subscription("", "3.13.1", "install-y"), install_plan())


def test_a_plan_that_comes_up_while_reading_is_approved_by_what_was_read_last() -> None:
    goal = Goal("quay-operator", "", exact=False, manual=True, version="")
    later, plan = subscription("", "3.13.1", "install-x"), install_plan()

    class Cluster:
        def wait(self, *_arguments: Any) -> Any:
            return later

        def list_objects(self, *_arguments: Any, **_options: Any) -> Any:
            return [plan]

    cluster: Any = Cluster()
    seen, found = pending_plan(cluster, subscription("", ""), goal, float("inf"))
    assert (seen, found) == (later, plan)
    assert may_approve(goal, seen, plan)


def test_a_plan_that_installs_more_is_told() -> None:
    stored = subscription("", "3.13.1", "install-x", installPlanApproval="Manual")
    plan = install_plan("3.13.1", "RequiresApproval", False, "other.v1")
    made = planned(subject(), subscriptions=[stored], groups=[group("ops")], plans={KEY: plan})
    assert made.warnings == ["InstallPlan install-x installs other.v1, too: OLM makes one plan for a namespace."]


LABEL = {"operators.coreos.com/quay-operator.ops": ""}
OTHER = there("other", spec={"name": "other"})


@pytest.mark.parametrize(
    ("options", "state", "expected"),
    [
        ({}, {"subscriptions": [subscription()], "versions": [version("3.13.1")], "groups": [group("ops")]},
         ["delete Subscription ops/quay-operator", f"delete ClusterServiceVersion ops/{csv('3.13.1')}",
          "delete OperatorGroup ops/ops"]),
        ({}, {"versions": [version("3.13.1", labels=LABEL), version("3.12.0")]},
         [f"delete ClusterServiceVersion ops/{csv('3.13.1')}"]),
        ({}, {"subscriptions": [subscription("")], "groups": [group("ops", ours=False)]},
         ["delete Subscription ops/quay-operator"]),
        ({}, {"subscriptions": [subscription(""), OTHER], "groups": [group("ops")]},
         ["delete Subscription ops/quay-operator"]),
        ({"delete_namespace": True}, {"doomed": {"ops": []}}, ["delete Namespace ops"]),
        ({"delete_namespace": True}, {}, []),
    ],
)  # fmt: skip
def test_absent(options: dict[str, Any], state: dict[str, Any], expected: list[str]) -> None:
    assert lines(planned(subject(state="absent", **options), **state)) == expected


@pytest.mark.parametrize(
    ("options", "state", "message"),
    [
        ({}, {"groups": [group("ops"), group(name="b")]}, "ops has 2 OperatorGroups: b, ops. OLM installs nothing"),
        ({"target_namespaces": ["a"]}, {"groups": [group("ops", ours=False)]}, "is not of this collection and watches ops"),
        ({"target_namespaces": ["a"]}, {"groups": [], "offers": {KEY: offer(frozenset({"AllNamespaces"}))}},
         r"does not support SingleNamespace \(a\), only AllNamespaces. Use target_namespaces: \['\*'\]"),
        ({"version": "3.13.0"}, {"subscriptions": [subscription(installPlanApproval="Manual")],
                                 "versions": [version("3.13.1")]}, "3.13.1 is installed, and OLM does not go back to 3.13.0"),
        ({"version": "3.13.0"}, {}, "version 3.13.0 needs approval: Manual"),
        ({"version": "4", "approval": "Manual"}, {}, "has no version 4 in channel stable-3.14. There are 3.13.0, 3.13.1, 3"),
        ({"channel": "stable-3.15"}, {}, "has no channel stable-3.15. Did you mean stable-3.1"),
        ({}, {"versions": [version("3.13.1", labels=LABEL)]}, "is there without a Subscription"),
        ({}, {"subscriptions": [subscription(), there("b", spec={"name": "quay-operator"})]},
         "ops has 2 Subscriptions of quay-operator: b, quay-operator"),
        ({"state": "absent", "delete_namespace": True}, {"doomed": {"ops": ["QuayRegistry q"]}, "subscriptions": [OTHER]},
         "ops still holds Subscription other, QuayRegistry q"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any], state: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        planned(subject(**options), **{"groups": [group("ops")], "offers": {KEY: offer()}, **state})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"namespace": None}, r"operators\[0\]: namespace is missing"),
        ({"namespace": "A"}, r"operators\[0\]\.namespace: 'A' cannot be the name of a project"),
        ({"package": "Quay"}, r"operators\[0\]\.package: 'Quay' cannot be such a name"),
        ({"target_namespaces": []}, "the list is empty. Name namespaces, or"),
        ({"target_namespaces": ["*", "a"]}, "means all namespaces; leave out the others"),
        ({"delete_namespace": True}, "delete_namespace needs state: absent"),
        ({"delete_namespace": True, "state": "absent", "namespace": "openshift-operators"}, "belongs to the cluster"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(**options)


def test_an_operator_is_listed_once() -> None:
    entry = {"package": "quay-operator"}
    with pytest.raises(InputError, match=r"operators\[1\]: quay-operator in ops is listed before"):
        OlmOperators({"operators": [entry, entry], "namespace": "ops", "wait": True, "wait_timeout": 1})


def test_versions_are_ordered_as_semantic_versions() -> None:
    ordered = ["3.9.1", "3.10.0-1", "3.10.0-rc.1", "3.10.0", "3.10.1", "10.0.0"]
    assert sorted(["10.0.0", "3.10.1", "3.10.0", "3.10.0-rc.1", "3.10.0-1", "3.9.1"], key=version_key) == ordered
    assert olm_catalog.similar("stable-3.41", ["stable-3.14", "preview"]) == " Did you mean stable-3.14?"
