"""Every playbook runs with exactly the rights that ``automation_access`` gives, and each of those rights is needed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from automation import ELSEWHERE, INVENTORY, STEPS, before, remove_what_runs_made, surroundings
from clusters import new_project
from pods import waiting_pod

from ansible_collections.quayside.registry.plugins.module_utils.openshift.rights import (
    ALL_PROJECTS,
    CLUSTER,
    PROJECTS,
    RIGHTS,
    Right,
)
from playbooks import Run, environment, run_playbook
from staging import ROOT
from support import run_module
from world.apiclient import ApiClient, ApiError
from world.external import ExternalRegistry
from world.world import REGISTRY_CONFIG, ApiRequest, World

USER = "system:serviceaccount:quayside-automation:automation"

CONTROLLERS = ("list", "openshift-ingress-operator", "operator.openshift.io", "ingresscontrollers", "")

#: Playbook → the rule that is taken away, and what the failure says
ONE_LESS = {
    "expose_registry": ("configs", "Could not read Config cluster"),
    "trust_registry": ("configmaps", "Could not read ConfigMap openshift-config-managed/default-ingress-cert"),
    "image_config": ("imagetagmirrorsets", "Could not list imagetagmirrorsets"),
    "builders": ("clusterroles", "The API server lets an account grant only the rights that it holds itself"),
    "pull_secrets": ("serviceaccounts/token", "Could not make a token of service account automated/default"),
    "image_streams": ("imagestreams", "Could not list imagestreams in automated"),
    "verify_registry": ("routes", "Could not list routes in openshift-image-registry"),
    "diagnose": ("pods", "Could not list pods"),
    "report": ("configs", "Could not read Config cluster"),
    "quay_operator": ("packagemanifests", "Could not list packagemanifests in openshift-marketplace"),
    "quay_registry": ("quayregistries", "Could not read QuayRegistry automated-registry/quay"),
    "quay_first_user": ("routes", "Could not list routes"),
    "quay": ("operatorgroups", "Could not list operatorgroups in automated-quay"),
    "quay_content": ("routes", "Could not list routes"),
    "quay_bridge": ("clusterserviceversions", "Could not list clusterserviceversions in openshift-operators"),
    "move_to_registry": ("imagedigestmirrorsets", "Could not list imagedigestmirrorsets"),
}
#: Playbooks that look where the router's certificate is kept, and take what is published of it.
LOOK_AT_ROUTERS = {"trust_registry", "report", "quay_first_user", "quay_content", "quay"}
IMAGES = "/apis/config.openshift.io/v1/images/cluster"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Path]:
    """Certificates, an auth file and kubeconfigs; two projects to work in."""
    here = tmp_path_factory.mktemp("automation")
    for name in ("registry", "renewed"):
        certificate, key = world.certificate_for("registry.example.com")
        (here / f"{name}.crt").write_text(certificate)
        (here / f"{name}.key").write_text(key)
    with new_project(world, "automated", "automated-test"):
        for namespace in ("automated", "automated-test"):
            world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        # somebody's own binding, of which one of two subjects goes
        subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name} for name in ("fay", "eve")]
        reference = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "registry-viewer"}
        world.plane.admin.request(
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/automated-test/rolebindings",
            {"metadata": {"name": "viewers"}, "roleRef": reference, "subjects": subjects},
        )
        # pods that wait for images of the cluster's own registry, one of them as before Kubernetes 1.32
        image, denied = f"{world.internal_host}/automated-test/app", "authentication required"
        waiting_pod(world, "automated", f"{image}:1", denied, in_event=True)
        waiting_pod(world, "automated", f"{image}@sha256:{'0' * 64}", denied)
        yield here
    with contextlib.suppress(ApiError):
        world.plane.admin.request("DELETE", "/api/v1/namespaces/openshift-config/configmaps/of-least-privilege")
    remove_what_runs_made(world)
    run_module("automation_access", kubeconfig=str(world.admin_kubeconfig), state="absent")


def account(world: World, folder: Path, playbook: str, projects: list[str] | None) -> Path:
    if playbook in ("builders", "verify_registry"):
        run_module("image_registry", kubeconfig=str(world.admin_kubeconfig), default_route=True)
    if playbook in ("diagnose", "report"):
        ca = {"metadata": {"name": "of-least-privilege"}, "data": {}}
        with contextlib.suppress(ApiError):  # there already
            world.plane.admin.request("POST", "/api/v1/namespaces/openshift-config/configmaps", ca)
        world.plane.admin.request("PATCH", IMAGES, {"spec": {"additionalTrustedCA": {"name": "of-least-privilege"}}})
    if playbook in ("pull_secrets", "move_to_registry"):  # a cluster without a global pull secret
        with contextlib.suppress(ApiError):
            world.plane.admin.request("DELETE", "/api/v1/namespaces/openshift-config/secrets/pull-secret")
    if playbook == "quay":  # which is the first that the cluster trusts
        world.plane.admin.request("PATCH", IMAGES, {"spec": {"additionalTrustedCA": None}})
    if playbook == "report":  # a registry without a route shows what the router will
        run_module("image_registry", kubeconfig=str(world.admin_kubeconfig), default_route=False)
    kubeconfig = folder / "automation.kubeconfig"
    made = run_module(
        "automation_access",
        kubeconfig=str(world.admin_kubeconfig),
        playbooks=[playbook],
        projects=projects,
        account_kubeconfig=str(kubeconfig),
    )
    assert not made.get("failed"), made["msg"]
    return kubeconfig


@pytest.fixture
def around(playbook: str, world: World, folder: Path) -> Iterator[dict[str, str]]:
    with surroundings(world, playbook, folder) as found:
        yield found


def play(folder: Path, kubeconfig: Path, playbook: str, variables: dict[str, Any]) -> Run:
    given = {**variables, "cluster_connection": {"kubeconfig": str(kubeconfig)}}
    (folder / "variables.yml").write_text(json.dumps(given))
    env = environment(folder / "no-kubeconfig", folder)
    arguments = ["-e", f"@{folder / 'variables.yml'}"]
    return run_playbook(f"quayside.registry.{playbook}", env, *arguments, inventory=INVENTORY)


def hide_registry(world: World) -> None:
    """Take the registry's routes away: the report then looks up what the router would show for it."""
    admin = world.plane.admin
    admin.request("PATCH", REGISTRY_CONFIG, {"spec": {"defaultRoute": False, "routes": None}})
    world.wait_for(
        lambda: not admin.request("GET", IMAGES).get("status", {}).get("externalRegistryHostnames"), "no route"
    )


