"""Child processes that end with the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# Linux sends the parent-death signal when the *thread* that forked ends, so all forks are one lasting thread's.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="world-forker")


class Process:
    """One program: started with its output in a log file, killed with this process at the latest.

    `name` is what messages call it; `argv` is complete, program first; the log is appended to.
    """

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._argv = [str(part) for part in argv]
        self._env = {**os.environ, **env} if env else None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it has one."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it; RuntimeError when it runs already."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self._child = _FORKER.submit(self._fork).result()

    def check(self) -> None:
        """RuntimeError with the end of its log when it has ended by itself."""
        if self._child is not None and self._child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._child.returncode}; {self.log} ends with:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, gently: bool = True, timeout: float = 5) -> None:
        """End it and wait for its end: SIGTERM first when gently, SIGKILL after the timeout. Idempotent."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        if gently:
            child.terminate()
            try:
                child.wait(timeout)
                return
            except subprocess.TimeoutExpired:
                pass
        child.kill()
        child.wait()

    def _fork(self) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def end_with_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died between fork and prctl
                os.kill(os.getpid(), signal.SIGKILL)

        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,  # a terminal's Ctrl-C goes to the world, which stops its parts in order
                preexec_fn=end_with_parent,
            )
