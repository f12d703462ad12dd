"""The documented inventory of two clusters: built on the first, promoted to the second, pulled there, tokens renewed in time."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import read, trusted

from playbooks import Run, environment, run_playbook
from staging import ROOT
from world.images import tiny_image
from world.world import World, worlds

INVENTORY = ROOT / "docs" / "inventories" / "several_clusters.yml"
#: Before anything was pushed there is nothing to promote.
FIRST = ["expose_registry", "trust_registry", "image_config", "builders", "pull_secrets"]


class Fleet:
    """Both clusters and a person's home folder, with which the documented inventory is run as it stands."""

    def __init__(self, source: World, target: World, home: Path) -> None:
        self.source, self.target, self.home = source, target, home
        self.env = {**environment(Path("/nonexistent"), home), "HOME": str(home)}
        self.inventory = Path(shutil.copy(INVENTORY, home))
        (home / ".kube").mkdir()
        _fleet(home / ".kube" / "fleet", nonproduction=source, production=target)
        certificate, key = target.certificate_for("registry.example.com")
        (home / "registry.example.com.crt").write_text(certificate)
        (home / "registry.example.com.key").write_text(key)
        self.setup = self._playbook("setup", FIRST)
        self.site = self._playbook("site", ["site"])
        self.promote = self._playbook("promote", ["promote_images"])
        self.pull_secrets = self._playbook("pull_secrets", ["pull_secrets"])
        self.image_streams = self._playbook("image_streams", ["image_streams"])

    def _playbook(self, name: str, steps: list[str]) -> Path:
        file = self.home / f"{name}.yml"
        file.write_text(
            json.dumps([{"ansible.builtin.import_playbook": f"quayside.registry.{step}"} for step in steps])
        )
        return file

    def run(self, playbook: Path, *arguments: str) -> Run:
        """With one of the build hosts. All hosts are this one, so they take turns and have auth files of their own."""
        here = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "builders_auth_file": f"{self.home}/{{{{ inventory_hostname }}}}.json",
            "promote_images_auth_file": f"{self.home}/{{{{ inventory_hostname }}}}.json",
        }
        limit = ["--limit", "clusters:promoters:build1.example.com", "--forks", "1", "-e", json.dumps(here)]
        run = run_playbook(playbook, self.env, *limit, *arguments, inventory=self.inventory)
        assert not run.failures
        return run

    def tokens_asked_for(self, mark: int) -> int:
        """How many tokens the source's service accounts were asked for since a mark."""
        return sum(request.uri.endswith("/token") for request in self.source.requests(mark))


def _fleet(file: Path, **clusters: World) -> None:
    """One kubeconfig with a context for each cluster, as `kubectl config view --flatten` merges them."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": []}
    for name, world in clusters.items():
        one = yaml.safe_load(world.admin_kubeconfig.read_text())
        merged["clusters"].append({"name": name, "cluster": one["clusters"][0]["cluster"]})
        merged["users"].append({"name": name, "user": one["users"][0]["user"]})
        merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    file.touch(0o600)
    file.write_text(json.dumps(merged))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with worlds("nonproduction", "production") as (source, target):
        running = Fleet(source, target, tmp_path_factory.mktemp("fleet"))
        running.run(running.setup)
        yield running


def skopeo(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True, check=False)


class Workload:
    """A node of the production cluster that pulls for a project's default service account, with what the cluster gives it."""

    def __init__(self, cluster: World, project: str, folder: Path) -> None:
        self.cluster, self.project, self.folder = cluster, project, folder

    def docker_config(self) -> dict[str, Any]:
        """The registries of the pull secret that the service account is linked to."""
        (link,) = read(self.cluster, "serviceaccounts", self.project, "default")["imagePullSecrets"]
        secret = read(self.cluster, "secrets", self.project, link["name"])
        config: dict[str, Any] = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        return config

    def pull(self, image: str) -> str:
        """The digest of the image, read with the pull secret over TLS that only additionalTrustedCA vouches for."""
        authfile = self.folder / "pod.json"
        authfile.write_text(json.dumps(self.docker_config()))
        certificates = trusted(self.cluster, self.folder / "certs.d")[image.partition("/")[0]]
        source = ["--src-cert-dir", certificates, f"docker://{image}"]
        copied = skopeo("copy", "--authfile", authfile, *source, f"oci:{self.folder / 'pulled'}:app")
        assert copied.returncode == 0, copied.stderr
        (manifest,) = json.loads((self.folder / "pulled" / "index.json").read_text())["manifests"]
        return str(manifest["digest"])

    def token(self, registry: str) -> str:
        entry = self.docker_config()["auths"][registry]["auth"]
        return base64.b64decode(entry).decode().partition(":")[2]


