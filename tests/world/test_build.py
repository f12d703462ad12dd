"""Where the programs of a world come from."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from world import build


def assets(folder: Path, *names: str) -> Path:
    for name in names:
        program = folder / name
        program.write_text("#!/bin/sh\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def test_programs_that_are_given_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets(tmp_path, *build.CONTROL_PLANE)))
    binaries = build.ensure()
    assert binaries.etcd == [str(tmp_path / "etcd")]
    assert binaries.kube_apiserver == [str(tmp_path / "kube-apiserver")]
    assert binaries.kube_controller_manager[0] == str(tmp_path / "kube-controller-manager")
    assert "namespace-controller" in binaries.kube_controller_manager[-1]


def test_a_controller_manager_that_is_not_given_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets(tmp_path, "etcd", "kube-apiserver")))
    binaries = build.ensure()
    assert binaries.etcd == [str(tmp_path / "etcd")]
    assert binaries.kube_controller_manager == [str(build.cache_folder() / "controlplane"), "kube-controller-manager"]
    assert Path(binaries.kube_controller_manager[0]).exists()


def test_given_programs_must_be_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets(tmp_path, "etcd")))
    with pytest.raises(RuntimeError, match="has no kube-apiserver"):
        build.ensure()


def test_definitions_are_named_by_what_they_define_and_are_those_of_a_default_cluster() -> None:
    crds = build.ensure().crds
    assert len(list(crds.iterdir())) == sum(len(files) for files in build.CRDS.values())
    assert "  name: images.config.openshift.io\n" in (crds / "images.config.openshift.io.yaml").read_text()
    assert all("CustomNoUpgrade" not in file for files in build.CRDS.values() for file in files)


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module broken\n\ngo 1.24\n")
    (source / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    with pytest.raises(RuntimeError, match="undefined: nothing"):
        build._compile(build._go(), source, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_a_change_of_the_recipe_is_built_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.cache_folder()
    monkeypatch.setattr(build, "REGISTRY_MODULE", "github.com/distribution/distribution/v3@v3.0.0")
    assert build.cache_folder() != before
    assert build.cache_folder().parent == before.parent