def used(right: Right, verb: str, requests: list[ApiRequest]) -> bool:
    resource = f"{right.kind.plural}/{right.subresource}" if right.subresource else right.kind.plural
    for request in requests:
        namespace, group, plural, name = request.object
        if (group, plural) != (right.kind.group, resource):
            continue
        # what is allowed in the whole cluster has to be asked of the whole cluster; a namespace is logged as in itself
        where = {CLUSTER: not namespace or plural == "namespaces", PROJECTS: True, ALL_PROJECTS: True}
        if not where.get(right.where, right.where == namespace) or (right.names and name not in right.names):
            continue
        # what is as wanted already when it is listed is not watched
        if request.verb == verb or (verb == "watch" and request.verb == "list"):
            return True
    return False


def test_every_playbook_for_clusters_is_tested() -> None:
    assert set(STEPS) == set(ONE_LESS) == set(RIGHTS) - {"site"}
    playbooks = {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
    assert set(RIGHTS) | set(ELSEWHERE) == playbooks
    assert not set(RIGHTS) & set(ELSEWHERE)


def test_site_has_what_it_runs_but_may_install_no_operators() -> None:
    imported = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text())
    names = {item["ansible.builtin.import_playbook"].rpartition(".")[2] for item in imported}
    for name in names - set(ELSEWHERE) - {"quay"}:
        missing = [right for right in RIGHTS[name] if not any(covers(other, right) for other in RIGHTS["site"])]
        assert not missing, name
    for name in ("diagnose", "report", "quay", "quay_operator"):
        assert not set(RIGHTS[name]) <= set(RIGHTS["site"])
    assert not [right for right in RIGHTS["site"] if right.kind.group == "operators.coreos.com"]


