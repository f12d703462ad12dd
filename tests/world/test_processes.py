"""Child processes: they outlive the thread that started them and never the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from world.processes import Process

PARENT = """
import sys, threading, pathlib
from world.processes import Process
child = Process("sleep", ["sleep", "60"], pathlib.Path(sys.argv[1]))
starter = threading.Thread(target=child.start)
starter.start()
starter.join()
print(child.pid, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_child_outlives_the_thread_that_started_it_and_dies_with_the_process(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert alive(pid)
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_part_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = Process("etcd", ["sh", "-c", "echo no space left; exit 3"], tmp_path / "etcd.log")
    process.start()
    deadline = time.monotonic() + 5
    while process.running and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(RuntimeError, match=r"(?s)etcd ended with 3; .*no space left"):
        process.check()


def test_stopping_kills_what_does_not_listen(tmp_path: Path) -> None:
    process = Process("deaf", ["sh", "-c", "trap '' TERM; echo ready; sleep 60"], tmp_path / "log")
    process.start()
    deadline = time.monotonic() + 5
    while "ready" not in process.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    pid = process.pid
    assert pid is not None
    process.stop(timeout=0.2)
    assert not alive(pid)
    assert not process.running
