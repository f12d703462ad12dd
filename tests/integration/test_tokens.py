"""Tokens of service accounts: of the life asked for, or lasting, and accepted by the API server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from clusters import new_project, path

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster, connect
from ansible_collections.quayside.registry.plugins.module_utils.openshift.tokens import read_token_secret, request_token
from support import run_module
from world.world import World


@pytest.fixture
def cluster(world: World) -> Iterator[Cluster]:
    with connect({"kubeconfig": str(world.admin_kubeconfig)}) as cluster:
        yield cluster


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        run_module(
            "service_accounts",
            kubeconfig=str(world.admin_kubeconfig),
            namespace=name,
            service_accounts=[{"name": "ci", "token_secret": "ci-token"}, {"name": "other"}],
        )
        yield name


def who(world: World, token: str) -> str:
    """Whose token the API server says it is; empty if nobody's."""
    review = {"spec": {"token": token}}
    status = world.plane.admin.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    return str(status["user"]["username"]) if status.get("authenticated") else ""


def test_a_bound_token_has_the_life_asked_for(cluster: Cluster, world: World, project: str) -> None:
    token = request_token(cluster, project, "ci", 1200)
    assert who(world, token.value) == f"system:serviceaccount:{project}:ci"
    assert token.expires_at is not None and abs(token.expires_at - time.time() - 1200) < 60
    assert token.value not in repr(token)


def test_a_token_for_another_audience_is_not_the_clusters(cluster: Cluster, world: World, project: str) -> None:
    assert who(world, request_token(cluster, project, "ci", 600, ["elsewhere"]).value) == ""


@pytest.mark.parametrize("seconds", [599, 0, -1, 2**32 + 1])
def test_an_impossible_life_is_refused(cluster: Cluster, seconds: int) -> None:
    with pytest.raises(InputError, match=f"expires_in: {seconds} seconds is not possible"):
        request_token(cluster, "default", "default", seconds)


@pytest.mark.parametrize("namespace", ["default", "no-such-project"])
def test_an_account_that_does_not_exist_is_named(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(
        RegistryError, match=rf"no service account ghost in project {namespace}.*quayside\.registry\.service_accounts"
    ):
        request_token(cluster, namespace, "ghost", 600)


def test_the_token_of_a_secret_lasts(cluster: Cluster, world: World, project: str) -> None:
    token = read_token_secret(cluster, project, "ci-token", time.monotonic() + 10)
    assert who(world, token.value) == f"system:serviceaccount:{project}:ci"
    assert token.expires_at is None


def test_the_token_of_a_new_secret_is_awaited(cluster: Cluster, world: World, project: str) -> None:
    secret = {
        "metadata": {"name": "new", "annotations": {"kubernetes.io/service-account.name": "other"}},
        "type": "kubernetes.io/service-account-token",
    }
    world.plane.admin.request("POST", path("secrets", project), secret)
    token = read_token_secret(cluster, project, "new", time.monotonic() + 10)
    assert who(world, token.value) == f"system:serviceaccount:{project}:other"


def test_a_secret_without_a_token_is_named(cluster: Cluster, world: World, project: str) -> None:
    with pytest.raises(RegistryError, match=f"There is no Secret {project}/none to take a token from"):
        read_token_secret(cluster, project, "none", time.monotonic())
    world.plane.admin.request("POST", path("secrets", project), {"metadata": {"name": "opaque"}})
    with pytest.raises(
        InputError, match=f"Secret {project}/opaque holds no token of a service account: its type is Opaque"
    ):
        read_token_secret(cluster, project, "opaque", time.monotonic())
