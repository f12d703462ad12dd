"""The documentation as a site: it builds without a warning, its links lead somewhere; every block in it is run, or says why not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from guides import DOCS, RUN, blocks

from ansible_collections.quayside.registry.plugins.modules import image_promotion, pull_secrets
from staging import ROOT

#: What stands in blocks that are neither commands nor YAML: output, and settings of other programs.
OTHER = {"text", "json", "ini"}


def module_of(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_builds_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    script = ROOT / "docs/site/build.py"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    run = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    site = ROOT / "build/docs"
    plugins = {f"{file.stem}_module" for file in (ROOT / "plugins/modules").glob("*.py")}
    plugins |= {
        f"{file.stem}_{kind}" for kind in ("inventory", "callback") for file in (ROOT / "plugins" / kind).glob("*")
    }
    plugins = {name for name in plugins if not name.startswith("__")}
    roles = {f"{folder.name}_role" for folder in (ROOT / "roles").iterdir()}
    pages = {file.stem for file in (site / "reference").glob("*.html")}
    assert plugins | roles == pages - {"modules", "roles", "plugins", "environment_variables"}
    assert {file.stem for file in (ROOT / "docs").glob("*.md")} <= {file.stem for file in site.glob("*.html")}


def test_links_that_lead_nowhere_and_what_is_loaded_from_elsewhere_are_found(tmp_path: Path) -> None:
    build = module_of(ROOT / "docs/site/build.py")
    head = '<link rel="stylesheet" href="style.css"><script src="https://example.com/x.js"></script>'
    good = '<p id="here"></p><a href="#here">x</a><a href="b.html#there">x</a><a href="https://example.com">x</a>'
    bad = '<a href="c.html">x</a><a href="b.html#nowhere">x</a>'
    (tmp_path / "a.html").write_text(head + good + bad)
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    assert sorted(build.broken(tmp_path)) == [
        "a.html loads https://example.com/x.js",
        "a.html: nothing has the anchor of b.html#nowhere",
        "a.html: there is no c.html",
        "a.html: there is no style.css",
    ]


@pytest.mark.parametrize("document", DOCS, ids=lambda file: file.stem)
def test_every_block_is_run_or_says_why_not(document: Path) -> None:
    for block in blocks(document):
        where = f"{document.name}: {block.text}"
        assert block.language in {"yaml", "sh", *OTHER}, where
        if block.is_run:
            assert document.stem in RUN, where
        elif block.language == "yaml" and not block.file:
            assert not list(faults(yaml.safe_load(block.text))), where


def test_nothing_is_named_that_has_nothing_to_run() -> None:
    running = {file.stem for file in DOCS if any(block.is_run for block in blocks(file))}
    assert sorted(RUN) == sorted(running)


OPTIONS: dict[str, dict[str, Any]] = {
    name: option
    for file in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
    for name, option in yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"].items()
}

#: What roles hand on to a module as it is.
OPTIONS["promote_images_images"] = image_promotion.ARGUMENT_SPEC["images"]
OPTIONS["pull_secrets_secrets"] = pull_secrets.ARGUMENT_SPEC["pull_secrets"]


def faults(variables: dict[str, Any]) -> Iterator[str]:
    """What is no variable of a role, or no value for it, in a piece of an inventory."""
    for name, value in variables.items():
        if name in OPTIONS:
            yield from ArgumentSpecValidator({name: OPTIONS[name]}).validate({name: value}).error_messages
        elif isinstance(value, dict):
            yield from faults(value)
        else:
            yield f"there is no variable {name}"


def test_what_is_wrong_in_variables_is_found() -> None:
    assert list(faults({"hosts": {"one": {"pull_secrets_secrets": [{"name": "a", "pull": ["default"]}]}}})) == []
    assert list(faults({"pull_secret": []})) == ["there is no variable pull_secret"]
    assert "colour" in next(faults({"pull_secrets_secrets": [{"name": "a", "colour": "red"}]}))