def seconds_left(token: str) -> int:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return int(claims["exp"] - time.time())


def push(fleet: Fleet, folder: Path, text: str) -> str:
    """The build host pushes an image with the login that it was given; the image's digest."""
    auth = fleet.home / "build1.example.com.json"
    target = f"docker://{fleet.source.registry_host}/shop/web:1.0"
    pushed = skopeo("copy", "--authfile", auth, tiny_image(folder / text, text), target)
    assert pushed.returncode == 0, pushed.stderr
    return str(json.loads(skopeo("inspect", "--authfile", auth, target).stdout)["Digest"])


@pytest.mark.timeout(600)  # two clusters, and whole playbooks on four hosts
def test_built_promoted_pulled_and_imported(fleet: Fleet, tmp_path: Path) -> None:
    source = fleet.source.registry_host
    digest = push(fleet, tmp_path, "first")

    # promoted once: the second time nothing is copied, nor anything else done
    promoted = fleet.run(fleet.promote)
    assert [f"{change['action']} {change['name']}" for change in promoted.changes] == [
        "create registry.example.com/shop/web:1.0",
        "create registry.example.com/shop/web:live",
    ]
    again = fleet.run(fleet.site)
    assert (again.changed, again.changes) == (0, [])
    live = skopeo(
        "inspect", "--authfile", fleet.home / "promote.example.com.json", "docker://registry.example.com/shop/web:live"
    )
    assert json.loads(live.stdout)["Digest"] == digest

    # a workload of the production cluster pulls from the other cluster
    workload = Workload(fleet.target, "shop-preview", tmp_path)
    assert workload.pull(f"{source}/shop/web:1.0") == digest
    nobody = tmp_path / "no-certificates"
    nobody.mkdir()
    assert "x509" in skopeo("inspect", "--no-creds", "--cert-dir", nobody, f"docker://{source}/shop/web:1.0").stderr
    stranger = ["--no-creds", "--cert-dir", tmp_path / "certs.d" / source, f"docker://{source}/shop/web:1.0"]
    assert "unauthorized" in skopeo("inspect", *stranger).stderr

    # so does an image stream there, through the same trust and the same secret
    stream = [{"name": "web", "namespace": "shop-preview", "tags": [{"name": "1.0", "from": f"{source}/shop/web:1.0"}]}]
    imported = fleet.run(fleet.image_streams, "-e", json.dumps({"image_streams_list": stream}), "--limit", "production")
    assert [change["kind"] for change in imported.changes] == ["ImageStream"]
    (facts,) = [result["ansible_facts"] for _task, _host, result in imported.results if "ansible_facts" in result]
    (result,) = facts["image_streams_result"]["image_streams"]
    assert [tag["digest"] for tag in result["tags"]] == [digest]


def test_a_token_is_renewed_when_renew_before_is_reached_and_only_then(fleet: Fleet, tmp_path: Path) -> None:
    source = fleet.source.registry_host
    digest = push(fleet, tmp_path, "second")
    workload = Workload(fleet.target, "shop-preview", tmp_path)
    long = workload.token(source)

    def run(**options: object) -> tuple[int, int]:
        """Changes, and tokens that were asked for, of a run in which tokens live for ten minutes, Kubernetes' shortest."""
        inventory = yaml.safe_load(INVENTORY.read_text())
        secrets = inventory["clusters"]["hosts"]["production"]["pull_secrets_secrets"]
        (login,) = secrets[0]["registries"]
        login["service_account"]["expires_in"] = 600
        login.update(options)
        mark = fleet.source.mark()
        variables = ["-e", json.dumps({"pull_secrets_secrets": secrets}), "--limit", "production"]
        done = fleet.run(fleet.pull_secrets, *variables)
        return len(done.changes), fleet.tokens_asked_for(mark)

    assert seconds_left(long) > 80000
    assert run(renew_before=599) == (0, 0)  # what is stored lives long enough
    assert run(renew_before=599, force_renew=True) == (1, 1)
    short = workload.token(source)
    assert seconds_left(short) <= 600
    limit = seconds_left(short) - 40  # room for a run on a busy machine
    assert run(renew_before=limit) == (0, 0)
    time.sleep(max(0, seconds_left(short) - limit + 1))
    assert run(renew_before=limit) == (1, 1)
    assert workload.token(source) not in (long, short)
    assert workload.pull(f"{source}/shop/web:1.0") == digest
    assert run(renew_before=limit) == (0, 0)
