"""Every file of tests finds the registry and the image configuration of the shared world as a new cluster has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from world.world import CORE, REGISTRY_CONFIG, World

NEW = {"managementState": "Managed", "defaultRoute": False, "routes": None, "replicas": 1, "readOnly": False}


@pytest.fixture(scope="module", autouse=True)
def as_new(world: World) -> Iterator[None]:
    """Put back what this file's tests leave behind."""
    yield
    admin = world.plane.admin
    storage = admin.request("GET", REGISTRY_CONFIG)["spec"]["storage"]
    others = {kind: None for kind in storage if kind != "managementState"}
    admin.request("PATCH", REGISTRY_CONFIG, {"spec": {**NEW, "storage": {**others, "emptyDir": {}}}})
    ours = "labelSelector=app.kubernetes.io/managed-by=quayside.registry"
    for items, which in (
        ("openshift-image-registry/secrets", ours),
        ("openshift-config/configmaps", ours),
        ("openshift-config/secrets", "fieldSelector=metadata.name=pull-secret"),
    ):
        for item in admin.request("GET", f"{CORE}/{items}?{which}")["items"]:
            admin.request("DELETE", f"{CORE}/{items}/{item['metadata']['name']}")
    images = "/apis/config.openshift.io/v1/images/cluster"
    spec = admin.request("GET", images).get("spec") or {}
    admin.request("PATCH", images, {"spec": {**dict.fromkeys(spec)}})
    for plural in ("imagedigestmirrorsets", "imagetagmirrorsets"):
        mirrors = f"/apis/config.openshift.io/v1/{plural}"
        for mirror in admin.request("GET", mirrors)["items"]:
            admin.request("DELETE", f"{mirrors}/{mirror['metadata']['name']}")
    world.wait_for(
        lambda: not admin.request("GET", images).get("status", {}).get("externalRegistryHostnames"), "the routes to go"
    )
