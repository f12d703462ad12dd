"""Every playbook as automation runs it: with which variables, what it finds beside the cluster, and what needs no rights there."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from quays import SUPERUSER, quay_in

from staging import ROOT
from support import run_module
from world.apiclient import ApiError
from world.simulators.olm_catalog import Bundle, Package
from world.simulators.quay.database import hashed
from world.world import World

FOLDER = ROOT / "tests" / "integration" / "automation"
INVENTORY = FOLDER / "inventory.yml"
STEPS: dict[str, list[dict[str, Any]]] = yaml.safe_load((FOLDER / "steps.yml").read_text())

#: Why these playbooks need no rights on a cluster, or none that could be listed.
ELSEWHERE = {
    "automation_access": "it gives the rights, which only an administrator can",
    "awx_setup": "it talks to AWX",
    "promote_images": "registries alone are asked, with credentials of their own",
    "publish_workflow": "it writes a file",
}

#: Projects that runs make themselves.
MADE = ("automated-new", "automated-images", "automated-operator", "automated-registry", "automated-quay")

#: Playbooks for a Quay that is there, and the user that it has by then.
_WITH_QUAY = {"quay_first_user": "", "quay_content": SUPERUSER, "report": SUPERUSER}
PASSWORD = "automated-Pa55word"
_numbers = itertools.count(1)
_SECRETS = "/api/v1/namespaces/automated/secrets"


def first_run(playbook: str) -> dict[str, Any]:
    """The variables of its first run that succeeds."""
    variables: dict[str, Any] = {}
    for step in STEPS[playbook]:
        variables.update(step)
        if not variables.pop("fails", ""):
            break
    return variables


def remove_what_runs_made(world: World) -> None:
    """The projects; and their Quays at once, since their operators go with them."""
    admin, registries = world.plane.admin, "/apis/quay.redhat.com/v1"
    with contextlib.suppress(ApiError):  # no operator was ever installed
        for item in admin.request("GET", f"{registries}/quayregistries")["items"]:
            metadata = item["metadata"]
            if metadata["namespace"] in MADE:
                path = f"{registries}/namespaces/{metadata['namespace']}/quayregistries/{metadata['name']}"
                admin.request("DELETE", path)
                admin.request("PATCH", path, {"metadata": {"finalizers": None}})
    for namespace in MADE:
        with contextlib.suppress(ApiError):  # whose run was not made
            admin.request("DELETE", f"/api/v1/namespaces/{namespace}")


@contextlib.contextmanager
def surroundings(world: World, playbook: str, folder: Path) -> Iterator[dict[str, str]]:
    """What a playbook finds beside a cluster with the project `automated`: variables for its steps."""
    ca = folder / "ca.crt"
    ca.write_text(world.ca_bundle.read_text() + world.certificate_for("ghcr.io")[0])
    found = {"folder": str(folder), "registry_host": world.registry_host, "ca_file": str(ca)}
    with contextlib.ExitStack() as stack:
        if playbook in _WITH_QUAY:
            found["quay_host"] = stack.enter_context(_quay(world, _WITH_QUAY[playbook]))
        if playbook in ("move_to_registry", "promote_images"):
            found["push_token"] = _pusher(world)
        if playbook == "quay_registry":
            stack.enter_context(_operator(world))
        if playbook == "quay_bridge":
            stack.enter_context(_second_channel(world))
        yield found


@contextlib.contextmanager
def _quay(world: World, user: str) -> Iterator[str]:
    """A Quay, and with a user what is kept of it; its host."""
    with quay_in(world, "automated", f"quay-{next(_numbers)}") as (host, quay):  # each with a database of its own
        if user:
            first = {"kind": "user", "name": user, "email": "quayadmin@example.com", "created": 0}
            quay.database.insert("account", **first, password=hashed(PASSWORD))
            kept = {"username": user, "password": PASSWORD, "token_expires": "2036-01-01T00:00:00Z"}
            world.plane.admin.request("POST", _SECRETS, {"metadata": {"name": "quay-first-user"}, "stringData": kept})
        yield host
        for name in ("quay-first-user", "quay-ci"):
            with contextlib.suppress(ApiError):
                world.plane.admin.request("DELETE", f"{_SECRETS}/{name}")


def _pusher(world: World) -> str:
    """A token that may push to the project, at a registry that can be reached."""
    run_module("image_registry", kubeconfig=str(world.admin_kubeconfig), default_route=True)
    group = "rbac.authorization.k8s.io"
    reference = {"kind": "ClusterRole", "apiGroup": group, "name": "system:image-builder"}
    subject = {"kind": "ServiceAccount", "namespace": "automated", "name": "default"}
    binding = {"metadata": {"name": "somebody-pushes"}, "roleRef": reference, "subjects": [subject]}
    world.plane.admin.create(f"/apis/{group}/v1/namespaces/automated/rolebindings", binding)
    return world.service_account_token("automated", "default")


@contextlib.contextmanager
def _operator(world: World) -> Iterator[None]:
    """The Quay operator, for all namespaces."""
    connection = {"kubeconfig": str(world.admin_kubeconfig)}
    operator = {"package": "quay-operator", "namespace": "openshift-operators"}
    installed = run_module("olm_operator", **connection, operators=[operator])
    assert not installed.get("failed"), installed["msg"]
    yield
    run_module("olm_operator", **connection, operators=[{**operator, "state": "absent"}])
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    with contextlib.suppress(ApiError):  # no step has brought it
        world.plane.admin.request("DELETE", f"{definitions}/objectbucketclaims.objectbucket.io")


def before(world: World, playbook: str, variables: dict[str, Any]) -> None:
    """What happens on the cluster before a step: a Quay that is to go has got a bucket, where it was asked for one."""
    if playbook != "quay_registry" or variables.get("quay_registry_state") != "absent":
        return
    admin, group = world.plane.admin, "objectbucket.io"
    names = {"kind": "ObjectBucketClaim", "listKind": "ObjectBucketClaimList", "plural": "objectbucketclaims"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    definition = {"metadata": {"name": f"objectbucketclaims.{group}"}, "spec": spec}
    admin.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    namespace = "namespaces/automated-registry"
    owner = admin.request("GET", f"/apis/quay.redhat.com/v1/{namespace}/quayregistries/quay")
    reference = {
        "apiVersion": "quay.redhat.com/v1",
        "kind": "QuayRegistry",
        "name": "quay",
        "uid": owner["metadata"]["uid"],
    }
    metadata = {"name": "quay-datastore", "ownerReferences": [reference]}
    claim = {"apiVersion": f"{group}/v1alpha1", "kind": "ObjectBucketClaim", "metadata": metadata}
    claims = f"/apis/{group}/v1alpha1/{namespace}/objectbucketclaims"

    def served() -> bool:
        try:
            admin.create(claims, claim)
        except ApiError as error:
            if error.status != 404:  # it takes a moment
                raise
            return False
        return True

    world.wait_for(served, "the cluster's object storage")


@contextlib.contextmanager
def _second_channel(world: World) -> Iterator[None]:
    """The bridge's operator in another channel, too."""
    packages = world.simulation.olm.catalogs["openshift-marketplace", "redhat-operators"]
    before = packages["quay-bridge-operator"]
    bundles: list[Bundle] = before.channels["stable-3.14"]
    packages["quay-bridge-operator"] = Package(before.name, {**before.channels, "stable": bundles}, "stable-3.14")
    yield
    packages["quay-bridge-operator"] = before
