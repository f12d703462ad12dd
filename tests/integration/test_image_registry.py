"""The image registry's configuration on a real API server, with its operator and a router at work."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import path, read, summaries

from support import run_module
from world.controlplane import ControlPlane
from world.world import World

Run = Callable[..., dict[str, Any]]
NAMESPACE = "openshift-image-registry"
CONFIG = "/apis/imageregistry.operator.openshift.io/v1/configs/cluster"
IMAGE = "/apis/config.openshift.io/v1/images/cluster"
ROUTES = "/apis/route.openshift.io/v1/namespaces/{}/routes"
MANAGED = {"management_state": "Managed", "storage": {"emptyDir": {}}, "replicas": 1}


@pytest.fixture
def run(world: World) -> Run:
    def run(**params: Any) -> dict[str, Any]:
        connection = {} if "host" in params else {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("image_registry", **{"wait_timeout": 30, **connection, **params})

    return run


@pytest.fixture(autouse=True)
def a_running_registry_without_routes(run: Run, world: World) -> Iterator[None]:
    """What each test starts with; in the end the default route is as other tests left it."""
    exposed = bool(spec(world).get("defaultRoute"))
    clean = {**MANAGED, "routes": [], "purge_routes": True}
    summaries(run(**clean, default_route=False))
    yield
    summaries(run(**clean, default_route=exposed))


def spec(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.plane.admin.request("GET", CONFIG)["spec"]
    return found


def published(world: World) -> list[str]:
    return world.plane.admin.request("GET", IMAGE)["status"].get("externalRegistryHostnames") or []


def routes(world: World) -> dict[str, Any]:
    items = world.plane.admin.request("GET", ROUTES.format(NAMESPACE))["items"]
    return {item["metadata"]["name"]: item for item in items}


# Exposing


def test_check_mode_predicts_the_run_and_a_second_run_only_reads(run: Run, world: World) -> None:
    predicted = run(default_route=True, check=True)
    assert not routes(world)
    done = run(default_route=True)
    assert summaries(predicted) == summaries(done) == ["update Config cluster"]
    assert predicted["diff"] == done["diff"]
    assert predicted["default_host"] == done["default_host"] == world.registry_host
    assert predicted["hosts"] == done["hosts"] == published(world) == [world.registry_host]
    assert done["routes"] == [{"name": "default-route", "host": world.registry_host, "admitted": True, "message": ""}]
    mark = world.mark()
    again = run(default_route=True)
    assert summaries(again) == []
    assert again["hosts"] == [world.registry_host]
    assert sorted(request.verb for request in world.requests(mark)) == ["get", "get", "list"]


def test_when_it_returns_the_route_is_gone(run: Run, world: World) -> None:
    run(default_route=True)
    hidden = run(default_route=False)
    assert summaries(hidden) == ["update Config cluster"]
    assert (hidden["default_host"], hidden["hosts"], hidden["routes"]) == (None, [], [])
    assert routes(world) == {}
    assert published(world) == []


def test_without_wait_it_returns_what_is_to_be_expected(run: Run, world: World) -> None:
    mark = world.mark()
    result = run(default_route=True, wait=False)
    assert result["hosts"] == [world.registry_host]
    assert [request.verb for request in world.requests(mark)][-1] == "patch"
    assert len(world.requests(mark)) == 5


def test_the_diff_shows_the_change_and_no_secret(run: Run, world: World) -> None:
    (shown,) = run(default_route=True)["diff"]
    assert '"defaultRoute": true' in shown["after"]
    assert '"defaultRoute": true' not in shown["before"]
    assert spec(world)["httpSecret"] not in str(shown)


# Routes of one's own


def test_route_with_a_certificate_is_made_rotated_and_removed(run: Run, world: World) -> None:
    host = "registry.example.com"
    route = {"name": "public", "hostname": host}
    for number in range(2):
        certificate, key = world.certificate_for(host)
        wanted = {**route, "certificate": certificate, "private_key": key}
        predicted = run(routes=[wanted], check=True)
        done = run(routes=[wanted])
        expected = ["update Secret public-tls"] if number else ["create Secret public-tls", "update Config cluster"]
        assert summaries(predicted) == summaries(done) == expected
        assert predicted["diff"] == done["diff"]
        assert done["hosts"] == [host]
        assert routes(world)["public"]["spec"]["tls"]["certificate"] == certificate
        stored = read(world, "secrets", NAMESPACE, "public-tls")
        assert stored["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "quayside.registry"}
        assert stored["data"]["tls.key"] == base64.b64encode(key.encode()).decode()
        assert key.splitlines()[1] not in str(done)
        assert stored["data"]["tls.key"] not in str(done)
        assert summaries(run(routes=[wanted])) == []
    gone = run(routes=[{"name": "public", "state": "absent"}])
    assert summaries(gone) == ["update Config cluster", "delete Secret public-tls"]
    assert "public" not in routes(world)
    assert published(world) == []
    assert summaries(run(routes=[{"name": "public", "state": "absent"}])) == []


def test_routes_are_kept_unless_purged(run: Run, world: World) -> None:
    run(routes=[{"name": "one", "hostname": "one.example.com"}])
    both = run(routes=[{"name": "two"}], default_route=True)
    assert both["hosts"] == [world.registry_host, "one.example.com", "two-openshift-image-registry.apps.example.com"]
    assert run(routes=[{"name": "two"}], check=True, purge_routes=True)["hosts"] == [both["hosts"][0], both["hosts"][2]]
    purged = run(routes=[{"name": "two"}], purge_routes=True)
    assert purged["hosts"] == [both["hosts"][0], both["hosts"][2]]
    assert set(routes(world)) == {"default-route", "two"}


def test_a_route_that_is_never_admitted_fails_at_the_deadline(run: Run, world: World) -> None:
    body = {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": "first"},
        "spec": {"host": "taken.example.com", "to": {"kind": "Service", "name": "x"}},
    }
    world.plane.admin.request("POST", ROUTES.format("default"), body)
    try:
        result = run(routes=[{"name": "late", "hostname": "taken.example.com"}], wait_timeout=3)
    finally:
        world.plane.admin.request("DELETE", ROUTES.format("default") + "/first")
    assert result["failed"]
    assert result["changed"]
    assert result["msg"].startswith(
        "The image registry did not become as wanted within 3 s: route late (host taken.example.com) is not admitted:"
        " HostAlreadyClaimed: "
    )
    assert "taken.example.com and is older" in result["msg"]
    assert "Conditions: " in result["msg"]
    assert "Available is True (Ready)" in result["msg"]
    assert "Degraded is True (RouteDegraded)" in result["msg"]


def test_a_secret_that_is_missing_is_told_at_the_deadline(run: Run) -> None:
    result = run(routes=[{"name": "public", "secret_name": "nowhere"}], wait_timeout=3)
    assert "route public has not been made yet" in result["msg"]
    assert 'secret "nowhere" not found' in result["msg"]


def test_a_configuration_that_the_operator_refuses_fails_at_once(run: Run, world: World) -> None:
    world.plane.admin.request("PATCH", CONFIG, {"spec": {"routes": [{"name": "default-route"}]}})
    result = run(replicas=2, wait_timeout=300)
    assert (
        "The image registry operator refuses the configuration: Degraded is True (VerificationFailed)" in result["msg"]
    )
    assert "duplication of names" in result["msg"]
    assert any(item["reason"] == "VerificationFailed" for item in result["conditions"])


# States and storage


def test_removed_and_managed_again(run: Run, world: World) -> None:
    run(default_route=True)
    removed = run(management_state="Removed")
    assert summaries(removed) == ["update Config cluster"]
    assert (removed["management_state"], removed["hosts"], removed["routes"]) == ("Removed", [], [])
    assert published(world) == []
    assert summaries(run(management_state="Removed")) == []

    shown = run_module("image_registry_info", kubeconfig=str(world.admin_kubeconfig))
    assert (shown["management_state"], shown["hosts"], shown["deployment"]) == ("Removed", [], None)

    refused = run(default_route=True)
    assert "managementState is Removed" in refused["msg"]
    assert "need management_state: Managed as well." in refused["msg"]
    assert not refused["changed"]

    world.plane.admin.request("PATCH", CONFIG, {"spec": {"storage": None}})
    assert "management_state: Managed needs storage, and none is configured" in run(management_state="Managed")["msg"]
    assert spec(world)["managementState"] == "Removed"

    back = run(**MANAGED, default_route=True)
    assert back["hosts"] == [world.registry_host]


def test_unmanaged(run: Run) -> None:
    assert run(management_state="Unmanaged")["management_state"] == "Unmanaged"
    assert "managementState is Unmanaged" in run(routes=[{"name": "a"}])["msg"]


def test_storage_is_switched(run: Run, world: World) -> None:
    claim = {"storage": {"pvc": {"claim": ""}}}
    switched = run(**claim)
    assert summaries(switched) == ["update Config cluster"]
    assert switched["storage"]["pvc"] == {"claim": "image-registry-storage"}
    assert "emptyDir" not in spec(world)["storage"]
    assert summaries(run(**claim)) == []
    deployment = world.plane.admin.request("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/image-registry")
    assert deployment["status"]["updatedReplicas"] == 1


def test_a_claim_that_does_not_exist_is_told_at_the_deadline(run: Run) -> None:
    result = run(storage={"pvc": {"claim": "missing"}}, wait_timeout=3)
    assert 'persistentvolumeclaims "missing" not found' in result["msg"]


def test_the_rest_of_the_options(run: Run, world: World) -> None:
    wanted = {
        "replicas": 2,
        "read_only": True,
        "disable_redirect": True,
        "rollout_strategy": "Recreate",
        "log_level": "Debug",
        "node_selector": {"node-role.kubernetes.io/infra": ""},
        "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    assert summaries(run(**wanted)) == ["update Config cluster"]
    there = spec(world)
    assert (there["replicas"], there["readOnly"], there["disableRedirect"]) == (2, True, True)
    assert (there["nodeSelector"], there["tolerations"]) == (wanted["node_selector"], wanted["tolerations"])
    assert summaries(run(**wanted)) == []
    shown = run_module("image_registry_info", kubeconfig=str(world.admin_kubeconfig))
    assert shown["deployment"] == {"replicas": 2, "ready": 2, "updated": 2}
    wanted.update(read_only=False, disable_redirect=False, rollout_strategy="RollingUpdate", log_level="Normal")
    wanted.update(node_selector={}, tolerations=[], resources={})
    assert summaries(run(**wanted)) == ["update Config cluster"]
    assert summaries(run(**wanted)) == []


def test_another_writer_in_between_is_not_overwritten(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift import image_registry

    read_registry, written = image_registry.read_registry, []

    def disturbed(cluster: Any) -> Any:
        found = read_registry(cluster)
        if not written:
            written.append(world.plane.admin.request("PATCH", CONFIG, {"spec": {"replicas": 2}}))
        return found

    monkeypatch.setattr(image_registry, "read_registry", disturbed)
    assert summaries(run(default_route=True)) == ["update Config cluster"]
    assert (spec(world)["replicas"], spec(world)["defaultRoute"]) == (2, True)


# Connections and clusters that will not do


def _account(world: World, name: str) -> dict[str, Any]:
    """Connection options of a service account without any rights."""
    world.plane.admin.create(path("serviceaccounts", "default"), {"metadata": {"name": name}})
    token = world.service_account_token("default", name)
    return {"host": world.url, "ca_cert": str(world.ca_bundle), "api_key": token}


@pytest.mark.parametrize("module", ["image_registry", "image_registry_info"])
def test_no_permission(world: World, module: str) -> None:
    result = run_module(module, **_account(world, "nobody"))
    assert 'configs.imageregistry.operator.openshift.io "cluster" is forbidden' in result["msg"]
    assert "Grant that right to the account" in result["msg"]


def test_token_that_is_not_accepted(world: World) -> None:
    result = run_module(
        "image_registry", **{**_account(world, "nobody"), "api_key": "expired-token"}, default_route=True
    )
    assert "does not accept the credentials: the token or certificate is wrong or has expired" in result["msg"]


def test_unreachable_api_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = run_module("image_registry", host=f"https://127.0.0.1:{port}", api_key="some-token", default_route=True)
    assert f"The API server https://127.0.0.1:{port} cannot be reached" in result["msg"]


def test_wrong_context(world: World) -> None:
    result = run_module(
        "image_registry", kubeconfig=str(world.admin_kubeconfig), context="elsewhere", default_route=True
    )
    assert "elsewhere" in result["msg"]
    assert "Set kubeconfig (and context)" in result["msg"]


def test_untrusted_api_server(world: World, tmp_path: Path) -> None:
    kubeconfig = yaml.safe_load(Path(world.admin_kubeconfig).read_text())
    del kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    other = tmp_path / "kubeconfig"
    other.write_text(yaml.safe_dump(kubeconfig))
    result = run_module("image_registry", kubeconfig=str(other), default_route=True)
    assert "could not be verified" in result["msg"]
    assert "Set ca_cert" in result["msg"]


def test_plain_kubernetes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kubernetes = ControlPlane(tmp_path, "127.0.0.1", port, crds=(), policy=False)
    kubernetes.start()
    try:
        for module in ("image_registry", "image_registry_info"):
            result = run_module(module, kubeconfig=str(kubernetes.kubeconfig))
            assert "it is not an OpenShift cluster, or a part is missing" in result["msg"]
            assert not result["changed"]
    finally:
        kubernetes.stop()