def covers(one: Right, other: Right) -> bool:
    same = (one.where, one.kind, one.names, one.subresource) == (
        other.where,
        other.kind,
        other.names,
        other.subresource,
    )
    return same and set(other.verbs.split()) <= set(one.verbs.split())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("playbook", STEPS)
def test_exactly_these_rights(
    playbook: str, world: World, ghcr: ExternalRegistry, folder: Path, around: dict[str, str]
) -> None:
    kubeconfig = account(world, folder, playbook, None)
    if playbook == "report":
        hide_registry(world)
    mark, variables = world.mark(), dict[str, Any](around)
    for step in STEPS[playbook]:
        variables.update(step)
        fails = variables.pop("fails", "")
        before(world, playbook, variables)
        run = play(folder, kubeconfig, playbook, variables)
        assert bool(run.failures) == bool(fails), run.failures
        assert not fails or any(fails in failure for failure in run.failures), run.failures
    requests = [request for request in world.requests(mark) if request.user == USER]
    assert requests
    refused = {(request.verb, *request.object) for request in requests if request.status == 403}
    if playbook == "quay_bridge":  # whose InstallPlans nobody approves: an installation that hangs is described without
        refused = {request for request in refused if "installplans" not in request}
    # the private key of the router's certificate is none of its business: the certificate is published elsewhere
    assert refused == ({CONTROLLERS} if playbook in LOOK_AT_ROUTERS else set())
    # to grant a role asks nothing of its own: test_one_right_less shows that this one is needed
    superfluous = [
        (right.where, right.kind.plural, verb)
        for right in RIGHTS[playbook]
        for verb in right.verbs.split()
        if verb != "bind" and not used(right, verb, requests)
    ]
    assert not superfluous


@pytest.mark.timeout(300)
@pytest.mark.parametrize("playbook", ["builders", "pull_secrets", "image_streams", "diagnose", "quay_content"])
def test_in_its_projects_only(
    playbook: str, world: World, ghcr: ExternalRegistry, folder: Path, around: dict[str, str]
) -> None:
    kubeconfig = account(world, folder, playbook, ["automated", "automated-test"])
    variables = dict[str, Any](around)
    for step in STEPS[playbook]:
        if not step.get("everywhere"):
            variables.update(step)
            assert not play(folder, kubeconfig, playbook, variables).failures
    kinds = {"builders": "rolebindings", "image_streams": "imagestreams", "diagnose": "pods"}
    kind = kinds.get(playbook, "secrets")
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    client = ApiClient(world.plane.url, world.plane.world_credentials()[0], token=token)
    prefix = {"rolebindings": "/apis/rbac.authorization.k8s.io/v1", "imagestreams": "/apis/image.openshift.io/v1"}
    with pytest.raises(ApiError, match="forbidden"):
        client.request("GET", f"{prefix.get(kind, '/api/v1')}/namespaces/automated-new/{kind}")


@pytest.mark.parametrize("playbook", ONE_LESS)
def test_one_right_less(
    playbook: str, world: World, ghcr: ExternalRegistry, folder: Path, around: dict[str, str]
) -> None:
    resource, message = ONE_LESS[playbook]
    kubeconfig = account(world, folder, playbook, None)
    # earlier runs have left nothing to do
    for item in ("automated/rolebindings", "automated/secrets"):
        base = "/apis/rbac.authorization.k8s.io/v1" if "role" in item else "/api/v1"
        ours = "?labelSelector=app.kubernetes.io/managed-by=quayside.registry"
        world.plane.admin.request("DELETE", f"{base}/namespaces/{item}{ours}")
    listed = "/apis/rbac.authorization.k8s.io/v1/{}?labelSelector=quayside.registry/automation-access"
    for plural in ("roles", "clusterroles"):
        for role in world.plane.admin.request("GET", listed.format(plural))["items"]:
            namespace = role["metadata"].get("namespace")
            where = f"namespaces/{namespace}/{plural}" if namespace else plural
            path = f"/apis/rbac.authorization.k8s.io/v1/{where}/{role['metadata']['name']}"
            kept = [rule for rule in role["rules"] if resource not in rule["resources"]]
            world.plane.admin.request("PATCH", path, {"rules": kept})
    run = play(folder, kubeconfig, playbook, {**around, **STEPS[playbook][0]})
    assert any(message in failure for failure in run.failures), run.failures
