"""What pods cannot pull is found on a real API server and asked again at real registries: open, private, own and unreachable."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import new_project, summaries
from pods import waiting_pod

from support import run_module
from world.external import ExternalRegistry
from world.pki import Authority
from world.world import World

Run = Callable[..., dict[str, Any]]
PASSWORD = "pull-Pa55word"
HOST = "puller.example.com:5008"
DENIED = (
    f"initializing source docker://{HOST}/team/app:1: reading manifest 1 in {HOST}/team/app: authentication required"
)
IMAGES = "/apis/config.openshift.io/v1/images/cluster"


@pytest.fixture
def run(world: World) -> Run:
    def run(**params: Any) -> dict[str, Any]:
        result = run_module("pull_failures_info", **{"kubeconfig": str(world.admin_kubeconfig), **params})
        assert not result.get("failed"), result["msg"]
        assert not result["changed"]
        return result

    return run


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


@pytest.fixture(scope="module")
def private(world: World) -> Iterator[ExternalRegistry]:
    """A registry with a password and a CA that only the cluster's image configuration names."""
    authority = Authority.create("A private CA")
    pair = authority.server([HOST.partition(":")[0]])
    certificate = (pair.certificate.decode(), pair.key.decode())
    admin = world.plane.admin
    ca = {"metadata": {"name": "pull-ca"}, "data": {HOST.replace(":", ".."): authority.certificate.decode()}}
    admin.request("POST", "/api/v1/namespaces/openshift-config/configmaps", ca)
    admin.request("PATCH", IMAGES, {"spec": {"additionalTrustedCA": {"name": "pull-ca"}}})
    with ExternalRegistry(HOST, certificate, {"puller": PASSWORD}) as registry:
        registry.push("team/app", "1")
        yield registry
    admin.request("PATCH", IMAGES, {"spec": {"additionalTrustedCA": None}})
    admin.request("DELETE", "/api/v1/namespaces/openshift-config/configmaps/pull-ca")


def pull_secret(world: World, project: str, name: str, config: str) -> None:
    body = {
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }
    world.plane.admin.request("POST", f"/api/v1/namespaces/{project}/secrets", body)


def test_a_cluster_on_which_nothing_fails_is_asked_once(run: Run, world: World, project: str) -> None:
    mark = world.mark()
    result = run()
    assert (result["failures"], result["causes"]) == ([], {})
    assert [(item.verb, item.uri.partition("?")[0]) for item in world.requests(mark)] == [("list", "/api/v1/pods")]


def test_an_image_is_listed_once_for_all_pods_and_an_event_tells_why(run: Run, world: World, project: str) -> None:
    message = (
        "rpc error: code = Unknown desc = Error reading manifest latest in docker.io/acme/app: toomanyrequests: You"
    )
    message += " have reached your pull rate limit."
    old = [waiting_pod(world, project, "acme/app", message, in_event=True) for _number in range(2)]
    new = waiting_pod(world, project, "acme/app", message)
    result = run(namespaces=[project], verify=False)
    assert result["causes"] == {"rate_limit": 1}
    (failure,) = result["failures"]
    assert failure["registry"] == "docker.io"
    assert [pod["name"] for pod in failure["pods"]] == sorted([*old, new])
    assert failure["evidence"].startswith("Error reading manifest latest in docker.io/acme/app: toomanyrequests")
    assert failure["remedy"]["playbook"] == "quayside.registry.pull_secrets"
    assert failure["remedy"]["variable"] == "pull_secrets_secrets"
    assert failure["check"] is None


