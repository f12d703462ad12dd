"""Access to images on a real API server, which decides by these very bindings who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import names, new_project, path, read, summaries

from support import run_module
from world.world import World

Run = Callable[..., dict[str, Any]]
PULL, PUSH = "system:image-puller", "system:image-builder"


@pytest.fixture
def run(world: World) -> Run:
    def run(*access: dict[str, Any], **params: Any) -> dict[str, Any]:
        connection = {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("registry_access", access=list(access), **{**connection, **params})

    return run


@pytest.fixture
def developer(world: World) -> dict[str, Any]:
    """The connection of an ordinary user."""
    return {"kubeconfig": str(world.kubeconfig("developer"))}


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


def may(world: World, verb: str, namespace: str, user: str, subresource: str = "layers", *groups: str) -> bool:
    """What the API server says of a user's rights on image streams: its registry asks exactly this."""
    attributes = {
        "verb": verb,
        "group": "image.openshift.io",
        "resource": "imagestreams",
        "subresource": subresource,
        "namespace": namespace,
        "name": "app",
    }
    spec = {"user": user, "groups": list(groups), "resourceAttributes": attributes}
    answer = world.plane.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(answer["status"]["allowed"])


def bind(world: World, namespace: str, name: str, role: str, *subjects: dict[str, str]) -> None:
    """A binding as `oc policy add-role-to-user` makes it."""
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }
    world.plane.admin.request("POST", path("rolebindings", namespace), body)


def ours(world: World, namespace: str) -> set[str]:
    return {name for name in names(world, "rolebindings", namespace) if name.startswith("quayside-")}


def user(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}


def test_check_mode_predicts_the_run_and_a_second_run_changes_nothing(run: Run, world: World, project: str) -> None:
    wanted = [
        {"project": project, "level": "push", "service_accounts": ["ci"]},
        {"project": project, "level": "pull", "users": ["alice"], "service_accounts_of": ["shop"]},
    ]
    predicted = run(*wanted, check=True)
    assert ours(world, project) == set()
    done = run(*wanted)
    assert summaries(predicted) == summaries(done)
    assert len(summaries(done)) == 3
    assert ours(world, project) == {item["binding"] for item in done["access"]}
    assert summaries(run(*wanted)) == []
    ci = f"system:serviceaccount:{project}:ci"
    assert may(world, "update", project, ci) and may(world, "create", project, ci, "")
    assert may(world, "get", project, "alice") and not may(world, "update", project, "alice")
    assert may(world, "get", project, "somebody", "layers", "system:serviceaccounts:shop")


@pytest.mark.parametrize(
    ("level", "pulls", "pushes", "creates", "deletes"),
    [
        ("view", True, False, False, False),
        ("pull", True, False, False, False),
        ("push", True, True, True, False),
        ("edit", True, True, True, True),
        ("admin", True, True, True, True),
    ],
)
def test_levels(
    run: Run, world: World, project: str, level: str, pulls: bool, pushes: bool, creates: bool, deletes: bool
) -> None:
    run({"project": project, "level": level, "users": ["alice"]})
    rights = [
        may(world, "get", project, "alice"),
        may(world, "update", project, "alice"),
        may(world, "create", project, "alice", ""),
        may(world, "delete", project, "alice", ""),
    ]
    assert rights == [pulls, pushes, creates, deletes]


def test_what_oc_bound_counts_and_is_not_doubled(run: Run, world: World, project: str) -> None:
    bind(world, project, PULL, PULL, user("alice"))
    bind(world, project, f"{PULL}-0", PULL, {"kind": "ServiceAccount", "name": "ci", "namespace": project})
    bind(world, project, "shared", PUSH, user("alice"), user("bob"))
    result = run(
        {"project": project, "level": "pull", "users": ["alice"], "service_accounts": ["ci"]},
        {"project": project, "level": "push", "users": ["bob", "alice"]},
    )
    assert summaries(result) == []
    assert [item["binding"] for item in result["access"]] == [PULL, f"{PULL}-0", "shared", "shared"]


def test_absent_takes_a_subject_out_of_a_shared_binding_and_deletes_the_last(
    run: Run, world: World, project: str
) -> None:
    bind(world, project, "shared", PULL, user("alice"), user("bob"))
    bind(world, project, PULL, PULL, user("alice"))
    gone = {"project": project, "level": "pull", "users": ["alice"], "state": "absent"}
    assert sorted(summaries(run(gone))) == [f"delete RoleBinding {PULL}", "update RoleBinding shared"]
    assert read(world, "rolebindings", project, "shared")["subjects"] == [user("bob")]
    assert not may(world, "get", project, "alice") and may(world, "get", project, "bob")
    assert summaries(run(gone)) == []


