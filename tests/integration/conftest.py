"""Every file of tests finds the shared world's registry as a new cluster has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from world.world import CORE, REGISTRY_CONFIG, World

NEW = {"managementState": "Managed", "defaultRoute": False, "routes": None, "replicas": 1, "readOnly": False}


@pytest.fixture(scope="module", autouse=True)
def registry_as_new(world: World) -> Iterator[None]:
    """Put back what this file's tests leave behind."""
    yield
    admin = world.plane.admin
    storage = admin.request("GET", REGISTRY_CONFIG)["spec"]["storage"]
    others = {kind: None for kind in storage if kind != "managementState"}
    admin.request("PATCH", REGISTRY_CONFIG, {"spec": {**NEW, "storage": {**others, "emptyDir": {}}}})
    secrets = f"{CORE}/openshift-image-registry/secrets"
    for secret in admin.request("GET", f"{secrets}?labelSelector=app.kubernetes.io/managed-by=quayside.registry")[
        "items"
    ]:
        admin.request("DELETE", f"{secrets}/{secret['metadata']['name']}")
    images = "/apis/config.openshift.io/v1/images/cluster"
    world.wait_for(
        lambda: not admin.request("GET", images).get("status", {}).get("externalRegistryHostnames"), "the routes to go"
    )
