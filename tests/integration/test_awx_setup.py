"""AWX as code, by the real modules of awx.awx against an API that keeps what it is given; the execution environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from awx import Awx

from playbooks import Run, environment, run_playbook
from staging import ROOT

KUBECONFIG = "the content of a kubeconfig with a token"


def setup(awx: Awx, tmp_path: Path) -> Run:
    variables = {
        "awx_setup_project_url": "https://git.example.com/registries.git",
        "awx_setup_execution_environment": "registry.example.com/quayside-ee:1.0",
        "awx_setup_kubeconfig": KUBECONFIG,
        "awx_setup_slices": 3,
        "ansible_python_interpreter": sys.executable,
    }
    (tmp_path / "variables.yml").write_text(json.dumps(variables))
    env = {**environment(tmp_path / "none", tmp_path), "CONTROLLER_HOST": awx.host, "CONTROLLER_OAUTH_TOKEN": "secret"}
    return run_playbook(
        "quayside.registry.awx_setup", env, "-e", f"@{tmp_path / 'variables.yml'}", inventory=Path("localhost,")
    )


def test_awx_is_set_up_once(tmp_path: Path) -> None:
    with Awx() as awx:
        made = setup(awx, tmp_path)
        assert not made.failures
        assert KUBECONFIG not in made.output
        again = setup(awx, tmp_path)
        assert not again.failures
        changed = [task for task, _host, result in again.results if result["changed"]]

        # AWX never shows a secret again, so that its module cannot tell whether it is the same
        assert set(changed) <= {"Credential of the clusters"}
        kinds = awx.named("credential_types")
        assert kinds["Quayside kubeconfig"]["injectors"] == {
            "file": {"template": "{{ kubeconfig }}"},
            "env": {"K8S_AUTH_KUBECONFIG": "{{ tower.filename }}"},
        }
        playbooks = {file.name for file in (ROOT / "playbooks").glob("*.yml")}
        templates = awx.named("job_templates")
        assert {template["playbook"] for template in templates.values()} <= playbooks
        builders = templates["Quayside builders"]
        assert (builders["job_slice_count"], builders["ask_limit_on_launch"], builders["survey_enabled"]) == (
            3,
            True,
            True,
        )
        survey = awx.surveys[f"job_templates/{builders['id']}/survey_spec"]
        assert [question["variable"] for question in survey["spec"]] == ["builders_purge"]
        credential = awx.named("credentials")["Quayside clusters"]
        assert awx.links[f"job_templates/{builders['id']}/credentials"] == [credential["id"]]

        nodes = awx.named("workflow_job_template_nodes")
        order, name = ["expose_registry"], "expose_registry"
        while follow := awx.links.get(f"workflow_job_template_nodes/{nodes[name]['id']}/success_nodes"):
            name = next(key for key, node in nodes.items() if node["id"] == follow[0])
            order.append(name)
        assert order == [
            "expose_registry",
            "trust_registry",
            "image_config",
            "builders",
            "pull_secrets",
            "image_streams",
            "verify_registry",
            "report",
        ]
        schedules = awx.named("schedules")
        assert schedules["Quayside builders from time to time"]["unified_job_template"] == builders["id"]


def test_surveys_ask_for_variables_that_roles_have() -> None:
    (play,) = yaml.load((ROOT / "playbooks" / "awx_setup.yml").read_text().replace("!unsafe ", ""), yaml.SafeLoader)
    for template in play["vars"]["awx_setup_playbooks"]:
        role = ROOT / "roles" / template["name"]
        options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
        for question in template["survey"]:
            option = options[question["variable"]]
            assert question["default"] in question["choices"]
            assert set(question["choices"]) <= set(option.get("choices", question["choices"]))
            assert question["default"] == str(option.get("default", question["default"])).lower()


def test_an_execution_environment_is_made_of_what_the_collection_asks_for(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("ansible-builder")
    env = {**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}

    def builder(*arguments: object) -> str:
        command = [str(tool), *map(str, arguments)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    definition = ROOT / "docs" / "execution_environment" / "execution-environment.yml"
    builder("create", "-f", definition, "-c", tmp_path / "context", "--output-filename", "Containerfile")
    text = (tmp_path / "context" / "Containerfile").read_text()
    assert yaml.safe_load(definition.read_text())["images"]["base_image"]["name"] in text
    assert "quayside.registry" in (tmp_path / "context" / "_build" / "requirements.yml").read_text()

    wanted = builder(
        "introspect",
        ROOT / "build" / "collections",
        "--write-pip",
        tmp_path / "pip",
        "--write-bindep",
        tmp_path / "system",
    )
    assert wanted
    packages = (tmp_path / "pip").read_text()
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or line in packages
    assert "skopeo" in (tmp_path / "system").read_text()
