"""What the callback plugin ``progress`` shows, and that nothing is different without it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.quayside.registry.plugins.module_utils import plan, progress
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import readiness
from playbooks import ANSIBLE_PLAYBOOK, environment

#: A module that takes its time in one step.
MODULE = """
import time
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.registry.plugins.module_utils import progress

module = AnsibleModule({"seconds": {"type": "float"}})
with progress.step("api.example.com") as step:
    until = time.monotonic() + module.params["seconds"]
    while time.monotonic() < until:
        step.update("waiting for Config cluster", 1, 3)
        time.sleep(0.1)
module.exit_json(changed=False, watched=step.is_watched)
"""


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "slow.py").write_text(MODULE)
    task = {"name": "Something slow", "slow": {"seconds": "{{ seconds }}"}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    file = tmp_path / "play.yml"
    file.write_text(json.dumps([play]))
    return file


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield {
        **environment(tmp_path / "none", tmp_path),
        "ANSIBLE_CALLBACKS_ENABLED": "quayside.registry.progress",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_NOCOLOR": "1",
    }


def command(playbook: Path, seconds: float) -> list[str]:
    python = f"ansible_python_interpreter={sys.executable}"
    return [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-e", python, "-e", f"seconds={seconds}", str(playbook)]


def run(playbook: Path, env: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(playbook, seconds), env=env, capture_output=True, text=True, check=True)


def results(output: str) -> object:
    (play,) = json.loads(output)["plays"]
    found = play["tasks"][0]["hosts"]["localhost"]
    return {key: value for key, value in found.items() if key in ("changed", "failed", "msg")}


def test_plain_lines_now_and_then_and_the_same_result(playbook: Path, environ: dict[str, str]) -> None:
    watched = run(playbook, {**environ, "QUAYSIDE_PROGRESS_INTERVAL": "0.5"}, 2)
    lines = [line for line in watched.stderr.splitlines() if "progress: " in line]
    assert 2 <= len(lines) <= 4
    assert all("progress: api.example.com: waiting for Config cluster (1 of 3) (" in line for line in lines)
    without = {key: value for key, value in environ.items() if key != "ANSIBLE_CALLBACKS_ENABLED"}
    unwatched = run(playbook, without, 0)
    assert "progress" not in unwatched.stderr
    assert results(watched.stdout) == results(unwatched.stdout)


def test_what_is_over_soon_is_not_mentioned(playbook: Path, environ: dict[str, str]) -> None:
    assert "progress: " not in run(playbook, environ, 0.5).stderr


def test_one_live_line_on_a_terminal(playbook: Path, environ: dict[str, str]) -> None:
    main, terminal = pty.openpty()
    bare = {key: value for key, value in environ.items() if key != "CI"}
    process = subprocess.Popen(
        command(playbook, 1.5), env={**bare, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 65536)
        except OSError:  # Linux: the other side is closed
            break
    os.close(main)
    assert process.wait(30) == 0
    text = shown.decode()
    assert text.count("api.example.com: waiting for Config cluster (1 of 3)") >= 3
    after = text.rpartition("(1 of 3)")[2]
    assert after.startswith("\r")
    assert "\r\x1b[K" in after  # the line is gone in the end
    assert "\n" not in text[text.index("api.example.com") : text.rindex("(1 of 3)")]


def test_an_interrupted_run_ends_soon_and_says_how_to_go_on(playbook: Path, environ: dict[str, str]) -> None:
    env = {**environ, "QUAYSIDE_PROGRESS_INTERVAL": "0.2"}
    process = subprocess.Popen(
        command(playbook, 60),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "progress: " in line:
            break
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _output, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode != 0
    assert "Interrupted while api.example.com: waiting for Config cluster (1 of 3)." in errors
    assert "Run the same command again, and it goes on from there" in errors


def test_nothing_is_opened_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.LISTENER, raising=False)
    monkeypatch.setattr(progress.socket, "socket", None)
    with progress.step("here") as step:
        step.update("nothing")
    assert not step.is_watched


def test_changes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int]] = []
    monkeypatch.setattr(progress.Step, "update", lambda _self, *what: seen.append(what))
    changes = [plan.Change("create", "Image", f"app:{number}") for number in range(3)]
    plan.apply(changes, lambda change: None, [], workers=1)
    assert seen == [(f"create Image app:{number}", number, 3, (0, 0)) for number in range(3)]


def test_bytes_that_are_moved_are_shown_while_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(progress.Step, "update", lambda _self, _what, _done, _total, moved: seen.append(moved))
    monkeypatch.setattr(plan, "_LOOK", 0.01)
    steps = iter(range(100))
    enough = threading.Event()

    def moved() -> tuple[int, int]:
        number = next(steps)
        if number == 3:
            enough.set()
        return number, 100

    plan.apply([plan.Change("create", "Image", "app")], lambda change: enough.wait(30), [], moved=moved)
    assert seen[:4] == [(0, 100), (1, 100), (2, 100), (3, 100)]


@pytest.mark.parametrize(
    ("moved", "text"),
    [
        ((0, 0), "here: copying (1 of 3)"),
        ((0, 999), "here: copying (1 of 3, 0 of 999 B)"),
        ((250_000, 2_000_000), "here: copying (1 of 3, 0.2 of 2.0 MB)"),
        ((3_140_000_000, 8_400_000_000), "here: copying (1 of 3, 3.1 of 8.4 GB)"),
        ((1, 5 * 10**16), "here: copying (1 of 3, 0.0 of 50000.0 TB)"),
    ],
)
def test_how_much_of_how_much(moved: tuple[int, int], text: str) -> None:
    step = {"place": "here", "what": "copying", "done": 1, "total": 3, "moved": moved}
    assert progress.how_far(step) == text


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, ("it does not exist yet", 0, 0)),
        ({}, ("", 0, 0)),
        (
            {"conditions": [{"type": "Available", "status": "False", "message": "no pod"}], "replicas": 2},
            ("Available is False, no pod", 0, 2),
        ),
        (
            {"machineCount": 6, "updatedMachineCount": 2, "conditions": [{"type": "Updating", "status": "True"}]},
            ("Updating is True", 2, 6),
        ),
        (
            {
                "conditions": [
                    {"type": "ComponentClairReady", "status": "True"},
                    {"type": "ComponentRedisReady", "status": "False"},
                    {"type": "Available", "status": "True"},
                ]
            },
            ("", 1, 2),
        ),
    ],
)
def test_how_far_an_object_is(status: dict[str, object] | None, expected: tuple[str, int, int]) -> None:
    assert readiness(None if status is None else {"status": status}) == expected
