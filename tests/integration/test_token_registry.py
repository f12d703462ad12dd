"""A private repository of a registry as GitHub's: user and personal access token, exchanged for a bearer token each time."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import names, new_project, read, summaries
from registries import Distribution

from support import run_module
from world.token_registry import TokenRegistry
from world.world import World

HOST = "ghcr.example.com"
WRITER, READER = ("ann", "ghp_write-packages"), ("bob", "ghp_read-packages")


@pytest.fixture(scope="module")
def registry(world: World) -> Iterator[TokenRegistry]:
    """Trusted by this host as a node or a build host would."""
    with TokenRegistry(HOST, world.certificate_for(HOST), dict([WRITER]), dict([READER])) as running:
        chain, _key = world.certificate_for(HOST)
        run_module("certs_d", registries=[{"host": HOST, "ca_certificates": chain}])
        yield running


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


def skopeo(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True, check=False)


def give(world: World, project: str, folder: Path, user: str, pat: str) -> dict[str, Any]:
    """A pull secret whose token lies in a file, as GitHub's guide has it."""
    file = folder / "pat"
    file.touch(0o600)
    file.write_text(pat + "\n")
    login = {"registry": f"{HOST}/acme", "username": user, "password_file": str(file)}
    wanted = {"name": "ghcr", "namespaces": [project], "registries": [login], "pull": ["default"]}
    return run_module("pull_secrets", kubeconfig=str(world.admin_kubeconfig), pull_secrets=[wanted])


def promote(source: str, destination: str, login: tuple[str, str], plain: Distribution) -> dict[str, Any]:
    access = [{"host": HOST, "username": login[0], "password": login[1]}, {"host": plain.host, "insecure": True}]
    return run_module("image_promotion", images=[{"source": source, "destinations": [destination]}], registries=access)


def test_a_pull_secret_pulls_and_an_image_stream_imports(
    world: World, project: str, registry: TokenRegistry, tmp_path: Path
) -> None:
    digest = registry.push("acme/private", "1.0")
    assert "unauthorized" in skopeo("inspect", "--no-creds", f"docker://{HOST}/acme/private:1.0").stderr
    made = give(world, project, tmp_path, *READER)
    assert summaries(made) == ["create Secret ghcr", "update ServiceAccount default"]
    assert "warnings" not in made  # it was proven
    assert READER[1] not in json.dumps(made)
    assert summaries(give(world, project, tmp_path, *READER)) == []

    secret = read(world, "secrets", project, "ghcr")
    authfile = tmp_path / "pod.json"
    authfile.write_bytes(base64.b64decode(secret["data"][".dockerconfigjson"]))
    pulled = skopeo("inspect", "--authfile", authfile, f"docker://{HOST}/acme/private:1.0")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["Digest"] == digest

    stream = {"name": "private", "namespace": project, "tags": [{"name": "1.0", "from": f"{HOST}/acme/private:1.0"}]}
    imported = run_module("image_streams", kubeconfig=str(world.admin_kubeconfig), image_streams=[stream])
    assert summaries(imported) == ["create ImageStream private"]
    assert imported["image_streams"][0]["tags"][0]["digest"] == digest


def test_a_wrong_token_is_refused_with_the_registry_and_the_user(
    world: World, project: str, registry: TokenRegistry, tmp_path: Path
) -> None:
    refused = give(world, project, tmp_path, READER[0], "ghp_revoked")
    assert (
        f"pull_secrets[0].registries[0] ({HOST}/acme): the new credential of user bob could not be proven"
        in refused["msg"]
    )
    assert f"{HOST} does not let user bob log in: DENIED: denied" in refused["msg"]
    assert "ghp_revoked" not in json.dumps(refused)
    assert "ghcr" not in names(world, "secrets", project)


def test_images_are_promoted_from_it_and_to_it(registry: TokenRegistry, tmp_path: Path) -> None:
    digest = registry.push("acme/private", "2.0", "two", architectures=("amd64", "arm64"))
    source, released = f"{HOST}/acme/private:2.0", f"{HOST}/acme/released:2.0"
    with Distribution(tmp_path / "plain") as plain:
        there = f"{plain.host}/mirror/private:2.0"
        made = promote(source, there, READER, plain)
        assert [change["name"] for change in made["changes"]] == [there]
        assert made["images"][0]["destination_digest"] == digest
        refused = promote(there, released, READER, plain)
        assert f"could not be copied to {released} (as bob" in refused["msg"] and "403 (Forbidden)" in refused["msg"]
        refused = promote(there, released, (WRITER[0], "ghp_revoked"), plain)
        assert refused["msg"].startswith(f"{HOST} does not let user ann")
        assert summaries(promote(there, released, WRITER, plain))
        again = promote(there, released, WRITER, plain)
        assert summaries(again) == []
        assert again["images"][0]["destination_digest"] == digest
