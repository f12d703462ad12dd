"""The world does to clients what a cluster does: RBAC decides who pushes, TLS is verified, logins come and go."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from world import sandbox
from world.images import tiny_image
from world.world import World

CONFIG = "/apis/imageregistry.operator.openshift.io/v1/configs/cluster"
RBAC = "rbac.authorization.k8s.io"


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def exposed(world: World) -> Iterator[World]:
    """The registry with its default route, and two projects with a builder and a puller."""
    admin = world.plane.admin
    admin.request("PATCH", CONFIG, {"spec": {"defaultRoute": True}})
    for project in ("world-one", "world-two"):
        admin.create("/api/v1/namespaces", {"metadata": {"name": project}})
        for name, role in {"pusher": "system:image-builder", "puller": "system:image-puller"}.items():
            admin.create(f"/api/v1/namespaces/{project}/serviceaccounts", {"metadata": {"name": name}})
            binding = {
                "metadata": {"name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": project}],
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            }
            admin.create(f"/apis/{RBAC}/v1/namespaces/{project}/rolebindings", binding)
    path = "/apis/config.openshift.io/v1/images/cluster"
    world.wait_for(
        lambda: world.registry_host in (admin.request("GET", path)["status"].get("externalRegistryHostnames") or []),
        "the route",
    )
    yield world
    admin.request("PATCH", CONFIG, {"spec": {"defaultRoute": False}})


@pytest.fixture
def certificates(exposed: World, tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(exposed.simulation.ingress.authority.certificate)
    return folder


def login(world: World, project: str, name: str, tmp_path: Path) -> Path:
    auth = base64.b64encode(f"any:{world.service_account_token(project, name)}".encode()).decode()
    file = tmp_path / f"{project}-{name}.json"
    file.write_text(json.dumps({"auths": {world.registry_host: {"auth": auth}}}))
    return file


def push(world: World, certificates: Path, auth: Path, image: str, repository: str) -> subprocess.CompletedProcess[str]:
    target = f"docker://{world.registry_host}/{repository}"
    return run("skopeo", "copy", "--all", "--authfile", auth, "--dest-cert-dir", certificates, image, target)


def test_a_builder_pushes_and_the_stream_appears(exposed: World, certificates: Path, tmp_path: Path) -> None:
    image = tiny_image(tmp_path / "image", architectures=("amd64", "arm64"))
    auth = login(exposed, "world-one", "pusher", tmp_path)
    pushed = push(exposed, certificates, auth, image, "world-one/app:1")
    assert pushed.returncode == 0, pushed.stderr
    path = "/apis/image.openshift.io/v1/namespaces/world-one/imagestreams/app"
    stream = exposed.plane.admin.request("GET", path)
    assert [tag["tag"] for tag in stream["status"]["tags"]] == ["1"]
    puller = login(exposed, "world-one", "puller", tmp_path)
    source = f"docker://{exposed.registry_host}/world-one/app:1"
    pulled = run("skopeo", "inspect", "--raw", "--authfile", puller, "--cert-dir", certificates, source)
    assert len(json.loads(pulled.stdout)["manifests"]) == 2


def test_refusals_are_the_api_servers(exposed: World, certificates: Path, tmp_path: Path) -> None:
    image = tiny_image(tmp_path / "image", "refused")
    builder = login(exposed, "world-one", "pusher", tmp_path)
    puller = login(exposed, "world-one", "puller", tmp_path)
    assert "x509" in push(exposed, tmp_path, builder, image, "world-one/app:2").stderr
    assert "unauthorized" in push(exposed, certificates, puller, image, "world-one/app:2").stderr
    assert "unauthorized" in push(exposed, certificates, builder, image, "world-two/app:2").stderr


def test_podman_works_too(exposed: World, certificates: Path, tmp_path: Path) -> None:
    builder = login(exposed, "world-one", "pusher", tmp_path)
    image, name = tiny_image(tmp_path / "image", "podman"), f"{exposed.registry_host}/world-one/podman:1"
    assert push(exposed, certificates, builder, image, "world-one/podman:0").returncode == 0
    options = ["--authfile", builder, "--cert-dir", certificates]
    pulled = run("podman", "pull", "-q", *options, name.replace(":1", ":0"))
    assert pulled.returncode == 0, pulled.stderr
    pushed = run("podman", "push", "-q", *options, name.replace(":1", ":0"), name)
    assert pushed.returncode == 0, pushed.stderr


def test_another_router_ca(exposed: World, certificates: Path, tmp_path: Path) -> None:
    auth, image = login(exposed, "world-one", "pusher", tmp_path), tiny_image(tmp_path / "image", "rotated")
    exposed.rotate_router_ca()
    assert "x509" in push(exposed, certificates, auth, image, "world-one/app:3").stderr
    (certificates / "ca.crt").write_bytes(exposed.simulation.ingress.authority.certificate)
    assert push(exposed, certificates, auth, image, "world-one/app:3").returncode == 0


def test_requests_of_clients_are_counted(world: World) -> None:
    mark = world.mark()
    command = f"from kubernetes import client, config; config.load_kube_config({str(world.admin_kubeconfig)!r});" + (
        "client.CoreV1Api().list_namespaced_secret('default')"
    )
    subprocess.run([sys.executable, "-c", command], check=True)
    (request,) = world.requests(mark)
    assert (request.verb, request.user, request.status) == ("list", "system:admin", 200)


def test_without_namespaces_clients_come_through_the_proxy(tmp_path: Path) -> None:
    """In a process of its own: a world on high ports, reached by its host names through HTTPS_PROXY."""
    script = tmp_path / "fallback.py"
    script.write_text(
        "import ssl, urllib.request\n"
        "from world import sandbox\n"
        "from world.world import World\n"
        "assert not sandbox.inside()\n"
        "with World('fallback', '127.0.0.13') as world:\n"
        "    opener = urllib.request.build_opener(\n"
        "        urllib.request.ProxyHandler({'https': sandbox.NAMES.proxy()}),\n"
        "        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=world.ca_bundle)))\n"
        "    print(opener.open('https://oauth-openshift.apps.fallback.example.com/healthz').read())\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != sandbox.INSIDE}
    environment[sandbox.WITHOUT_NAMESPACES] = "1"
    command = [sys.executable, "-m", "world", "exec", "--", sys.executable, str(script)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "No namespaces here" in answer.stderr
    assert answer.stdout.strip() == "b'ok'", answer.stderr


def test_the_oauth_discovery_document_is_the_api_servers(world: World) -> None:
    trust = ssl.create_default_context(cafile=str(world.ca_bundle))
    with urllib.request.urlopen(f"{world.url}/.well-known/oauth-authorization-server", context=trust) as answer:
        assert json.load(answer)["issuer"] == f"https://oauth-openshift.{world.domain}"
