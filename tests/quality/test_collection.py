"""The collection as an artifact and as documentation: builds, installs, and says of itself what is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from staging import ROOT

BIN = Path(sys.executable).parent
MODULES = sorted(file.stem for file in (ROOT / "plugins/modules").glob("*.py"))
ROLES = sorted(folder.name for folder in (ROOT / "roles").iterdir())


def run(*command: object, **env: str) -> str:
    finished = subprocess.run(
        [BIN / str(command[0]), *map(str, command[1:])],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def documentation() -> dict[str, Any]:
    names = [f"quayside.registry.{name}" for name in MODULES]
    paths = str(ROOT / "build" / "collections")
    documents: dict[str, Any] = json.loads(run("ansible-doc", "--json", *names, ANSIBLE_COLLECTIONS_PATH=paths))
    return {name.rpartition(".")[2]: document for name, document in documents.items()}


def test_the_artifact_builds_and_installs_without_tests_or_build_files(tmp_path: Path) -> None:
    run("ansible-galaxy", "collection", "build", "--output-path", tmp_path)
    (artifact,) = tmp_path.glob("quayside-registry-*.tar.gz")
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"plugins", "roles", "playbooks", "docs", "meta", "README.md", "LICENSE"} <= tops
    assert not tops & {"tests", "build", ".venv", ".ci", "Makefile"}
    run("ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", tmp_path / "installed", artifact)
    listed = run("ansible-doc", "--list", "quayside.registry", ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "installed"))
    assert all(f"quayside.registry.{module}" in listed for module in MODULES)


def has_sample(value: dict[str, Any]) -> bool:
    return "sample" in value or all(map(has_sample, value.get("contains", {"": {}}).values()))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_attributes_examples_and_samples(module: str, documentation: dict[str, Any]) -> None:
    document = documentation[module]
    assert {"check_mode", "diff_mode", "idempotent"} <= set(document["doc"]["attributes"])
    assert all("name" in task for task in yaml.safe_load(document["examples"]))
    assert not [name for name, value in document["return"].items() if not has_sample(value)]


def test_the_action_group_has_exactly_the_modules_with_a_connection_to_a_cluster(documentation: dict[str, Any]) -> None:
    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["cluster"]
    assert group == sorted(
        name for name, document in documentation.items() if "kubeconfig" in document["doc"]["options"]
    )
    for name in group:
        assert documentation[name]["doc"]["attributes"]["action_group"]["membership"] == ["quayside.registry.cluster"]


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_documented_defaults_are_its_defaults(role: str) -> None:
    specification = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    options = specification["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text())
    assert set(defaults) <= set(options)
    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    # a default that is made of other variables can't be a documented constant
    assert documented == {name: value for name, value in defaults.items() if "{{" not in json.dumps(value)}
    assert all(name.startswith(f"{role}_") for name in options)


def test_requirements_for_users_are_those_of_the_collection() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    listed = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert {item["name"]: item["version"] for item in listed} == galaxy["dependencies"]


def test_the_table_from_quay_configuration_names_options_that_there_are(documentation: dict[str, Any]) -> None:
    text = (ROOT / "docs/quay_from_quay_configuration.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^## quay_\w+$", text, re.MULTILINE)) == 31

    def is_there(path: str) -> bool:
        module, *names = path.split(".") if path.split(".")[0] in MODULES else ["quay_content", *path.split(".")]
        found: dict[str, Any] = {"suboptions": documentation[module]["doc"]["options"]}
        for name in names:
            found = found.get("suboptions", {}).get(name)
            if found is None:
                return False
        return True

    rows = re.findall(r"^\| `[\w.]+` \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 190
    for row in rows:
        named = re.findall(r"`([\w.]+)`", row)
        assert row.startswith("not here: ") or (named and all(map(is_there, named))), row
