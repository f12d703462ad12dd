"""Workflows that the role publish_workflow makes: actionlint has nothing to say, and they may do no more than they must."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from playbooks import environment, run_playbook
from world import build

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
OPENSHIFT = "default-route-openshift-image-registry.apps.example.com"
REGISTRIES: dict[str, dict[str, Any]] = {
    "ghcr": {"kind": "ghcr"},
    "ecr": {"kind": "ecr", "host": ECR, "image": "acme/app", "role_arn": "arn:aws:iam::123456789012:role/publish"},
    "quay": {"kind": "quay", "image": "acme/app"},
    "openshift": {"kind": "openshift", "host": OPENSHIFT, "image": "shop/app"},
}
MINIMAL = {"contents": "read"}
PERMISSIONS = {"ghcr": {"packages": "write"}, "ecr": {"id-token": "write"}, "quay": {}, "openshift": {}}
COMBINATIONS = [*[(kind,) for kind in REGISTRIES], ("ghcr", "ecr"), ("quay", "openshift"), tuple(REGISTRIES)]


@dataclasses.dataclass(frozen=True)
class Made:
    """What came of one run of the role."""

    message: str
    text: str
    facts: dict[str, Any]


def render(checkout: Path, *registries: dict[str, Any], **options: Any) -> Made:
    """Run the role on a checkout."""
    wanted = {"checkout": str(checkout), "registries": list(registries), **options}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": ["quayside.registry.publish_workflow"],
        "vars": {
            "ansible_python_interpreter": sys.executable,
            **{f"publish_workflow_{name}": value for name, value in wanted.items()},
        },
    }
    playbook = checkout.parent / "playbook.yml"
    playbook.write_text(json.dumps([play]))
    run = run_playbook(playbook, environment(Path("/dev/null"), checkout.parent), inventory=Path("localhost,"))
    if run.status != 0:
        failed = [result for _task, _host, result in run.results if result.get("failed")]
        items = [item for result in failed for item in result.get("results", []) if item.get("evaluated_to") is False]
        return Made(" ".join([item["msg"] for item in items] or run.failures), "", {})
    (facts,) = [result["ansible_facts"] for _task, _host, result in run.results if "ansible_facts" in result]
    return Made("", (checkout / ".github/workflows/publish.yml").read_text(), facts["publish_workflow_result"])


def lint(text: str, folder: Path) -> str:
    """What actionlint says of it, also of what is given to actions: those it knows by their version, not by their commit."""
    by_version = re.sub(r"@[0-9a-f]{40} # (v\d+)\S+", r"@\1", text).replace(
        "actions/checkout@v7", "actions/checkout@v6"
    )
    said = ""
    for name, content in {"publish.yml": text, "by_version.yml": by_version}.items():
        (folder / name).write_text(content)
        command = [build.actionlint(), "-no-color", "-shellcheck=", "-pyflakes=", folder / name]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode in (0, 1), run.stderr
        said += run.stdout
    return said


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kinds", COMBINATIONS, ids="+".join)
def test_each_kind_and_every_combination(kinds: tuple[str, ...], checkout: Path, tmp_path: Path) -> None:
    made = render(checkout, *(REGISTRIES[kind] for kind in kinds))
    assert not made.message
    assert lint(made.text, tmp_path) == ""
    workflow = yaml.safe_load(made.text)
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {}
    assert job["permissions"] == MINIMAL | {k: v for kind in kinds for k, v in PERMISSIONS[kind].items()}
    assert workflow["concurrency"]["group"] == "${{ github.workflow }}-${{ github.ref }}"
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[a-z-]+/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", made.text, re.MULTILINE)) == len(used)
    secrets = set(re.findall(r"secrets\.(\w+)", made.text))
    own = {"quay": {"QUAY_USERNAME", "QUAY_PASSWORD"}, "openshift": {"OPENSHIFT_TOKEN"}}
    assert set(made.facts["secrets"]) == {name for kind in kinds for name in own.get(kind, set())}
    assert secrets == set(made.facts["secrets"]) | ({"GITHUB_TOKEN"} if "ghcr" in kinds else set())
    (names,) = [step for step in job["steps"] if step.get("id") == "names"]
    images = {
        "ghcr": "ghcr.io/${{ github.repository }}",
        "ecr": f"{ECR}/acme/app",
        "quay": "quay.io/acme/app",
        "openshift": f"{OPENSHIFT}/shop/app",
    }
    assert names["with"]["images"].split("\n")[:-1] == [images[kind] for kind in kinds]
    logins = [step["with"] for step in job["steps"] if "login" in step.get("uses", "")]
    assert len(logins) == len(kinds)


def test_keys_of_amazon_are_never_in_it(checkout: Path) -> None:
    (job,) = yaml.safe_load(render(checkout, REGISTRIES["ecr"]).text)["jobs"].values()
    steps = {step["uses"].partition("@")[0]: step.get("with") for step in job["steps"] if "uses" in step}
    role = {"role-to-assume": REGISTRIES["ecr"]["role_arn"], "aws-region": "eu-west-1"}
    assert steps["aws-actions/configure-aws-credentials"] == role
    assert steps["aws-actions/amazon-ecr-login"] == {"registries": "123456789012"}


@pytest.mark.parametrize(
    "given", [{"ca_file": ".github/ca.crt"}, {"ca_variable": "REGISTRY_CA"}], ids=lambda g: next(iter(g))
)
def test_the_ca_of_a_clusters_router(given: dict[str, str], checkout: Path, tmp_path: Path) -> None:
    made = render(checkout, {**REGISTRIES["openshift"], **given, "host": "registry.example.com:5000"})
    assert not made.message
    assert lint(made.text, tmp_path) == ""
    (job,) = yaml.safe_load(made.text)["jobs"].values()
    (trust,) = [step for step in job["steps"] if step.get("name") == "Trust registry.example.com:5000"]
    assert ".github/ca.crt" in trust["env"].values() or "${{ vars.REGISTRY_CA }}" in trust["env"].values()
    assert made.facts["variables"] == [name for key, name in given.items() if key == "ca_variable"]
    (buildx,) = [step for step in job["steps"] if "setup-buildx" in step.get("uses", "")]
    assert 'ca = ["/etc/docker/certs.d/registry.example.com:5000/ca.crt"]' in buildx["with"]["buildkitd-config-inline"]


def test_architectures_runners_triggers_and_other_versions(checkout: Path, tmp_path: Path) -> None:
    made = render(
        checkout,
        REGISTRIES["ghcr"],
        {**REGISTRIES["quay"], "host": "quay.example.com", "password_secret": "ROBOT_TOKEN"},
        name='It\'s "ours": here',
        platforms=["linux/amd64", "linux/arm64"],
        runs_on=["self-hosted", "linux"],
        branches=[],
        tags=["v[0-9]+.*"],
        actions=[{"name": "actions/checkout", "commit": "a" * 40, "version": "v9.9.9"}],
    )
    assert not made.message
    assert lint(made.text.replace("v9.9.9", "v6.0.0"), tmp_path) == ""
    workflow = yaml.safe_load(made.text)
    (job,) = workflow["jobs"].values()
    assert workflow["name"] == 'It\'s "ours": here'
    # YAML 1.1, which Python reads, takes the key "on" for true
    assert workflow[True] == {"push": {"tags": ["v[0-9]+.*"]}, "workflow_dispatch": None}
    assert job["runs-on"] == ["self-hosted", "linux"]
    assert job["steps"][0]["uses"] == f"actions/checkout@{'a' * 40}"
    platforms = [step["with"]["platforms"] for step in job["steps"] if "platforms" in step.get("with", {})]
    assert platforms == ["linux/amd64,linux/arm64"] * 2
    assert "# v9.9.9" in made.text and made.facts["secrets"] == ["QUAY_USERNAME", "ROBOT_TOKEN"]


def test_the_summary_shows_the_digest(checkout: Path, tmp_path: Path) -> None:
    (job,) = yaml.safe_load(render(checkout, REGISTRIES["ghcr"]).text)["jobs"].values()
    summary = tmp_path / "summary.md"
    env = {
        **os.environ,
        "GITHUB_STEP_SUMMARY": str(summary),
        "DIGEST": "sha256:abc",
        "TAGS": "ghcr.io/a/b:1\nghcr.io/a/b:c",
    }
    subprocess.run(["bash", "-e", "-c", job["steps"][-1]["run"]], env=env, check=True)
    assert summary.read_text() == "### sha256:abc\n\n- `ghcr.io/a/b:1`\n- `ghcr.io/a/b:c`\n"


@pytest.mark.parametrize(
    ("registry", "options", "message"),
    [
        ({"kind": "dockerhub"}, {}, "value of kind must be one of: ghcr, ecr, quay, openshift, got: dockerhub"),
        (
            {"kind": "ecr", "host": ECR},
            {},
            "publish_workflow_registries[0]: a registry of kind ecr needs image, role_arn.",
        ),
        (
            {"kind": "ghcr", "role_arn": "x"},
            {},
            "publish_workflow_registries[0]: a registry of kind ghcr has no role_arn.",
        ),
        (
            {**REGISTRIES["quay"], "image": "acme/app:1"},
            {},
            "image acme/app:1 is not an image as NAMESPACE/NAME in small letters and without a tag.",
        ),
        (
            {**REGISTRIES["ecr"], "host": "ecr.example.com"},
            {},
            "host ecr.example.com is not ACCOUNT.dkr.ecr.REGION.amazonaws.com.",
        ),
        (
            {**REGISTRIES["openshift"], "ca_file": "ca.crt", "ca_variable": "CA"},
            {},
            f"{OPENSHIFT} has ca_file and ca_variable; give one of them.",
        ),
        (
            {**REGISTRIES["quay"], "password_secret": "a }} b"},
            {},
            "password_secret a }} b is not a name as GitHub has them",
        ),
        (
            {"kind": "ghcr"},
            {"actions": [{"name": "actions/checkout", "commit": "v4", "version": "v4"}]},
            "publish_workflow_actions: actions/checkout needs a commit of 40 hexadecimal digits",
        ),
        ({"kind": "ghcr"}, {"file": "../publish.yml"}, "../publish.yml is not the name of a file that ends in .yml."),
        ({"kind": "ghcr"}, {"registries": []}, "name at least one registry, or set publish_workflow_state to absent."),
        (
            {"kind": "ghcr"},
            {"registries": [{"kind": "ghcr"}, {"kind": "ghcr", "image": "acme/other"}]},
            "each host may be named once, and these are ghcr.io, ghcr.io.",
        ),
    ],
    ids=lambda value: value.split(" ")[0] if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_refused(
    registry: dict[str, Any], options: dict[str, Any], message: str, checkout: Path
) -> None:
    refused = render(checkout, registry, **options)
    assert message in refused.message
    assert not list(checkout.iterdir())


def test_a_checkout_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    refused = render(tmp_path / "nowhere", REGISTRIES["ghcr"])
    assert f"there is no folder {tmp_path}/nowhere on this host; clone the repository there first." in refused.message
    assert not (tmp_path / "nowhere").exists()


def test_the_linter_sees_what_is_wrong(checkout: Path, tmp_path: Path) -> None:
    made = render(checkout, REGISTRIES["ghcr"])
    assert 'unknown permission scope "package"' in lint(
        made.text.replace("packages: write", "package: write"), tmp_path
    )
    assert 'input "pusch" is not defined' in lint(made.text.replace("push: true", "pusch: true"), tmp_path)
