"""The simulated Quay operator does what the real one was recorded to do."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from support import run_module
from world.apiclient import ApiError
from world.world import CORE, World

NAMESPACE = "quay-contract"
REGISTRIES = f"/apis/quay.redhat.com/v1/namespaces/{NAMESPACE}/quayregistries"
STORAGE = "DISTRIBUTED_STORAGE_CONFIG: {default: [LocalStorage, {}]}\n"
UNMANAGED = {"kind": "objectstorage", "managed": False}


@pytest.fixture(scope="module", autouse=True)
def operator(world: World) -> Iterator[None]:
    wanted = [{"package": "quay-operator", "namespace": NAMESPACE}]
    installed = run_module("olm_operator", kubeconfig=str(world.admin_kubeconfig), operators=wanted)
    assert not installed.get("failed"), installed["msg"]
    yield
    world.plane.admin.request("DELETE", f"{CORE}/{NAMESPACE}")


def create(world: World, name: str, *components: dict[str, Any], config: str | None = STORAGE) -> None:
    spec: dict[str, Any] = {"components": list(components)} if components else {}
    if config is not None:
        body = {"metadata": {"name": f"{name}-cfg"}, "stringData": {"config.yaml": config}}
        world.plane.admin.request("POST", f"{CORE}/{NAMESPACE}/secrets", body)
        spec["configBundleSecret"] = f"{name}-cfg"
    body = {"apiVersion": "quay.redhat.com/v1", "kind": "QuayRegistry", "metadata": {"name": name}, "spec": spec}
    world.plane.admin.request("POST", REGISTRIES, body)


def get(world: World, name: str) -> Any:
    return world.plane.admin.request("GET", f"{REGISTRIES}/{name}")


def condition(world: World, name: str, kind: str) -> tuple[str, str, str]:
    told = {item["type"]: item for item in (get(world, name).get("status") or {}).get("conditions") or []}
    return tuple(told.get(kind, {}).get(field, "") for field in ("status", "reason", "message"))  # type: ignore[return-value]


def test_a_registry_is_completed_rolled_out_and_answers(world: World) -> None:
    create(world, "q1", UNMANAGED)
    good = ("True", "HealthChecksPassing", "All components reporting as healthy")
    world.wait_for(lambda: condition(world, "q1", "Available") == good, "Quay")
    item = get(world, "q1")
    assert [component["kind"] for component in item["spec"]["components"]][:3] == ["objectstorage", "quay", "postgres"]
    assert len(item["spec"]["components"]) == 11
    status = item["status"]
    assert status["registryEndpoint"] == f"https://q1-quay-{NAMESPACE}.{world.domain}"
    assert (status["currentVersion"], status["observedGeneration"]) == ("v3.14.0", item["metadata"]["generation"])
    assert condition(world, "q1", "RolloutBlocked")[:2] == ("False", "ComponentsCreationSuccess")
    assert condition(world, "q1", "ComponentObjectStorageReady")[:2] == ("True", "ComponentNotManaged")
    discovery = f"{status['registryEndpoint']}/api/v1/discovery"
    assert requests.get(discovery, verify=str(world.ca_bundle), timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("name", "components", "config", "reason", "message"),
    [
        ("e1", [UNMANAGED], "{}", "ConfigInvalid", "required component `objectstorage` marked as unmanaged, but"),
        ("e2", [UNMANAGED, {"kind": "redis", "managed": False}], STORAGE, "ConfigInvalid", "required component `redis`"),
        ("e3", [], "a: [b", "ConfigInvalid", ""),
        ("e4", [UNMANAGED, {"kind": "quay", "managed": True, "overrides": {"replicas": 3}}], STORAGE,
         "ComponentOverrideInvalid", "invalid overrides: cannot override replicas with managed HPA"),
    ],
)  # fmt: skip
def test_what_is_wrong_blocks_the_rollout(
    world: World, name: str, components: list[dict[str, Any]], config: str, reason: str, message: str
) -> None:
    create(world, name, *components, config=config)
    blocked = functools.partial(condition, world, name, "RolloutBlocked")
    world.wait_for(lambda: blocked()[0] == "True", "the condition")
    assert blocked()[1] == reason
    assert blocked()[2].startswith(message)
    assert condition(world, name, "ComponentPostgresReady")[1] == "ComponentNotManaged"  # as before the first round


@pytest.mark.parametrize(
    ("component", "message"),
    [
        ({"kind": "foo", "managed": True}, "Unsupported value"),
        ({"kind": "redis", "managed": False, "overrides": {"env": []}}, "cannot set overrides on unmanaged component"),
    ],
)
def test_the_definition_refuses(world: World, component: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        create(world, "refused", component, config=None)


def test_a_registry_without_a_bundle_gets_one(world: World) -> None:
    create(world, "q2", config=None)
    world.wait_for(lambda: "configBundleSecret" in get(world, "q2")["spec"], "the bundle")
    assert get(world, "q2")["spec"]["configBundleSecret"].startswith("q2-config-bundle-")
