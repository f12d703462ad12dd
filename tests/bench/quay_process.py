"""A simulated Quay in a process of its own, which takes for each request what the recorded one took.

Usage: quay_process.py FOLDER PORT. It answers each line on its input with the number of requests so far, and ends with it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import requests
from quays import CONFIG, SUPERUSER
from registries import free_port

from world.simulators.quay import RECORDED_COSTS, Quay

PASSWORD = "quaypass12345"


class QuayProcess:
    """That process, and the options of a connection with it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://localhost:{port}"
        self.options = {"quay_host": self.url, "quay_username": SUPERUSER, "quay_password": PASSWORD}
        self._command = [sys.executable, __file__, str(folder), str(port)]

    def __enter__(self) -> QuayProcess:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.requests()
        user = {"username": SUPERUSER, "password": PASSWORD}
        requests.post(f"{self.url}/api/v1/user/initialize", json=user).raise_for_status()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.communicate()

    def requests(self) -> int:
        """How many there were."""
        assert self._process.stdin and self._process.stdout
        print(file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def sign_in(self) -> requests.Session:
        """A session that may write."""
        session = requests.Session()
        csrf = session.get(f"{self.url}/csrf_token").json()["csrf_token"]
        answer = session.post(
            f"{self.url}/api/v1/signin",
            json={"username": SUPERUSER, "password": PASSWORD},
            headers={"X-CSRF-Token": csrf},
        )
        answer.raise_for_status()
        session.headers["X-CSRF-Token"] = answer.headers["X-Next-CSRF-Token"]
        return session


async def serve(folder: str, port: str) -> None:
    quay = Quay(Path(folder), CONFIG)
    await quay.serve("127.0.0.1", int(port))
    quay.costs = RECORDED_COSTS
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(len(quay.requests), flush=True)
    await quay.stop()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
