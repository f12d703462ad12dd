"""A cluster's images leave the Docker Hub: what is copied, and what its nodes can pull by the old names afterwards."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playbooks import Run, environment, run_playbook
from world.external import ExternalRegistry
from world.world import World

MIRRORS = "/apis/config.openshift.io/v1/image{}mirrorsets"
PULL_SECRET = "/api/v1/namespaces/openshift-config/secrets/pull-secret"
PASSWORD = "m0ve-Pa55word"
NEW = "registry.move.example"


@pytest.fixture
def hub(world: World) -> Iterator[ExternalRegistry]:
    """What the Docker Hub's host is to this machine."""
    host = "registry-1.docker.io"
    with ExternalRegistry(host, world.certificate_for(host)) as registry:
        yield registry


@pytest.fixture
def new(world: World) -> Iterator[ExternalRegistry]:
    """A registry that nobody reads without a password."""
    with ExternalRegistry(NEW, world.certificate_for(NEW), {"ann": PASSWORD}) as registry:
        yield registry


@dataclasses.dataclass
class Mover:
    """The playbook with these variables, and what a node then pulls."""

    world: World
    folder: Path
    variables: dict[str, Any]

    def run(self, *arguments: str, playbook: str = "move_to_registry", **more: Any) -> Run:
        given = self.folder / "variables.json"
        given.write_text(json.dumps({**self.variables, **more}))
        env = environment(self.world.admin_kubeconfig, self.folder)
        return run_playbook(f"quayside.registry.{playbook}", env, "-e", f"@{given}", *arguments)

    def mirrors(self) -> dict[str, list[dict[str, Any]]]:
        """The sources of this role's mirror sets, for tags and for digests."""
        found: dict[str, list[dict[str, Any]]] = {}
        for kind in ("tag", "digest"):
            for item in self.world.plane.admin.request("GET", MIRRORS.format(kind))["items"]:
                assert item["metadata"]["name"] == "moved-images"
                found[kind] = item["spec"][f"image{kind.title()}Mirrors"]
        return found

    def pull(self, image: str) -> subprocess.CompletedProcess[str]:
        """As a node does: with the global pull secret, and the mirrors as the machine config operator writes them."""
        configuration, auth = self.folder / "registries.conf", self.folder / "node.json"
        text = ""
        for source in sorted({entry["source"] for entries in self.mirrors().values() for entry in entries}):
            text += f'[[registry]]\nprefix = ""\nlocation = "{source}"\n'
            for kind, entries in self.mirrors().items():
                for mirror in (m for entry in entries if entry["source"] == source for m in entry["mirrors"]):
                    text += f'[[registry.mirror]]\nlocation = "{mirror}"\npull-from-mirror = "{kind}-only"\n'
        configuration.write_text(text)
        secret = self.world.plane.admin.request("GET", PULL_SECRET)
        auth.write_bytes(base64.b64decode(secret["data"][".dockerconfigjson"]))
        common = [
            "skopeo",
            "--registries-conf",
            configuration,
            "inspect",
            "--cert-dir",
            self.folder,
            "--authfile",
            auth,
        ]
        command = [*map(str, common), "--format", "{{.Digest}}", f"docker://{image}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def mover(world: World, new: ExternalRegistry, tmp_path: Path) -> Iterator[Mover]:
    ca = tmp_path / "ca.crt"
    ca.write_text(world.certificate_for(NEW)[0])  # with its CA
    variables = {
        "move_to_registry_images": [
            {"source": "docker.io/acme/shop", "tag_filter": {"glob": "1.*"}, "destinations": [f"{NEW}/acme/shop"]},
            {"source": "docker.io/library/web:2", "destinations": [f"{NEW}/hub/web"]},
        ],
        "move_to_registry_registries": [
            {"host": "docker.io", "ca_cert": str(ca)},
            {"host": NEW, "ca_cert": str(ca), "username": "ann", "password": PASSWORD},
        ],
        "move_to_registry_global_registries": [{"registry": NEW, "username": "ann", "password": PASSWORD}],
    }
    mover = Mover(world, tmp_path, variables)
    yield mover
    gone = [{"registry": NEW, "state": "absent"}]
    run = mover.run(move_to_registry_state="absent", move_to_registry_global_registries=gone)
    assert not run.failures and mover.mirrors() == {}


def names(run: Run) -> list[str]:
    assert not run.failures, run.failures
    return [f"{change['action']} {change['kind']} {change['name']}" for change in run.changes]


def test_images_move_and_pods_keep_their_names(hub: ExternalRegistry, mover: Mover) -> None:
    shop = hub.push("acme/shop", "1.0", "shop", architectures=("amd64", "arm64"))
    web = hub.push("library/web", "2", "web")
    hub.push("acme/shop", "0.9", "old shop")

    predicted = mover.run("--check", "--diff")
    assert mover.mirrors() == {}
    done = mover.run("--diff")
    assert PASSWORD not in predicted.output + done.output
    expected = [
        f"create Image {NEW}/acme/shop:1.0",
        f"create Image {NEW}/hub/web:2",
        "create Secret pull-secret",
        "create ImageTagMirrorSet moved-images",
        "create ImageDigestMirrorSet moved-images",
    ]
    assert names(predicted) == names(done) == expected
    moved = [
        {"source": "docker.io/acme/shop", "mirrors": [f"{NEW}/acme/shop"]},
        {"source": "docker.io/library/web", "mirrors": [f"{NEW}/hub/web"]},
    ]
    assert mover.mirrors() == {"tag": moved, "digest": moved}
    again = mover.run()
    assert (names(again), again.changed) == ([], 0)

    # a new tag is copied by the next run, and nothing else is touched
    newer = hub.push("acme/shop", "1.1", "shop 1.1")
    assert names(mover.run()) == [f"create Image {NEW}/acme/shop:1.1"]

    # nodes look at the new registry, by tag and by digest, with the global pull secret, also when the old one has lost it
    hub.delete("acme/shop", shop)
    for image, digest in {
        "docker.io/acme/shop:1.0": shop,
        f"docker.io/acme/shop@{shop}": shop,
        "docker.io/acme/shop:1.1": newer,
        "docker.io/library/web:2": web,
        "docker.io/acme/shop:0.9": "",
    }.items():
        pulled = mover.pull(image)
        if digest:
            assert pulled.stdout.strip() == digest, pulled.stderr
    # what was not copied still comes from the old one
    assert pulled.returncode == 0, pulled.stderr


def test_site_moves_images_where_some_are_named(hub: ExternalRegistry, mover: Mover) -> None:
    hub.push("acme/shop", "1.0", "shop")
    hub.push("library/web", "2", "web")
    moved = mover.run("--check", playbook="site")
    assert f"create Image {NEW}/acme/shop:1.0" in names(moved)
    mover.run()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"source": "nginx:1.27", "destinations": ["ghcr.io/acme/nginx"]}, "write the source with its registry"),
        (
            {"source": "docker.io/nginx:1.27", "destinations": ["ghcr.io/acme/nginx"]},
            "docker.io/library/nginx:1.27, not nginx",
        ),
        (
            {"source": "docker.io/acme/app:1", "destinations": ["ghcr.io/acme/app:2"]},
            "as HOST/REPOSITORY without a tag",
        ),
        ({"source": "docker.io/acme/app", "destinations": ["ghcr.io/acme/app"]}, "docker.io/acme/app' has no tag."),
    ],
    ids=["no host", "official image", "another tag", "no tag"],
)
def test_what_cannot_be_moved_is_refused(image: dict[str, Any], message: str, mover: Mover) -> None:
    refused = mover.run(move_to_registry_images=[image])
    failed = [result for _task, _host, result in refused.results if result.get("failed")]
    items = [item for result in failed for item in result.get("results", []) if item.get("evaluated_to") is False]
    (said,) = [item["msg"] for item in items or failed]
    assert message in said
    assert not refused.changes and mover.mirrors() == {}
