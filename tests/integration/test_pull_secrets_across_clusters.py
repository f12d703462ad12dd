"""A project of one cluster pulls from the registry of another, with a token that the other cluster's service account gives."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project, path, read, summaries

from playbooks import environment, run_playbook
from support import run_module
from world.images import tiny_image
from world.world import World, worlds


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[World, World]]:
    """The cluster whose registry holds the image, and the one whose workload pulls it."""
    with worlds("one", "two") as (source, consumer):
        yield source, consumer


@pytest.fixture(scope="module")
def image(clusters: tuple[World, World], tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image in the first cluster's registry, which this host trusts as a node would."""
    source = clusters[0]
    folder = tmp_path_factory.mktemp("image")
    connection = {"kubeconfig": str(source.admin_kubeconfig)}
    run_module("image_registry", **connection, default_route=True)
    found = run_module("router_ca_info", **connection, hosts=[source.registry_host])
    trusted = {"host": source.registry_host, "ca_certificates": found["registries"][0]["ca_certificates"]}
    run_module("certs_d", registries=[trusted])
    accounts = [{"name": name, "namespace": "shop"} for name in ("pusher", "puller")]
    run_module("service_accounts", **connection, service_accounts=accounts, create_projects=True)
    access = [
        {"project": "shop", "level": "push", "service_accounts": ["pusher"]},
        {"project": "shop", "level": "pull", "service_accounts": ["puller"]},
    ]
    run_module("registry_access", **connection, access=access)
    allow_tokens(source)
    auths = {source.registry_host: {"auth": encode("pusher", source.service_account_token("shop", "pusher"))}}
    (folder / "auth.json").write_text(json.dumps({"auths": auths}))
    reference = f"docker://{source.registry_host}/shop/web:1"
    skopeo("copy", "--authfile", folder / "auth.json", tiny_image(folder / "web"), reference, check=True)
    return reference