def test_missing_wrong_and_right_credentials_are_told_apart_by_asking_the_registry(
    run: Run, world: World, project: str, private: ExternalRegistry
) -> None:
    image = f"{HOST}/team/app:1"
    pod = waiting_pod(world, project, image, DENIED)
    (failure,) = run(namespaces=[project])["failures"]
    assert failure["cause"] == "credentials_missing"
    assert failure["check"]["refused"] == ["nobody"]
    assert "Without a login the registry refuses it." in failure["notes"]
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{project}/pods/{pod}?gracePeriodSeconds=0")

    pull_secret(world, project, "wrong", private.auth_config("puller", "wrong-Pa55word"))
    waiting_pod(world, project, image, DENIED, ["wrong", "nosuch"])
    (failure,) = run(namespaces=[project])["failures"]
    assert failure["cause"] == "credentials_wrong"
    assert failure["check"]["refused"] == [f"Secret {project}/wrong"]
    assert any("pull secret nosuch, which does not exist" in note for note in failure["notes"])

    pull_secret(world, project, "right", private.auth_config("puller"))
    accounts = f"/api/v1/namespaces/{project}/serviceaccounts/default"
    world.plane.admin.request("PATCH", accounts, {"imagePullSecrets": [{"name": "right"}]})
    (failure,) = run(namespaces=[project])["failures"]
    assert any(f"has Secret {project}/right by now" in note for note in failure["notes"])
    waiting_pod(world, project, image, DENIED, ["right"])
    result = run(namespaces=[project])
    (failure,) = result["failures"]
    assert len(failure["pods"]) == 2
    assert f"With Secret {project}/wrong the registry refuses it." in failure["notes"]
    assert f"Asked again now, the image can be pulled with Secret {project}/right." in failure["notes"]
    assert PASSWORD not in str(result) and "wrong-Pa55word" not in str(result)


def test_a_missing_image_is_found_missing_although_its_registry_said_denied(
    run: Run, world: World, project: str, private: ExternalRegistry
) -> None:
    pull_secret(world, project, "right", private.auth_config("puller"))
    waiting_pod(world, project, f"{HOST}/team/app:2", DENIED, ["right"])
    (failure,) = run(namespaces=[project])["failures"]
    assert failure["cause"] == "image_missing"
    assert failure["check"]["exists"] is False
    assert failure["remedy"]["variable"] == "promote_images_images"


def test_an_image_of_another_project_needs_access_and_not_a_secret(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    with new_project(world) as images:
        stream = {"name": "app", "namespace": images, "tags": [{"name": "v1", "from": "ghcr.io/acme/app:1.4"}]}
        run_module("image_streams", image_streams=[stream], **connection)
        image = f"{world.internal_host}/{images}/app:v1"
        waiting_pod(world, project, image, f"reading manifest v1 in {image}: authentication required")
        (failure,) = run(namespaces=[project])["failures"]
        assert failure["cause"] == "access"
        assert failure["check"]["exists"] is True
        assert (failure["remedy"]["playbook"], failure["remedy"]["variable"]) == (
            "quayside.registry.builders",
            "builders_access",
        )
        access = [{"project": images, "level": "pull", "service_accounts_of": [project]}]
        assert summaries(run_module("registry_access", access=access, **connection))
        (failure,) = run(namespaces=[project])["failures"]
        assert failure["check"]["allowed"] is True


def test_a_registry_that_cannot_be_reached_is_no_failure_of_the_module(run: Run, world: World, project: str) -> None:
    waiting_pod(
        world,
        project,
        "nosuch.example.net/app:1",
        'pinging container registry nosuch.example.net: Get "https://nosuch.example.net/v2/": dial tcp 10.0.0.5:443: i/o'
        " timeout",
    )
    waiting_pod(world, project, "App:1", "", reason="InvalidImageName")
    result = run(namespaces=[project])
    assert result["causes"] == {"invalid_name": 1, "network": 1}
    network = next(failure for failure in result["failures"] if failure["cause"] == "network")
    assert "nosuch.example.net cannot be resolved here" in network["check"]["problem"]


def test_without_the_right_to_read_secrets_missing_and_wrong_are_not_told_apart(world: World) -> None:
    with new_project(world, "pulls-of-viewer"):
        admin = world.plane.admin
        admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": "pulls-of-viewer"}})
        binding = {
            "metadata": {"name": "view"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "developer"}],
        }
        admin.request("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/pulls-of-viewer/rolebindings", binding)
        waiting_pod(world, "pulls-of-viewer", "registry.example.net/app:1", DENIED)
        connection = {"kubeconfig": str(world.kubeconfig("developer"))}
        result = run_module("pull_failures_info", namespaces=["pulls-of-viewer"], verify=False, **connection)
        assert result["causes"] == {"credentials": 1}
        refused = run_module("pull_failures_info", **connection)
        assert refused["failed"] and "list pods" in refused["msg"]


def test_an_empty_list_of_namespaces_is_refused(world: World) -> None:
    result = run_module("pull_failures_info", namespaces=[], kubeconfig=str(world.admin_kubeconfig))
    assert result["failed"] and result["msg"].startswith("namespaces: the list is empty")
