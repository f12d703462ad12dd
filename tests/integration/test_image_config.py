"""The cluster's image configuration on a real API server, beside what others write; nodes that roll; trust that works."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certs import issue
from clusters import path, read, summaries

from support import run_module
from world.apiclient import ApiError
from world.world import World

Run = Callable[..., dict[str, Any]]
IMAGE = "/apis/config.openshift.io/v1/images/cluster"
POOLS = "/apis/machineconfiguration.openshift.io/v1/machineconfigpools"
NAMESPACE = "openshift-config"
ROOT = issue("root", ca=True).certificate
EMPTY: dict[str, Any] = {
    "insecure_registries": [],
    "allowed_registries": [],
    "blocked_registries": [],
    "allowed_registries_for_import": [],
    "external_registry_hostnames": [],
    "additional_trusted_ca": [],
    "purge": True,
}


@pytest.fixture
def run(world: World) -> Iterator[Run]:
    def run(**params: Any) -> dict[str, Any]:
        return run_module("image_config", **{"kubeconfig": str(world.admin_kubeconfig), **params})

    yield run
    summaries(run(**EMPTY))


def spec(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.plane.admin.request("GET", IMAGE)["spec"]
    return found


def test_check_mode_predicts_the_run_and_a_second_run_only_reads(run: Run, world: World) -> None:
    wanted = {
        "insecure_registries": ["mirror.example.com:5000"],
        "allowed_registries_for_import": [{"domain_name": "quay.io"}],
        "additional_trusted_ca": [{"host": "mirror.example.com:5001", "ca_certificates": ROOT}],
    }
    predicted = run(**wanted, check=True)
    assert spec(world) == {}
    done = run(**wanted)
    expected = ["create ConfigMap additional-trusted-ca", "update Image cluster"]
    assert summaries(predicted) == summaries(done) == expected
    assert predicted["diff"] == done["diff"]
    assert predicted["rolls_nodes"] is done["rolls_nodes"] is True
    assert predicted["warnings"] == done["warnings"]
    assert "Nodes take this up one after the other" in done["warnings"][0]
    assert spec(world) == {
        "registrySources": {"insecureRegistries": ["mirror.example.com:5000"]},
        "allowedRegistriesForImport": [{"domainName": "quay.io"}],
        "additionalTrustedCA": {"name": "additional-trusted-ca"},
    }
    stored = read(world, "configmaps", NAMESPACE, "additional-trusted-ca")
    assert stored["data"] == {"mirror.example.com..5001": ROOT}
    mark = world.mark()
    again = run(**wanted)
    assert summaries(again) == []
    assert again["rolls_nodes"] is False
    assert "warnings" not in again
    assert [request.verb for request in world.requests(mark)] == ["get", "get"]


def test_the_config_map_of_others_is_merged_and_survives(run: Run, world: World) -> None:
    admin = world.plane.admin
    admin.create(
        path("configmaps", NAMESPACE), {"metadata": {"name": "theirs"}, "data": {"b.example.com": "their text"}}
    )
    admin.request("PATCH", IMAGE, {"spec": {"additionalTrustedCA": {"name": "theirs"}}})
    try:
        added = run(additional_trusted_ca=[{"host": "a.example.com", "ca_certificates": ROOT}])
        assert summaries(added) == ["update ConfigMap theirs"]
        assert added["trusted_hosts"] == ["a.example.com", "b.example.com"]
        assert summaries(run(additional_trusted_ca=[{"host": "a.example.com", "state": "absent"}])) == [
            "update ConfigMap theirs"
        ]
        assert read(world, "configmaps", NAMESPACE, "theirs")["data"] == {"b.example.com": "their text"}
    finally:
        admin.request("PATCH", IMAGE, {"spec": {"additionalTrustedCA": None}})
        admin.request("DELETE", path("configmaps", NAMESPACE, "theirs"))


def test_what_somebody_writes_at_the_same_time_is_not_lost(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    write = Cluster.write
    interfered: list[str] = []

    def late(self: Cluster, change: Any) -> Any:
        if not interfered:
            interfered.append(IMAGE)
            world.plane.admin.request("PATCH", IMAGE, {"spec": {"registrySources": {"insecureRegistries": ["theirs"]}}})
        return write(self, change)

    monkeypatch.setattr(Cluster, "write", late)
    assert summaries(run(insecure_registries=["ours"])) == ["update Image cluster"]
    assert spec(world)["registrySources"] == {"insecureRegistries": ["theirs", "ours"]}


def test_allowed_and_blocked_exclude_each_other_before_anything_is_written(run: Run, world: World) -> None:
    run(blocked_registries=["blocked.example.com"])
    trust = [{"host": "a.example.com", "ca_certificates": ROOT}]
    refused = run(allowed_registries=["quay.io"], additional_trusted_ca=trust)
    assert "The cluster has blocked_registries: blocked.example.com. They exclude each other." in refused["msg"]
    assert spec(world) == {"registrySources": {"blockedRegistries": ["blocked.example.com"]}}
    changed_over = run(allowed_registries=["quay.io"], blocked_registries=[], purge=True)
    assert summaries(changed_over) == ["update Image cluster"]
    assert spec(world) == {"registrySources": {"allowedRegistries": ["quay.io"]}}
    assert any(f"does not name {world.internal_host}" in warning for warning in changed_over["warnings"])


def test_who_may_not_is_told_what_to_grant(run: Run, world: World) -> None:
    refused = run(insecure_registries=["a"], kubeconfig=str(world.kubeconfig("developer")))
    assert 'cannot get resource "images" in API group "config.openshift.io"' in refused["msg"]
    assert "Grant that right to the account" in refused["msg"]


# Nodes


def test_where_no_pools_are_shown_nothing_is_waited_for(run: Run) -> None:
    result = run(insecure_registries=["a.example.com"], wait=True)
    assert summaries(result) == ["update Image cluster"]
    assert any("the cluster does not show MachineConfigPools" in text for text in result["warnings"])


@pytest.fixture(scope="module")
def pool_api(world: World) -> Iterator[None]:
    """The API of MachineConfigPools, from here to the end of this file."""
    group, plural = "machineconfiguration.openshift.io", "machineconfigpools"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": "MachineConfigPool", "plural": plural, "singular": "machineconfigpool"},
            "versions": [version],
        },
    }
    admin, crds = world.plane.admin, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    admin.request("POST", crds, crd)
    world.wait_for(lambda: _served(world), "MachineConfigPools")
    yield
    admin.request("DELETE", f"{crds}/{plural}.{group}")
    world.wait_for(lambda: not _served(world), "the end of MachineConfigPools")


def _served(world: World) -> bool:
    try:
        world.plane.admin.request("GET", POOLS)
    except ApiError:
        return False
    return True


@contextlib.contextmanager
def pools(world: World, **wanted: dict[str, Any]) -> Iterator[None]:
    """MachineConfigPools by name."""
    admin, version = world.plane.admin, "machineconfiguration.openshift.io/v1"
    for name, fields in wanted.items():
        manifest = {"apiVersion": version, "kind": "MachineConfigPool", "metadata": {"name": name}, **fields}
        admin.request("POST", POOLS, manifest)
    try:
        yield
    finally:
        admin.request("DELETE", POOLS)


def pool(configuration: str, of: str = "", updated: int = 3, paused: bool = False, message: str = "") -> dict[str, Any]:
    """A pool as its operator shows it: all nodes have `of`, and are to get `configuration`."""
    of = of or configuration
    conditions = [
        {"type": "Updated", "status": str(of == configuration)},
        {"type": "Degraded", "status": str(bool(message))},
        {"type": "NodeDegraded", "status": str(bool(message)), "message": message},
    ]
    counts = {"machineCount": 3, "updatedMachineCount": updated, "observedGeneration": 99}
    return {
        "spec": {"configuration": {"name": configuration}, "paused": paused},
        "status": {"configuration": {"name": of}, "conditions": conditions, **counts},
    }


def test_wait_returns_when_every_pool_has_the_new_configuration(run: Run, world: World, pool_api: None) -> None:
    done: list[str] = []

    def operator() -> None:
        """As the machine config operator: sees the change, renders, and rolls one pool after the other."""
        world.wait_for(lambda: bool(spec(world)), "the change")
        for name in ("master", "worker"):
            world.plane.admin.request("PATCH", f"{POOLS}/{name}", pool("new", of="old", updated=0))
        for name in ("master", "worker"):
            time.sleep(0.5)
            done.append(name)
            world.plane.admin.request("PATCH", f"{POOLS}/{name}", pool("new"))

    with pools(world, master=pool("old"), worker=pool("old"), held=pool("old", paused=True)):
        thread = threading.Thread(target=operator)
        thread.start()
        result = run(insecure_registries=["a.example.com"], wait=True, wait_timeout=30)
        assert done == ["master", "worker"]
        thread.join()
        assert summaries(result) == ["update Image cluster"]
        assert "MachineConfigPool held is paused: its nodes take nothing up until that ends." in result["warnings"]
        again = run(insecure_registries=["a.example.com"], wait=True, wait_timeout=30)
        assert summaries(again) == []


def test_a_roll_that_hangs_is_told_with_its_reason(run: Run, world: World, pool_api: None) -> None:
    stuck = pool("new", of="old", updated=1, message="failed to drain node: worker-1")
    with pools(world, worker=stuck):
        result = run(insecure_registries=[], wait=True, wait_timeout=1)
    assert "MachineConfigPool worker was not up to date after 1 seconds: 1 of 3 nodes are up to date" in result["msg"]
    assert "it is degraded: failed to drain node: worker-1" in result["msg"]


def test_an_operator_that_takes_no_notice_is_warned_of(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, pool_api: None
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift import node_rollout

    monkeypatch.setattr(node_rollout, "RENDERED_WITHIN", 1.0)
    with pools(world, worker=pool("old")):
        result = run(insecure_registries=["a.example.com"], wait=True, wait_timeout=30)
    assert summaries(result) == ["update Image cluster"]
    assert any("No MachineConfigPool got a new configuration within 1 seconds" in text for text in result["warnings"])


# Trust


def test_what_is_under_a_hosts_key_opens_its_tls_connection(run: Run, world: World, tmp_path: Path) -> None:
    kubeconfig = str(world.admin_kubeconfig)
    run_module("image_registry", kubeconfig=kubeconfig, default_route=True)
    for rotated in (False, True):
        if rotated:
            world.rotate_router_ca()
            with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
                _open(world)
        found = run_module("router_ca_info", kubeconfig=kubeconfig)["registries"][0]
        trust = [{"host": found["host"], "ca_certificates": found["ca_certificates"]}]
        kinds = {change["kind"] for change in run(additional_trusted_ca=trust)["changes"]}
        assert kinds == ({"ConfigMap"} if rotated else {"ConfigMap", "Image"})
        assert _open(world) == 200


def _open(world: World) -> int:
    """The status of the registry's health check, with what the cluster trusts for it and nothing else."""
    name = spec(world)["additionalTrustedCA"]["name"]
    pem = read(world, "configmaps", NAMESPACE, name)["data"][world.registry_host]
    context = ssl.create_default_context(cadata=pem)
    with urllib.request.urlopen(f"https://{world.registry_host}/healthz", context=context) as answer:
        return int(answer.status)