def encode(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def skopeo(*arguments: object, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True, check=check)


def pull(world: World, project: str, image: str, folder: Path) -> str:
    """Pull as a node would with what the project's default service account is linked to; what the client complains of."""
    account = read(world, "serviceaccounts", project, "default")
    (link,) = account["imagePullSecrets"]
    secret = read(world, "secrets", project, link["name"])
    authfile = folder / "pod-auth.json"
    authfile.write_bytes(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return skopeo("copy", "--authfile", authfile, image, f"dir:{folder / 'pulled'}").stderr


def give(consumer: World, project: str, registry: str, account: dict[str, Any], **options: Any) -> dict[str, Any]:
    login = {"registry": registry, "service_account": {"namespace": "shop", **account}, **options}
    wanted = {"name": "shop-pull", "namespaces": [project], "registries": [login], "pull": ["default"]}
    return run_module("pull_secrets", kubeconfig=str(consumer.admin_kubeconfig), pull_secrets=[wanted])


@pytest.fixture
def project(clusters: tuple[World, World]) -> Iterator[str]:
    consumer = clusters[1]
    with new_project(consumer) as name:
        consumer.wait_for(lambda: "default" in _accounts(consumer, name), "the default service account")
        yield name


def _accounts(world: World, project: str) -> set[str]:
    return {
        item["metadata"]["name"] for item in world.plane.admin.request("GET", path("serviceaccounts", project))["items"]
    }


def test_a_pod_pulls_from_the_other_cluster(
    clusters: tuple[World, World], image: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, consumer = clusters
    # names the module's own cluster, and must not leak into the connection to the other
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(consumer.admin_kubeconfig))
    monkeypatch.setenv("K8S_AUTH_HOST", consumer.url)
    monkeypatch.setenv("K8S_AUTH_SSL_CA_CERT", str(consumer.ca_bundle))
    there = {"name": "puller", "cluster": {"kubeconfig": str(source.admin_kubeconfig)}}
    made = give(consumer, project, source.registry_host, there)
    assert summaries(made) == ["create Secret shop-pull", "update ServiceAccount default"]
    assert "warnings" not in made  # the credential was proven
    assert pull(consumer, project, image, tmp_path) == ""

    marks = source.mark(), consumer.mark()
    assert summaries(give(consumer, project, source.registry_host, there)) == []
    assert source.requests(marks[0]) == []
    assert {request.verb for request in consumer.requests(marks[1])} == {"list"}

    renewed = give(consumer, project, source.registry_host, there, force_renew=True)
    assert summaries(renewed) == ["update Secret shop-pull"]
    assert [request.uri.rpartition("/")[2] for request in source.requests(marks[0])].count("token") == 1
    assert pull(consumer, project, image, tmp_path) == ""


def test_connected_to_with_a_token(clusters: tuple[World, World], image: str, project: str, tmp_path: Path) -> None:
    source, consumer = clusters
    key = source.service_account_token("shop", "puller")
    cluster = {"host": source.url, "api_key": key, "ca_cert": str(source.ca_bundle)}
    made = give(consumer, project, source.registry_host, {"name": "puller", "cluster": cluster})
    assert pull(consumer, project, image, tmp_path) == ""
    assert key not in str(made)


def allow_tokens(world: World) -> None:
    """A service account that may make tokens of its own, and nothing else: what one cluster has to give to another."""
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop"
    rules = [
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["puller"], "verbs": ["create"]}
    ]
    world.plane.admin.request("POST", f"{rbac}/roles", {"metadata": {"name": "token"}, "rules": rules})
    binding = {
        "metadata": {"name": "token"},
        "subjects": [{"kind": "ServiceAccount", "name": "puller", "namespace": "shop"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "token"},
    }
    world.plane.admin.request("POST", f"{rbac}/rolebindings", binding)


def test_a_token_without_the_right_does_not_pull(
    clusters: tuple[World, World], image: str, project: str, tmp_path: Path
) -> None:
    source, consumer = clusters
    there = {"name": "default", "namespace": "default", "cluster": {"kubeconfig": str(source.admin_kubeconfig)}}
    give(consumer, project, source.registry_host, there)
    assert "unauthorized" in pull(consumer, project, image, tmp_path)


def test_a_login_on_a_host_takes_the_same_source(clusters: tuple[World, World], image: str, tmp_path: Path) -> None:
    source = clusters[0]
    key = source.service_account_token("shop", "puller")
    cluster = {"host": source.url, "api_key": key, "ca_cert": str(source.ca_bundle)}
    login = {
        "registry": source.registry_host,
        "service_account": {"name": "puller", "namespace": "shop", "cluster": cluster},
    }
    file = tmp_path / "auth.json"
    tasks = [{"quayside.registry.registry_auth": {"registries": [login], "path": str(file)}}]
    variables = {"ansible_python_interpreter": sys.executable}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": tasks}
    (tmp_path / "playbook.yml").write_text(json.dumps([play]))
    env = environment(clusters[1].admin_kubeconfig, tmp_path)
    for expected in (True, False):
        run = run_playbook(tmp_path / "playbook.yml", env, "-vvvv", inventory=Path("localhost,"))
        assert not run.failures
        assert run.results[0][2]["changed"] is expected
        assert key not in run.output
        assert run.results[0][2]["invocation"]["module_args"]["registries"][0]["service_account"]["cluster"] is None
    assert skopeo("inspect", "--authfile", file, image).stderr == ""


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (
            {"host": "https://127.0.0.1:1", "api_key": "some-token"},
            "The API server https://127.0.0.1:1 cannot be reached",
        ),
        ({"kubeconfig": "/nonexistent"}, "No usable connection to a cluster"),
        ({"validate_certs": False}, "service_account.cluster names no cluster"),
        ({"host": "https://127.0.0.1:1"}, "service_account.cluster.host needs api_key"),
    ],
)
def test_another_cluster_that_cannot_be_asked(
    clusters: tuple[World, World], project: str, cluster: dict[str, Any], said: str
) -> None:
    result = give(clusters[1], project, "registry.example.com", {"name": "puller", "cluster": cluster})
    assert "pull_secrets[0].registries[0] (registry.example.com)" in result["msg"]
    assert said in result["msg"]
