"""Service accounts on a real API server: as an administrator and as an ordinary user, beside what others write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import names, new_project, path, read, summaries

from support import run_module
from world.world import World

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(world: World) -> Run:
    def run(*service_accounts: dict[str, Any], **params: Any) -> dict[str, Any]:
        connection = {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("service_accounts", service_accounts=list(service_accounts), **{**connection, **params})

    return run


@pytest.fixture
def developer(world: World) -> dict[str, Any]:
    """The connection of an ordinary user."""
    return {"kubeconfig": str(world.kubeconfig("developer"))}


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


def test_check_mode_predicts_the_run_and_a_second_run_changes_nothing(run: Run, world: World, project: str) -> None:
    wanted = [{"name": "ci", "labels": {"team": "a"}}, {"name": "puller", "pull_secrets": ["quay"]}]
    predicted = run(*wanted, namespace=project, check=True)
    assert "ci" not in names(world, "serviceaccounts", project)
    done = run(*wanted, namespace=project)
    assert summaries(predicted) == summaries(done) == ["create ServiceAccount ci", "create ServiceAccount puller"]
    assert predicted["diff"] == done["diff"]
    assert predicted["service_accounts"] == done["service_accounts"]
    assert read(world, "serviceaccounts", project, "ci")["metadata"]["labels"]["team"] == "a"
    assert read(world, "serviceaccounts", project, "puller")["imagePullSecrets"] == [{"name": "quay"}]
    assert summaries(run(*wanted, namespace=project)) == []


def test_links_are_merged_with_those_of_others(run: Run, world: World, project: str) -> None:
    run({"name": "ci", "pull_secrets": ["one"], "mount_secrets": ["one"]}, namespace=project)
    account = path("serviceaccounts", project, "ci")
    world.plane.admin.request("PATCH", account, {"imagePullSecrets": [{"name": "one"}, {"name": "theirs"}]})
    result = run({"name": "ci", "pull_secrets": ["two"], "unlink_secrets": ["one"]}, namespace=project)
    assert summaries(result) == ["update ServiceAccount ci"]
    there = read(world, "serviceaccounts", project, "ci")
    assert there["imagePullSecrets"] == [{"name": "theirs"}, {"name": "two"}]
    assert not there.get("secrets")
    assert result["service_accounts"][0]["pull_secrets"] == ["theirs", "two"]


def test_a_token_secret_is_filled_when_the_module_returns(run: Run, world: World, project: str) -> None:
    wanted = {"name": "ci", "token_secret": "ci-token"}
    result = run(wanted, namespace=project)
    assert summaries(result) == ["create ServiceAccount ci", "create Secret ci-token"]
    token = read(world, "secrets", project, "ci-token")["data"]["token"]
    assert token not in str(result)
    assert summaries(run(wanted, namespace=project)) == []
    gone = run({**wanted, "state": "absent"}, namespace=project)
    assert sorted(summaries(gone)) == ["delete Secret ci-token", "delete ServiceAccount ci"]
    assert token not in str(gone)
    assert summaries(run({**wanted, "state": "absent"}, namespace=project)) == []


def test_a_secret_of_another_kind_is_not_overwritten(run: Run, world: World, project: str) -> None:
    world.plane.admin.request("POST", path("secrets", project), {"metadata": {"name": "taken"}})
    result = run({"name": "ci", "token_secret": "taken"}, namespace=project)
    assert "a Secret of that name exists (Opaque). Choose another name." in result["msg"]
    assert "ci" not in names(world, "serviceaccounts", project)


def test_purge_deletes_ours_that_are_not_listed_and_nothing_else(run: Run, world: World, project: str) -> None:
    run({"name": "ci"}, {"name": "gone", "token_secret": "gone-token"}, namespace=project)
    world.plane.admin.request("POST", path("serviceaccounts", project), {"metadata": {"name": "theirs"}})
    assert summaries(run({"name": "ci"}, namespace=project)) == []
    purged = run({"name": "ci"}, namespace=project, purge=True)
    assert sorted(summaries(purged)) == ["delete Secret gone-token", "delete ServiceAccount gone"]
    assert {"ci", "theirs"} <= names(world, "serviceaccounts", project)
    assert "gone" not in names(world, "serviceaccounts", project)
    assert summaries(run({"name": "ci"}, namespace=project, purge=True)) == []
    assert summaries(run(namespace=project, purge=True)) == ["delete ServiceAccount ci"]


def test_missing_projects_are_one_error_or_created(run: Run, world: World) -> None:
    wanted = [
        {"name": "ci", "namespace": "new-a"},
        {"name": "ci", "namespace": "new-b"},
        {"name": "x", "namespace": "default"},
    ]
    refused = run(*wanted)
    assert refused["msg"].startswith("Projects new-a, new-b do not exist")
    assert "create_projects" in refused["msg"]
    assert "x" not in names(world, "serviceaccounts", "default")
    with new_project(world, "new-a", "new-b"):
        created = run(*wanted[:2], create_projects=True)
        assert sorted(summaries(created)) == [
            "create Namespace new-a",
            "create Namespace new-b",
            "create ServiceAccount ci",
            "create ServiceAccount ci",
        ]
        assert summaries(run(*wanted[:2])) == []


def test_a_project_that_is_being_deleted_is_named(run: Run, world: World, project: str) -> None:
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    world.plane.admin.request("POST", path("configmaps", project), held)
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{project}")
    result = run({"name": "ci"}, namespace=project)
    world.plane.admin.request("PATCH", path("configmaps", project, "held"), {"metadata": {"finalizers": None}})
    assert "is being" in result["msg"] and "Run again when" in result["msg"]


def test_an_ordinary_user_gets_a_project_by_request(run: Run, world: World, developer: dict[str, Any]) -> None:
    wanted = {"name": "ci", "namespace": "developers-own", "token_secret": "ci-token"}
    with new_project(world, "developers-own"):
        predicted = run(wanted, **developer, create_projects=True, check=True)
        done = run(wanted, **developer, create_projects=True)
        assert summaries(predicted) == summaries(done)
        assert summaries(done)[0] == "create ProjectRequest developers-own"
        assert summaries(run(wanted, **developer, create_projects=True)) == []


def test_an_ordinary_user_is_told_of_what_is_not_his(run: Run, project: str, developer: dict[str, Any]) -> None:
    wanted = {"name": "ci", "namespace": project}
    assert f"Project {project} does not exist, or you may not see it" in run(wanted, **developer)["msg"]
    taken = run(wanted, **developer, create_projects=True)
    assert f'"{project}" already exists. If it is somebody else\'s, choose another name' in taken["msg"]
    gone = run({**wanted, "state": "absent"}, **developer)
    assert gone["warnings"] == [f"Project {project} does not exist, or you may not see it: nothing is removed there."]


def test_a_user_who_may_not_request_projects_is_told(run: Run, world: World, developer: dict[str, Any]) -> None:
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/self-provisioners"
    subjects = world.plane.admin.request("GET", binding)["subjects"]
    world.plane.admin.request("PATCH", binding, {"subjects": []})
    try:
        result = run({"name": "ci", "namespace": "not-given"}, **developer, create_projects=True, check=True)
    finally:
        world.plane.admin.request("PATCH", binding, {"subjects": subjects})
    assert "Could not create a project: You may not request a new project via this API." in result["msg"]


def test_links_survive_somebody_who_writes_at_the_same_time(
    run: Run, world: World, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    run({"name": "ci"}, namespace=project)
    account = path("serviceaccounts", project, "ci")
    write = Cluster.write
    interfered: list[str] = []

    def late(self: Cluster, change: Any) -> Any:
        if not interfered:
            interfered.append(account)
            world.plane.admin.request("PATCH", account, {"imagePullSecrets": [{"name": "theirs"}]})
        return write(self, change)

    monkeypatch.setattr(Cluster, "write", late)
    assert summaries(run({"name": "ci", "pull_secrets": ["ours"]}, namespace=project)) == ["update ServiceAccount ci"]
    assert read(world, "serviceaccounts", project, "ci")["imagePullSecrets"] == [{"name": "theirs"}, {"name": "ours"}]


def test_many_accounts_in_many_projects_cost_one_request_when_they_are_there(run: Run, world: World) -> None:
    projects = [f"many-{number}" for number in range(12)]
    wanted = [{"name": f"ci-{number}", "namespace": name} for name in projects for number in range(5)]
    with new_project(world, *projects):
        run(*wanted, create_projects=True)
        mark = world.mark()
        assert summaries(run(*wanted)) == []
        assert [f"{item.verb} {item.uri}" for item in world.requests(mark)] == ["list /api/v1/serviceaccounts"]
