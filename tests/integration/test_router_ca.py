"""What to trust for hosts behind the router, against its real TLS front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clusters import path
from cryptography import x509

from support import run_module
from world.world import World

Run = Callable[..., dict[str, Any]]
NAMESPACE = "openshift-image-registry"
INTERNAL = "image-registry.openshift-image-registry.svc:5000"


@pytest.fixture
def run(world: World) -> Run:
    def run(**params: Any) -> dict[str, Any]:
        connection = {} if "host" in params else {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("router_ca_info", **connection, **params)

    return run


@pytest.fixture(autouse=True)
def exposed(world: World) -> Iterator[None]:
    """The registry has its default route."""
    kubeconfig = str(world.admin_kubeconfig)
    made = run_module("image_registry", kubeconfig=kubeconfig, default_route=True, wait_timeout=30)
    assert not made.get("failed"), made
    yield
    if made["changed"]:
        run_module("image_registry", kubeconfig=kubeconfig, default_route=False)


def one(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result["msg"]
    assert not result["changed"]
    (found,) = result["registries"]
    assert "PRIVATE KEY" not in str(result)
    return dict(found)


def subjects(text: str) -> list[str]:
    return [item.subject.rfc4514_string() for item in x509.load_pem_x509_certificates(text.encode())]


def test_the_registrys_hosts_are_verified_with_four_requests(run: Run, world: World) -> None:
    mark = world.mark()
    found = one(run())
    assert len(world.requests(mark)) == 4
    assert found["host"] == world.registry_host
    assert found["verified"] is True
    assert found["problem"] is None
    assert found["source"] == "Secret openshift-ingress/router-certs-default"
    (authority,) = subjects(found["ca_certificates"])
    assert authority.startswith("CN=ingress-operator@")
    leaf, root = found["certificates"]
    assert (leaf["subject"], leaf["is_ca"], leaf["issuer"]) == ("CN=*.apps.example.com", False, authority)
    assert (root["subject"], root["is_ca"]) == (authority, True)


def test_another_ca_after_rotation(run: Run, world: World) -> None:
    before = one(run())
    world.rotate_router_ca()
    after = one(run())
    assert after["ca_certificates"] != before["ca_certificates"]
    assert after["verified"] is True


def test_the_certificate_of_the_route(run: Run, world: World) -> None:
    host = "registry.example.com"
    certificate, key = world.certificate_for(host)
    wanted = {"name": "public", "hostname": host, "certificate": certificate, "private_key": key}
    kubeconfig = str(world.admin_kubeconfig)
    assert not run_module("image_registry", kubeconfig=kubeconfig, routes=[wanted]).get("failed")
    try:
        found = one(run(hosts=[host]))
        every = run()["registries"]
    finally:
        run_module("image_registry", kubeconfig=kubeconfig, routes=[{"name": "public", "state": "absent"}])
    assert (found["verified"], found["source"]) == (True, f"Route {NAMESPACE}/public")
    assert subjects(found["ca_certificates"]) == subjects(certificate)[1:]
    assert [item["host"] for item in every] == [world.registry_host, host]
    assert every[0]["ca_certificates"] != every[1]["ca_certificates"]


def test_the_default_certificate_of_the_ingress_controller(run: Run, world: World) -> None:
    certificate, key = world.certificate_for("*.apps.example.com")
    world.set_default_certificate(certificate, key)
    try:
        found = one(run())
    finally:
        world.set_default_certificate("", "")
    assert (found["verified"], found["source"]) == (True, "Secret openshift-ingress/custom-certs")
    assert subjects(found["ca_certificates"]) == subjects(certificate)[1:]
    back = one(run())
    assert (back["verified"], back["source"]) == (True, "Secret openshift-ingress/router-certs-default")


def test_services_have_the_service_ca(run: Run) -> None:
    found = one(run(hosts=[INTERNAL]))
    assert (found["host"], found["verified"]) == (INTERNAL, True)
    assert found["source"] == f"ConfigMap {NAMESPACE}/openshift-service-ca.crt"
    assert found["certificates"][0]["is_ca"]
    assert found["ca_certificates"] != one(run())["ca_certificates"]


def test_a_host_that_cannot_be_reached_is_no_failure(run: Run, world: World) -> None:
    found = one(run(hosts=[f"{world.registry_host}:1"], connect_timeout=1))
    assert found["verified"] is None
    assert f"{world.registry_host}:1 could not be reached from where this module runs" in found["problem"]
    assert found["ca_certificates"]


def test_the_host_of_the_default_route_before_it_is_exposed(run: Run, world: World) -> None:
    kubeconfig = str(world.admin_kubeconfig)
    known = one(run())["ca_certificates"]
    run_module("image_registry", kubeconfig=kubeconfig, default_route=False)
    try:
        early = run(hosts=[world.registry_host])
        unasked = run()
    finally:
        run_module("image_registry", kubeconfig=kubeconfig, default_route=True)
    assert one(early)["ca_certificates"] == known
    assert any("no route has this host yet" in warning for warning in early["warnings"])
    assert one(unasked) == one(early)


def test_without_rights_on_secrets_what_is_published_is_used(run: Run, world: World) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    world.plane.admin.create(path("serviceaccounts", "default"), {"metadata": {"name": "looker"}})
    rules = [
        {"apiGroups": ["config.openshift.io"], "resources": ["images"], "verbs": ["get"]},
        {"apiGroups": ["route.openshift.io"], "resources": ["routes"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    ]
    world.plane.admin.create(f"{rbac}/clusterroles", {"metadata": {"name": "looker"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "looker", "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looker"}
    binding = {"metadata": {"name": "looker"}, "roleRef": reference, "subjects": [subject]}
    world.plane.admin.create(f"{rbac}/clusterrolebindings", binding)
    token = world.service_account_token("default", "looker")
    connection = {"host": world.url, "ca_cert": str(world.ca_bundle), "api_key": token}
    try:
        found = one(run(**connection))
    finally:
        for kind in ("clusterrolebindings", "clusterroles"):
            world.plane.admin.request("DELETE", f"{rbac}/{kind}/looker")
    assert found["source"] == "ConfigMap openshift-config-managed/default-ingress-cert"
    assert (found["verified"], found["ca_certificates"]) == (True, one(run())["ca_certificates"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hosts": ["nowhere.example.com"]}, "no admitted route that may be seen has the host nowhere.example.com"),
        ({"hosts": ["https://registry.example.com/"]}, "hosts[0]: 'https://registry.example.com/' is a URL"),
        ({"hosts": ["bad_host.example.com"]}, "hosts[0]: 'bad_host.example.com' is not a host name"),
        ({"routes": [{"name": "x", "namespace": "default"}]}, "routes: there is no Route default/x."),
    ],
)
def test_hosts_that_cannot_be_meant(run: Run, params: dict[str, Any], message: str) -> None:
    result = run(**params)
    assert result["failed"]
    assert message in result["msg"]


def test_hosts_that_there_are_are_named(run: Run, world: World) -> None:
    assert world.registry_host in run(hosts=["nowhere.example.com"])["msg"]
