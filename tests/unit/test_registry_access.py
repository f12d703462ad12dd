"""What an access list means, and what is refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.access import (
    LEVELS,
    RegistryAccess,
    State,
    parse,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.bindings import Role, Subject
from ansible_collections.quayside.registry.plugins.module_utils.openshift.projects import Projects


def access(*entries: dict[str, Any], **options: Any) -> RegistryAccess:
    defaults = {"create_projects": False, "purge": False, "missing_roles": "warn", "missing_subjects": "warn"}
    return RegistryAccess({**defaults, "access": list(entries), **options})


def entry(**fields: Any) -> dict[str, Any]:
    return {"project": "demo", "level": "pull", "users": ["alice"], **fields}


@pytest.mark.parametrize(("level", "role"), LEVELS.items())
def test_a_level_is_a_cluster_role(level: str, role: str) -> None:
    (grant,) = parse(entry(level=level), "", purge=False)
    assert grant.role == Role(role, "ClusterRole")


def test_every_kind_of_subject() -> None:
    grants = parse(
        entry(
            users=["alice", "system:serviceaccount:shop:ci"],
            groups=["testers"],
            service_accounts=["puller", "shop/puller"],
            service_accounts_of=["shop"],
        ),
        "",
        purge=False,
    )
    assert [grant.subject for grant in grants] == [
        Subject("User", "alice"),
        Subject("ServiceAccount", "ci", "shop"),
        Subject("Group", "testers"),
        Subject("ServiceAccount", "puller", "demo"),
        Subject("ServiceAccount", "puller", "shop"),
        Subject("Group", "system:serviceaccounts:shop"),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"users": []}, r"access\[0\]: nobody is named"),
        ({"level": None}, r"access\[0\]: set either level \(view, pull, push, edit, admin\) or role"),
        ({"role": "edit"}, r"set either level"),
        ({"role_kind": "Role"}, r"role_kind is for role"),
        ({"project": "Demo"}, r"access\[0\]\.project: 'Demo' cannot be the name of a project"),
        ({"project": "x" * 64}, "cannot be the name of a project"),
        ({"users": [""]}, r"access\[0\]\.users: '' cannot be a name"),
        ({"groups": [" a"]}, r"access\[0\]\.groups: ' a' cannot be a name"),
        ({"service_accounts": ["shop/"]}, r"access\[0\]\.service_accounts: '' cannot be"),
        ({"service_accounts": ["/ci"]}, r"access\[0\]\.service_accounts: '' cannot be the name of a project"),
        ({"service_accounts": ["a/b/c"]}, r"access\[0\]\.service_accounts: 'a/b' cannot be the name of a project"),
        ({"service_accounts_of": ["Shop"]}, r"access\[0\]\.service_accounts_of: 'Shop'"),
        ({"level": None, "role": "a/b"}, r"access\[0\]\.role: 'a/b' cannot be the name of a role"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        access(entry(**fields))


def test_the_same_grant_present_and_absent_is_refused() -> None:
    same = entry(level=None, role="system:image-puller", state="absent")
    with pytest.raises(
        InputError, match=r"access\[0\] and access\[2\] contradict each other: .*system:image-puller.*alice"
    ):
        access(entry(), entry(level="push"), same)


def test_the_same_grant_twice_is_one() -> None:
    plan = access(entry(), entry(users=["alice", "alice"])).plan(State([], Projects()))
    assert len(plan.changes) == 1


def test_nobody_is_named_only_to_empty_a_project() -> None:
    assert access({"project": "demo"}, purge=True).projects == {"demo"}


def test_missing_projects_are_created_before_the_bindings() -> None:
    changes = access(entry()).plan(State([], Projects(("demo",)))).changes
    assert [(change.stage, change.kind) for change in changes] == [(0, "Namespace"), (1, "RoleBinding")]


@pytest.mark.parametrize("what", ["role", "subject"])
def test_what_is_missing_is_a_warning_or_an_error(what: str) -> None:
    state = State([], Projects(), **{f"missing_{what}s": ["ghost"]})
    (warning,) = access(entry()).plan(state).warnings
    assert warning.startswith(f"These {what}s do not exist") and "ghost" in warning
    with pytest.raises(InputError, match=rf"ghost.*set missing_{what}s to warn"):
        access(entry(), **{f"missing_{what}s": "fail"}).plan(state)


def test_the_result_names_the_binding_of_each_subject() -> None:
    plan = access(entry(users=["bob", "alice"])).plan(State([], Projects()))
    assert [item["subject"] for item in plan.result["access"]] == ["user bob", "user alice"]
    assert {item["binding"] for item in plan.result["access"]} == {change.name for change in plan.changes}