def test_a_change_of_level_never_leaves_less_than_before_or_after(
    run: Run, world: World, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    run({"project": project, "level": "push", "users": ["alice"]})
    write, rights = Cluster.write, []

    def watched(self: Cluster, change: Any) -> Any:
        answer = write(self, change)
        rights.append((change.action, may(world, "get", project, "alice")))
        return answer

    monkeypatch.setattr(Cluster, "write", watched)
    run({"project": project, "level": "pull", "users": ["alice"]}, purge=True)
    assert rights == [("create", True), ("delete", True)]
    assert not may(world, "update", project, "alice")


def test_purge_leaves_what_others_bound(run: Run, world: World, project: str) -> None:
    bind(world, project, "theirs", PULL, user("bob"))
    run({"project": project, "level": "pull", "users": ["alice"]})
    assert len(summaries(run({"project": project}, purge=True))) == 1
    assert may(world, "get", project, "bob") and not may(world, "get", project, "alice")


def test_missing_roles_and_subjects_are_warned_of_or_refused(run: Run, world: World, project: str) -> None:
    wanted = {"project": project, "role": "nosuch", "users": ["ghost"], "groups": ["ghosts"], "service_accounts": ["x"]}
    wanted["service_accounts_of"] = ["no-such-project"]
    role = "These roles do not exist, so that a binding to them has no effect: ClusterRole nosuch."
    subjects = (
        "These subjects do not exist, so that a binding to them has no effect: group ghosts, service account"
        f" {project}/x, user ghost, project no-such-project (all its service accounts)."
    )
    assert run(wanted, check=True)["warnings"] == [role, subjects]
    assert run(wanted, missing_roles="fail")["msg"].startswith(role)
    assert run(wanted, missing_subjects="fail")["msg"].startswith(subjects)
    assert "warnings" not in run(wanted, missing_roles="ignore", missing_subjects="ignore", check=True)
    assert ours(world, project) == set()


def test_a_role_of_the_project(run: Run, world: World, project: str) -> None:
    wanted = {"project": project, "role": "lister", "role_kind": "Role", "users": ["alice"]}
    missing = f"Role {project}/lister"
    assert missing in run(wanted, missing_roles="fail")["msg"]
    rules = [{"apiGroups": ["image.openshift.io"], "resources": ["imagestreams"], "verbs": ["list"]}]
    world.plane.admin.request("POST", path("roles", project), {"metadata": {"name": "lister"}, "rules": rules})
    assert len(summaries(run(wanted, missing_roles="fail"))) == 1
    assert may(world, "list", project, "alice", "")


def test_missing_projects_are_one_error_or_created(run: Run, world: World) -> None:
    wanted = [{"project": name, "level": "pull", "groups": ["system:authenticated"]} for name in ("new-c", "new-d")]
    assert run(*wanted)["msg"].startswith("Projects new-c, new-d do not exist")
    with new_project(world, "new-c", "new-d"):
        assert [line.split()[1] for line in summaries(run(*wanted, create_projects=True))].count("Namespace") == 2
        assert summaries(run(*wanted)) == []


def test_a_projects_administrator_grants_what_he_holds(
    run: Run, world: World, project: str, developer: dict[str, Any]
) -> None:
    # may write role bindings, but holds none of the rights of system:image-builder
    rules = [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"], "verbs": ["create", "get", "list"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["get"]},
    ]
    world.plane.admin.request("POST", path("roles", project), {"metadata": {"name": "binder"}, "rules": rules})
    binding = {
        "metadata": {"name": "binder"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "binder"},
        "subjects": [user("developer")],
    }
    world.plane.admin.request("POST", path("rolebindings", project), binding)
    push = {"project": project, "level": "push", "users": ["bob"]}
    refused = run(push, **developer)
    assert "attempting to grant RBAC permissions not currently held" in refused["msg"]
    assert "can grant the role edit instead of system:image-builder" in refused["msg"]
    assert "\n" not in refused["msg"]
    bind(world, project, "admin", "admin", user("developer"))
    granted = run({"project": project, "role": "edit", "users": ["bob"]}, **developer)
    assert len(summaries(granted)) == 1
    assert granted["unchecked"] == ["users"]
    assert may(world, "update", project, "bob")


def test_a_user_without_rights_is_told(run: Run, project: str, developer: dict[str, Any]) -> None:
    result = run({"project": project, "level": "pull", "users": ["bob"]}, **developer)
    assert result["msg"].startswith(f"Project {project} does not exist, or you may not see it")


def test_five_hundred_in_a_second_run_cost_few_requests(run: Run, world: World, project: str) -> None:
    accounts = [{"name": f"ci-{number}"} for number in range(500)]
    connection = {"kubeconfig": str(world.admin_kubeconfig), "namespace": project}
    made = run_module("service_accounts", service_accounts=accounts, **connection)
    assert len(summaries(made)) == 500
    wanted = [{"project": project, "level": "pull", "service_accounts": [account["name"]]} for account in accounts]
    assert len(summaries(run(*wanted))) == 500
    mark = world.mark()
    assert summaries(run_module("service_accounts", service_accounts=accounts, **connection)) == []
    assert summaries(run(*wanted)) == []
    assert sorted(f"{item.verb} {item.uri.rpartition('/')[2]}" for item in world.requests(mark)) == [
        "get system:image-puller",
        "list rolebindings",
        "list serviceaccounts",
        "list serviceaccounts",
    ]
