"""A grant is found in whatever role binding holds it; nobody has less than before or after while roles change."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.openshift.bindings import (
    Grant,
    Role,
    Subject,
    binding_name,
    grants_of,
    plan,
    user,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY

PULL, PUSH = Role("system:image-puller"), Role("system:image-builder")
ALICE, BOB = Subject("User", "alice"), Subject("User", "bob")
PULLER = Subject("ServiceAccount", "puller", "demo")


def binding(name: str, role: Role, *subjects: Subject, ours: bool = False) -> dict[str, Any]:
    """A role binding in project demo as a LIST answers it."""
    metadata = {"name": name, "namespace": "demo", "uid": f"uid-{name}", "resourceVersion": "7"}
    if ours:
        metadata["labels"] = dict(MANAGED_BY)
    return {
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.kind, "name": role.name},
        "subjects": [subject.reference() for subject in subjects],
    }


def planned(
    bindings: list[Any], wanted: list[Grant] = (), unwanted: list[Grant] = (), purge: bool = False
) -> list[str]:
    changes, _names = plan(bindings, set(wanted), set(unwanted), purge)
    return [f"{change.stage} {change}" for change in changes]


def pull(subject: Subject) -> Grant:
    return Grant("demo", PULL, subject)


@pytest.mark.parametrize("name", ["system:image-puller", "system:image-puller-0", "anything"])
def test_a_binding_counts_whatever_its_name(name: str) -> None:
    assert planned([binding(name, PULL, ALICE)], [pull(ALICE)]) == []


def test_a_binding_of_several_subjects_counts_for_each() -> None:
    there = [binding("shared", PULL, ALICE, BOB, PULLER)]
    assert planned(there, [pull(ALICE), pull(BOB), pull(PULLER)]) == []


@pytest.mark.parametrize(
    "other",
    [
        binding("b", PUSH, ALICE),
        binding("b", Role("system:image-puller", "Role"), ALICE),
        binding("b", PULL, Subject("Group", "alice")),
        binding("b", PULL, Subject("ServiceAccount", "alice", "demo")),
        {**binding("b", PULL, ALICE), "subjects": None},
    ],
)
def test_another_role_or_subject_does_not_count(other: dict[str, Any]) -> None:
    assert planned([other], [pull(ALICE)]) == [f"1 create RoleBinding demo/{binding_name(pull(ALICE))}"]


def test_the_user_name_of_a_service_account_is_the_service_account() -> None:
    assert user("system:serviceaccount:demo:puller") == PULLER
    there = binding("b", PULL, Subject("User", "system:serviceaccount:demo:puller"))
    assert grants_of(there) == [pull(PULLER)]
    assert planned([there], [pull(PULLER)]) == []


def test_a_new_binding_has_one_subject_and_our_label() -> None:
    (change,), names = plan([], {pull(PULLER)}, set(), purge=False)
    body = change.request.body
    assert names == {pull(PULLER): body["metadata"]["name"]}
    assert body["subjects"] == [{"kind": "ServiceAccount", "name": "puller", "namespace": "demo"}]
    assert body["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:image-puller",
    }
    assert body["metadata"]["labels"] == MANAGED_BY


def test_absent_deletes_the_binding_of_the_last_subject() -> None:
    (change,), _names = plan([binding("mine", PULL, ALICE)], set(), {pull(ALICE)}, purge=False)
    assert str(change) == "delete RoleBinding demo/mine"
    assert change.request.body["preconditions"] == {"uid": "uid-mine"}


def test_absent_takes_one_subject_out_of_a_shared_binding_under_its_resource_version() -> None:
    (change,), _names = plan([binding("shared", PULL, ALICE, BOB)], set(), {pull(ALICE)}, purge=False)
    assert change.request.method == "PATCH"
    assert change.request.body == {"subjects": [BOB.reference()], "metadata": {"resourceVersion": "7"}}


def test_absent_goes_through_every_binding_that_grants() -> None:
    there = [binding("system:image-puller", PULL, ALICE), binding("x", PULL, ALICE, BOB), binding("y", PUSH, ALICE)]
    assert planned(there, unwanted=[pull(ALICE)]) == [
        "2 delete RoleBinding demo/system:image-puller",
        "2 update RoleBinding demo/x",
    ]


def test_absent_of_what_nobody_has_is_nothing() -> None:
    assert planned([binding("b", PUSH, ALICE)], unwanted=[pull(ALICE)]) == []


@pytest.mark.parametrize("purge", [False, True])
def test_a_new_role_is_granted_before_the_old_one_is_taken_away(purge: bool) -> None:
    unwanted = [] if purge else [Grant("demo", PUSH, ALICE)]
    assert planned([binding("old", PUSH, ALICE, ours=True)], [pull(ALICE)], unwanted, purge) == [
        f"1 create RoleBinding demo/{binding_name(pull(ALICE))}",
        "2 delete RoleBinding demo/old",
    ]


def test_purge_takes_only_what_is_ours_and_not_wanted() -> None:
    there = [
        binding("theirs", PULL, BOB),
        binding("ours", PULL, BOB, ALICE, ours=True),
        binding("gone", PUSH, BOB, ours=True),
        binding("empty", PULL, ours=True),
    ]
    assert planned(there, [pull(ALICE)], purge=True) == [
        "2 update RoleBinding demo/ours",
        "2 delete RoleBinding demo/gone",
        "2 delete RoleBinding demo/empty",
    ]
    assert planned(there, [pull(ALICE)]) == []


def test_a_taken_name_is_numbered() -> None:
    name = binding_name(pull(ALICE))
    there = [binding(name, PUSH, BOB), binding(f"{name}-0", PULL, BOB)]
    assert planned(there, [pull(ALICE)]) == [f"1 create RoleBinding demo/{name}-1"]


def test_names_are_readable_short_and_different() -> None:
    long = "x" * 250
    grants = [
        pull(ALICE),
        pull(Subject("User", "Alice")),
        pull(Subject("Group", "alice")),
        pull(Subject("ServiceAccount", "alice", "demo")),
        pull(Subject("ServiceAccount", "alice", "shop")),
        pull(Subject("User", "alice@example.com")),
        pull(Subject("User", "CN=Älice, O=Example/Übung %")),
        pull(Subject("User", f"{long}1")),
        pull(Subject("User", f"{long}2")),
        Grant("demo", PUSH, ALICE),
        Grant("demo", Role("system:image-puller", "Role"), ALICE),
    ]
    names = [binding_name(grant) for grant in grants]
    assert len(set(names)) == len(names)
    assert names[0].startswith("quayside-system-image-puller-user-alice-")
    assert names[4].startswith("quayside-system-image-puller-sa-shop-alice-")
    assert all(len(name) <= 100 and not set(name) & set("/% ") for name in names)
    assert names == [binding_name(grant) for grant in grants]
