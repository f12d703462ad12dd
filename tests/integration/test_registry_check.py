"""Proofs against the cluster's registry: what RBAC allows a token is what the check finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clusters import new_project

from support import run_module
from world.world import World


class Project:
    """A project with a builder, a pusher and a puller, and checks with their tokens."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        connection: dict[str, Any] = {"kubeconfig": str(world.admin_kubeconfig)}
        run_module("image_registry", **connection, default_route=True)
        found = run_module("router_ca_info", **connection, hosts=[world.registry_host])
        self.authority = found["registries"][0]["ca_certificates"]
        accounts = ["builder", "pusher", "puller"]
        run_module(
            "service_accounts",
            **connection,
            namespace=name,
            service_accounts=[{"name": account} for account in accounts],
        )
        access = [
            {"project": name, "level": "push", "service_accounts": ["builder"]},
            {"project": name, "role": "system:image-pusher", "service_accounts": ["pusher"]},
            {"project": name, "level": "pull", "service_accounts": ["puller"]},
        ]
        result = run_module("registry_access", **connection, access=access)
        assert "msg" not in result, result
        self.tokens = {account: world.service_account_token(name, account) for account in accounts}
        self.trust("present")

    def trust(self, state: str) -> None:
        registry = {"host": self.world.registry_host, "ca_certificates": self.authority, "state": state}
        run_module("certs_d", registries=[registry])

    def step(self, account: str, action: str, repository: str = "app", **options: Any) -> dict[str, Any]:
        path = repository if "/" in repository else f"{self.name}/{repository}"
        return {"username": account, "password": self.tokens[account], "action": action, "repository": path, **options}

    def check(self, *steps: dict[str, Any], check: bool = False) -> dict[str, Any]:
        return run_module("registry_check", check=check, host=self.world.registry_host, checks=list(steps))

    def outcomes(self, *steps: dict[str, Any]) -> list[str]:
        return [step["outcome"] for step in self.check(*steps)["checks"]]


@pytest.fixture
def project(world: World) -> Iterator[Project]:
    with new_project(world) as name:
        project = Project(world, name)
        yield project
        project.trust("absent")


def test_rights_are_what_rbac_says(project: Project) -> None:
    result = project.check(
        project.step("pusher", "push", expect="refused"),  # may not create the image stream
        project.step("builder", "push"),
        project.step("pusher", "push"),
        project.step("puller", "pull"),
        project.step("puller", "push", expect="refused"),
        project.step("builder", "push", "default/app", expect="refused"),
        project.step("puller", "pull", "default/app", expect="refused"),
    )
    assert "msg" not in result, result
    assert [step["outcome"] for step in result["checks"]] == [
        "refused", "allowed", "allowed", "allowed", "refused", "refused", "refused",
    ]  # fmt: skip
    assert result["tls"]["verified"]
    assert all(step["reason"] for step in result["checks"] if step["outcome"] == "refused")
    assert not any(token in str(result["checks"]) for token in project.tokens.values())


def test_check_mode_predicts_the_push_and_the_second_changes_nothing(project: Project) -> None:
    steps = [project.step("builder", "push"), project.step("builder", "pull")]
    predicted = project.check(*steps, check=True)
    made = project.check(*steps)
    assert made["changes"][0]["name"] == f"{project.world.registry_host}/{project.name}/app:quayside-check"
    assert (predicted["changes"], predicted["diff"]) == (made["changes"], made["diff"])
    assert project.check(*steps)["changes"] == []


def test_the_registry_does_not_delete(project: Project) -> None:
    """A builder is refused; who may delete images is told that this is not the way."""
    admin, bindings = project.world.plane.admin, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    subject = {"kind": "ServiceAccount", "namespace": project.name, "name": "pusher"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    name = f"{project.name}-deletes"
    admin.request("POST", bindings, {"metadata": {"name": name}, "subjects": [subject], "roleRef": role})
    try:
        result = project.check(
            project.step("builder", "push"),
            project.step("builder", "delete", expect="refused"),
            project.step("pusher", "delete"),
        )
    finally:
        admin.request("DELETE", f"{bindings}/{name}")
    assert [step["outcome"] for step in result["checks"]] == ["allowed", "refused", "unsupported"]
    assert "failed" not in result


def test_without_trust_nothing_is_proven(project: Project) -> None:
    project.trust("absent")
    result = project.check(project.step("puller", "push", expect="refused"))
    assert "is not trusted here: x509" in result["msg"]
    assert "quayside.registry.certs_d" in result["msg"]
    assert result["checks"] == []


def test_an_expectation_that_is_not_met_fails(project: Project) -> None:
    result = project.check(project.step("puller", "push"))
    assert result["failed"]
    assert f"push {project.name}/app as puller: refused (" in result["msg"]
