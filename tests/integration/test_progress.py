"""What is waited for and copied is shown while it is, by the callback plugin ``progress``; and what an interruption leaves behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registries import PASSWORD, USER, Distribution, delayed, skopeo

from ansible_collections.quayside.registry.plugins.module_utils import progress
from playbooks import ANSIBLE_PLAYBOOK, INVENTORY, environment, run_playbook
from support import run_module
from world.images import tiny_image
from world.world import World

WATCHED = {"ANSIBLE_CALLBACKS_ENABLED": "quayside.registry.progress", "QUAYSIDE_PROGRESS_INTERVAL": "0"}


def test_a_roll_out_is_watched(world: World, tmp_path: Path) -> None:
    env = {**environment(world.admin_kubeconfig, tmp_path), **WATCHED}
    wanted = ["-e", '{"expose_registry_replicas": 2}']
    run = run_playbook("quayside.registry.expose_registry", env, *wanted)
    assert not run.failures
    assert run.changed == 1
    assert "progress: applying: update Config cluster (0 of 1)" in run.output
    assert f"progress: {world.plane.url}: waiting for Config cluster: Progressing is True" in run.output


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Distribution]:
    with Distribution(tmp_path / "source") as registry:
        yield registry


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Distribution]:
    with Distribution(tmp_path / "target", password=True) as registry:
        yield registry


def push(registry: Distribution, folder: Path, name: str, size: int) -> None:
    """An image with about so many bytes, which do not become fewer when they are compressed."""
    image = tiny_image(folder / name, text=random.Random(name).randbytes(size).hex())
    skopeo("copy", "--dest-tls-verify=false", image, f"docker://{registry.host}/{name}:1")


def options(source: str, target: str, *names: str) -> dict[str, Any]:
    login = {"username": USER, "password": PASSWORD}
    return {
        "images": [{"source": f"{source}/{name}:1", "destinations": [f"{target}/{name}:1"]} for name in names],
        "registries": [{"host": source, "insecure": True}, {"host": target, "insecure": True, **login}],
    }


def test_bytes_are_counted_of_what_is_copied_and_of_what_is_under_way(
    source: Distribution, target: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in {"small": 1000, "large": 2_000_000}.items():
        push(source, tmp_path, name, size)
    seen = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "listener"))
        listener.setblocking(False)
        monkeypatch.setenv(progress.LISTENER, str(tmp_path / "listener"))
        with delayed(source.host, 0, tmp_path, rate=1_000_000) as slow:
            made = run_module("image_promotion", **options(slow, target.host, "small", "large"), parallel=1)
        assert not made.get("failed"), made["msg"]
        while True:
            try:
                message = json.loads(listener.recv(65536))
            except BlockingIOError:
                break
            if message.get("what", "").startswith("create Image"):
                seen.append((message["done"], *message["moved"]))
    small, large = (entry["bytes"] for entry in made["images"])
    assert {total for _done, _moved, total in seen} == {small + large}
    assert seen[0] == (0, 0, small + large)
    moved = [so_far for _done, so_far, _total in seen]
    assert moved == sorted(moved)
    assert any(small < so_far < small + large for so_far in moved)


def test_nothing_is_asked_for_where_nobody_watches(source: Distribution, target: Distribution, tmp_path: Path) -> None:
    push(source, tmp_path, "app", 1000)
    run_module("image_promotion", **options(source.host, target.host, "app"))
    mark = source.mark()
    skopeo("delete", "--tls-verify=false", f"--creds={USER}:{PASSWORD}", f"docker://{target.host}/app:1")
    run_module("image_promotion", **options(source.host, target.host, "app"))
    assert len([line for line in source.requests(mark) if "GET" in line and "/manifests/" in line]) == 1  # skopeo's


def promotion(folder: Path, arguments: dict[str, Any]) -> Path:
    task = {"name": "Copy", "quayside.registry.image_promotion": arguments}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([play]))
    return playbook


class Started:
    """ansible-playbook as a terminal or AWX has it, and all processes that come of it."""

    def __init__(self, env: dict[str, str], *arguments: str | Path) -> None:
        self._mark = f"QUAYSIDE_TEST_RUN={uuid.uuid4()}"
        name, _equals, value = self._mark.partition("=")
        self.process = subprocess.Popen(
            [ANSIBLE_PLAYBOOK, *arguments],
            env={**env, **WATCHED, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.seen = ""

    def wait_for(self, pattern: str) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.seen += line
            if re.search(pattern, line):
                return
        raise AssertionError(f"{pattern} did not come: {self.seen}{self.process.communicate()}")

    def end(self, how: signal.Signals) -> float:
        """Ctrl-C reaches everything that has the terminal; a job that is cancelled, the one process. Seconds until all have ended."""
        began = time.monotonic()
        if how is signal.SIGINT:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.seen += self.process.communicate(timeout=60)[1]
        while self.left():
            assert time.monotonic() - began < 60, self.left()
            time.sleep(0.05)
        return time.monotonic() - began

    def left(self) -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (folder / "environ").read_text(errors="replace"):
                    found.append((folder / "cmdline").read_text(errors="replace").replace("\0", " "))
            except OSError:
                continue
        return list(filter(None, found))  # one that has ended and waits for its parent has no command line


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_copy_that_is_interrupted_leaves_no_process_and_no_credential(
    how: signal.Signals, source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    push(source, tmp_path, "large", 2_000_000)
    scratch = tmp_path / "scratch"
    env = {**environment(tmp_path / "none", tmp_path), "ANSIBLE_REMOTE_TMP": str(scratch)}
    interpreter = ["-e", f"ansible_python_interpreter={sys.executable}"]
    with delayed(source.host, 0, tmp_path, rate=100_000) as slow:
        playbook = promotion(tmp_path, options(slow, target.host, "large"))
        run = Started(env, "-i", "localhost,", *interpreter, playbook)
        run.wait_for(r"create Image localhost:\d+/large:1 \(0 of 1, 0\.[1-9] of 2\.\d MB\)")
        assert [command for command in run.left() if command.startswith("/usr/bin/skopeo")]
        assert list(scratch.rglob("auth.json"))
        assert run.end(how) < 10
    assert run.process.returncode != 0
    assert not list(scratch.rglob("auth.json"))
    if how is signal.SIGINT:
        assert "Interrupted while applying: create Image" in run.seen
        assert "Run the same command again, and it goes on from there" in run.seen
    playbook = promotion(tmp_path, options(source.host, target.host, "large"))
    after = run_playbook(playbook, env, *interpreter, inventory=Path("localhost,"))
    assert (after.failures, after.changed) == ([], 1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_wait_that_is_interrupted_ends_at_once(how: signal.Signals, world: World, tmp_path: Path) -> None:
    env = environment(world.admin_kubeconfig, tmp_path)
    routes = json.dumps({"expose_registry_routes": [{"name": how.name.lower(), "secret_name": "nowhere"}]})
    run = Started(env, "-i", INVENTORY, "quayside.registry.expose_registry", "-e", routes)
    run.wait_for("waiting for ")
    assert run.end(how) < 10
    assert run.process.returncode != 0
    if how is signal.SIGINT:
        assert "waiting for" in run.seen.rpartition("Interrupted while ")[2]
