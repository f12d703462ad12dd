"""AWX as code, by the real modules of awx.awx against an API that keeps what it is given; the execution environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from awx import Awx

from ansible_collections.quayside.registry.plugins.module_utils.quay.client import CONNECTION
from playbooks import Run, environment, run_playbook
from staging import ROOT

KUBECONFIG = "the content of a kubeconfig with a token"
PASSWORD = "quay-Pa55word"
#: Why these playbooks have no job template.
WITHOUT_TEMPLATE = {
    "awx_setup": "it makes the templates, with AWX's own credentials",
    "site": "it is the workflow, of which each step is a job with slices, an outcome and a schedule of its own",
}
#: Those that offer nothing to choose.
WITHOUT_QUESTIONS = {"verify_registry"}
#: Whose variables a survey asks for where the playbook has no role of its name.
ROLES = {"quay": "quay_first_user"}


def setup(awx: Awx, tmp_path: Path) -> Run:
    variables = {
        "awx_setup_project_url": "https://git.example.com/registries.git",
        "awx_setup_execution_environment": "registry.example.com/quayside-ee:1.0",
        "awx_setup_kubeconfig": KUBECONFIG,
        "awx_setup_quay": {"host": "quay.example.com", "username": "quayadmin", "password": PASSWORD},
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
        assert KUBECONFIG not in made.output and PASSWORD not in made.output
        again = setup(awx, tmp_path)
        assert not again.failures
        changed = [task for task, _host, result in again.results if result["changed"]]

        # AWX never shows a secret again, so that its module cannot tell whether it is the same
        assert set(changed) <= {"Credential of the clusters", "Credential of Quay"}
        kinds = awx.named("credential_types")
        assert kinds["Quayside kubeconfig"]["injectors"] == {
            "file": {"template": "{{ kubeconfig }}"},
            "env": {"K8S_AUTH_KUBECONFIG": "{{ tower.filename }}"},
        }
        playbooks = {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
        templates = awx.named("job_templates")
        assert {template["playbook"] for template in templates.values()} == {
            f"{name}.yml" for name in playbooks - WITHOUT_TEMPLATE.keys()
        }
        asked = {name.removeprefix("Quayside ") for name, template in templates.items() if template["survey_enabled"]}
        assert asked == playbooks - WITHOUT_TEMPLATE.keys() - WITHOUT_QUESTIONS
        builders = templates["Quayside builders"]
        assert (builders["job_slice_count"], builders["ask_limit_on_launch"], builders["survey_enabled"]) == (
            3,
            True,
            True,
        )
        survey = awx.surveys[f"job_templates/{builders['id']}/survey_spec"]
        assert [question["variable"] for question in survey["spec"]] == ["builders_purge"]
        clusters, quay = (awx.named("credentials")[f"Quayside {name}"]["id"] for name in ("clusters", "Quay"))
        credentials = {
            name: awx.links.get(f"job_templates/{item['id']}/credentials") for name, item in templates.items()
        }
        assert credentials["Quayside builders"] == [clusters]
        assert credentials["Quayside quay_content"] == [clusters, quay]
        # to give rights takes an administrator, whose credential whoever starts it has to choose
        assert not credentials["Quayside automation_access"]
        assert templates["Quayside automation_access"]["ask_credential_on_launch"]

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
            "quay",
            "quay_content",
            "pull_secrets",
            "image_streams",
            "verify_registry",
            "promote_images",
            "move_to_registry",
            "report",
        ]
        schedules = awx.named("schedules")
        assert schedules["Quayside builders from time to time"]["unified_job_template"] == builders["id"]
        assert {item["unified_job_template"] for item in schedules.values()} == {
            templates[f"Quayside {name}"]["id"]
            for name in ("builders", "quay_first_user", "quay_content", "pull_secrets", "report")
        }


def test_the_workflow_does_what_site_does_and_more() -> None:
    (play,) = yaml.load((ROOT / "playbooks" / "awx_setup.yml").read_text().replace("!unsafe ", ""), yaml.SafeLoader)
    steps = play["vars"]["awx_setup_workflow"]
    site = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text())
    imported = [item["ansible.builtin.import_playbook"].rpartition(".")[2] for item in site]
    # the workflow that publishes is for the source code's host, not for those of the fleet
    assert [step for step in steps if step in imported] == [name for name in imported if name != "publish_workflow"]
    assert set(steps) - set(imported) == {"quay_content", "report"}


def test_the_credential_of_quay_is_what_its_modules_read() -> None:
    (play,) = yaml.load((ROOT / "playbooks" / "awx_setup.yml").read_text().replace("!unsafe ", ""), yaml.SafeLoader)
    (kind,) = [task for task in play["tasks"] if task["name"] == "Credential type of Quay"]
    injected = kind["awx.awx.credential_type"]["injectors"]["env"]
    read = {variable for option in CONNECTION.values() for variable in option["fallback"][1]}
    assert set(injected) == read - {"QUAY_VALIDATE_CERTS"}
    assert injected["QUAY_PASSWORD"] == "{{ password }}"


def test_surveys_ask_for_variables_that_roles_have() -> None:
    (play,) = yaml.load((ROOT / "playbooks" / "awx_setup.yml").read_text().replace("!unsafe ", ""), yaml.SafeLoader)
    for template in play["vars"]["awx_setup_playbooks"]:
        role = ROOT / "roles" / ROLES.get(template["name"], template["name"])
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
