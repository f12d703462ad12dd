"""Mirror sets on a real API server, and images that are pulled through what nodes make of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project, summaries

from support import run_module
from world.images import tiny_image
from world.world import World

Run = Callable[..., dict[str, Any]]
SETS = {
    "digest": ("/apis/config.openshift.io/v1/imagedigestmirrorsets", "imageDigestMirrors"),
    "tag": ("/apis/config.openshift.io/v1/imagetagmirrorsets", "imageTagMirrors"),
}
POLICIES = "/apis/operator.openshift.io/v1alpha1/imagecontentsourcepolicies"
HUB = {"source": "docker.io/demo", "mirrors": ["ghcr.io/demo"]}


@pytest.fixture
def run(world: World) -> Iterator[Run]:
    def run(*mirrors: dict[str, Any], **params: Any) -> dict[str, Any]:
        connection = {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("image_mirrors", mirrors=list(mirrors), **{**connection, **params})

    yield run
    summaries(run(purge=True))


def stored(world: World, kind: str) -> dict[str, Any]:
    path, field = SETS[kind]
    return {item["metadata"]["name"]: item["spec"][field] for item in world.plane.admin.request("GET", path)["items"]}


def test_check_mode_predicts_the_run_and_a_second_run_only_reads(run: Run, world: World) -> None:
    wanted = [{**HUB, "kind": "tag"}, {**HUB, "mirror_source_policy": "AllowContactingSource"}]
    predicted = run(*wanted, check=True)
    assert stored(world, "tag") == stored(world, "digest") == {}
    done = run(*wanted)
    expected = ["create ImageTagMirrorSet docker-io-demo", "create ImageDigestMirrorSet docker-io-demo"]
    assert summaries(predicted) == summaries(done) == expected
    assert predicted["diff"] == done["diff"]
    assert predicted["mirror_sets"] == done["mirror_sets"]
    assert predicted["rolls_nodes"] is done["rolls_nodes"] is True
    assert "Nodes take this up one after the other" in predicted["warnings"][0]
    assert stored(world, "tag") == stored(world, "digest") == {"docker-io-demo": [HUB]}
    mark = world.mark()
    again = run(*wanted)
    assert (summaries(again), again["rolls_nodes"], "warnings" in again) == ([], False, False)
    assert [request.verb for request in world.requests(mark)] == ["list", "list", "list"]


def test_what_others_made_is_merged_and_never_purged(run: Run, world: World) -> None:
    path, field = SETS["digest"]
    theirs = {"source": "quay.io", "mirrors": ["mirror.example.com:5000/quay"]}
    manifest = {"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "theirs"}}
    world.plane.admin.request("POST", path, {**manifest, "spec": {field: [theirs]}})
    try:
        assert summaries(run({**HUB, "name": "theirs"}, {**HUB, "kind": "tag"})) == [
            "update ImageDigestMirrorSet theirs",
            "create ImageTagMirrorSet docker-io-demo",
        ]
        assert stored(world, "digest") == {"theirs": [theirs, HUB]}
        assert summaries(run(purge=True)) == ["delete ImageTagMirrorSet docker-io-demo"]
        assert summaries(run({**HUB, "name": "theirs", "mirrors": None, "state": "absent"})) == [
            "update ImageDigestMirrorSet theirs"
        ]
        assert stored(world, "digest") == {"theirs": [theirs]}
    finally:
        world.plane.admin.request("DELETE", f"{path}/theirs")


def test_a_deprecated_policy_is_shown_and_left_alone(run: Run, world: World) -> None:
    manifest = {"apiVersion": "operator.openshift.io/v1alpha1", "kind": "ImageContentSourcePolicy"}
    spec = {"repositoryDigestMirrors": [{"source": "quay.io", "mirrors": ["mirror.example.com"]}]}
    world.plane.admin.request("POST", POLICIES, {**manifest, "metadata": {"name": "old"}, "spec": spec})
    try:
        result = run(HUB, purge=True)
        assert result["deprecated_policies"] == ["old"]
        assert any("ImageContentSourcePolicy is deprecated, and the cluster has old" in w for w in result["warnings"])
        refused = run({"source": "quay.io", "mirrors": ["a"], "mirror_source_policy": "NeverContactSource"})
        assert "AllowContactingSource in ImageContentSourcePolicy old" in refused["msg"]
        assert stored(world, "digest") == {"docker-io-demo": [HUB]}
    finally:
        world.plane.admin.request("DELETE", f"{POLICIES}/old")


def test_the_api_agrees_with_what_is_accepted(run: Run) -> None:
    sources = ["localhost", "*.example.com", "registry.example.com:5000", "registry.example.com/a/b_c/d--e__f"]
    result = run(*({"source": source, "mirrors": ["mirror.example.com:5000/a/b.c"]} for source in sources))
    assert [item["mirrors"][0]["source"] for item in result["mirror_sets"]] == sources


def test_who_may_not_is_told_what_to_grant(run: Run, world: World) -> None:
    refused = run(HUB, kubeconfig=str(world.kubeconfig("developer")))
    assert "Could not list image" in refused["msg"]
    assert "Grant that right to the account" in refused["msg"]


def registries_conf(world: World) -> str:
    """The mirrors as the machine config operator writes them for nodes (OpenShift: runtime-utils, EditRegistriesConfig)."""
    text = ""
    for kind, pull in (("digest", "digest-only"), ("tag", "tag-only")):
        for entries in stored(world, kind).values():
            for entry in entries:
                text += f'[[registry]]\nprefix = ""\nlocation = "{entry["source"]}"\n'
                text += f"blocked = {str(entry.get('mirrorSourcePolicy') == 'NeverContactSource').lower()}\n"
                for mirror in entry["mirrors"]:
                    text += f'[[registry.mirror]]\nlocation = "{mirror}"\npull-from-mirror = "{pull}"\n'
    return text


def test_an_image_of_the_docker_hub_is_pulled_from_its_mirror_by_tag(run: Run, world: World, tmp_path: Path) -> None:
    connection, host = {"kubeconfig": str(world.admin_kubeconfig)}, world.registry_host
    certificates, configuration, auth = (tmp_path / name for name in ("certs", "registries.conf", "auth.json"))
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(world.ca_bundle.read_bytes())
    configuration.write_text("")

    def skopeo(*arguments: object, said: str = "") -> subprocess.CompletedProcess[str]:
        command = ["skopeo", "--registries-conf", str(configuration), *map(str, arguments)]
        return subprocess.run(command, input=said, capture_output=True, text=True, check=False)

    run_module("image_registry", **connection, default_route=True)
    with new_project(world) as project:
        run_module("service_accounts", **connection, namespace=project, service_accounts=[{"name": "pusher"}])
        access = [{"project": project, "level": "push", "service_accounts": ["pusher"]}]
        run_module("registry_access", **connection, access=access)
        token = world.service_account_token(project, "pusher")
        login = ("--cert-dir", certificates, "--authfile", auth, "-u", "pusher", "--password-stdin", host)
        assert skopeo("login", *login, said=token).returncode == 0
        common = ("copy", "--src-cert-dir", certificates, "--dest-cert-dir", certificates, "--authfile", auth)
        pushed = skopeo(*common, tiny_image(tmp_path / "image"), f"docker://{host}/{project}/app:1")
        assert pushed.returncode == 0, pushed.stderr

        mirror = {"source": "docker.io/demo", "mirrors": [f"{host}/{project}"], "kind": "tag"}
        made = run({**mirror, "mirror_source_policy": "NeverContactSource"})
        assert summaries(made) == ["create ImageTagMirrorSet docker-io-demo"]
        configuration.write_text(registries_conf(world))
        pull = (*common, "docker://docker.io/demo/app:1", f"dir:{tmp_path / 'pulled'}")
        pulled = skopeo(*pull)
        assert pulled.returncode == 0, pulled.stderr
        assert summaries(run(purge=True)) == ["delete ImageTagMirrorSet docker-io-demo"]
        configuration.write_text(registries_conf(world))
        assert skopeo(*pull).returncode != 0
