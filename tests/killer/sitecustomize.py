"""Kills a run, the module and what started it, right after its n-th write: Python reads this where it is on PYTHONPATH.

A write is a request that may change something, to whatever server, once it is answered. ``KILL_AFTER``: n; ``KILL_COUNT``: the file
that has a line for each so far.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import urllib3

_original = urllib3.HTTPConnectionPool.urlopen


def _urlopen(self: urllib3.HTTPConnectionPool, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
    answer = _original(self, method, url, *args, **kwargs)
    if method.upper() not in ("GET", "HEAD") and not url.endswith("reviews"):
        count = Path(os.environ["KILL_COUNT"])
        with count.open("a") as writes:
            writes.write(f"{method} {url}\n")
        if len(count.read_text().splitlines()) >= int(os.environ["KILL_AFTER"]):
            os.killpg(0, signal.SIGKILL)
    return answer


urllib3.HTTPConnectionPool.urlopen = _urlopen  # type: ignore[method-assign]
