# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module is doing, for whoever watches: the callback plugin ``progress`` listens on a socket of its own.

Standard library only, since managed hosts use it, too. Where nobody listens a step is nothing but a look at the environment.
What is reported is shown as it is: never a secret.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any

#: The environment variable with the path of the listener's datagram socket.
LISTENER = "QUAYSIDE_PROGRESS"

_numbers = itertools.count(1)


def is_watched() -> bool:
    """Whether somebody listens: what is only for show need not be found out otherwise."""
    return LISTENER in os.environ


class Step:
    """Something that takes a while. Reports are lost rather than waited for."""

    def __init__(self, listener: str, place: str) -> None:
        self._listener = listener
        self._sender: socket.socket | None = None
        self._message = {"id": f"{os.getpid()}.{next(_numbers)}", "place": place}

    @property
    def is_watched(self) -> bool:
        return bool(self._listener)

    def update(self, what: str, done: int = 0, total: int = 0, moved: tuple[int, int] = (0, 0)) -> None:
        """``what`` is under way, of which ``done`` of ``total`` are finished (0: it is not known how many there are).

        ``moved``: bytes so far, and of how many.
        """
        self._send({"what": what, "done": done, "total": total, "moved": moved})

    def end(self) -> None:
        self._send({"end": True})
        if self._sender:
            self._sender.close()

    def _send(self, content: dict[str, object]) -> None:
        if not self._listener:
            return
        with contextlib.suppress(OSError):
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sender.setblocking(False)
            self._sender.sendto(json.dumps({**self._message, **content}).encode(), self._listener)


@contextlib.contextmanager
def step(place: str) -> Iterator[Step]:
    """A step at a place (a cluster, an image), reported as ended unless it is interrupted: then the callback says what was."""
    current = Step(os.environ.get(LISTENER, ""), place)
    try:
        yield current
    except KeyboardInterrupt:
        raise
    except BaseException:
        current.end()
        raise
    current.end()


def how_far(step: Mapping[str, Any]) -> str:
    """A message of a step, for people: where, what, and how many of how many."""
    counts = [f"{step['done']} of {step['total']}"] if step["total"] else []
    if step["moved"][1]:
        counts.append(_bytes(*step["moved"]))
    count = f" ({', '.join(counts)})" if counts else ""
    return " ".join(f"{step['place']}: {step['what']}{count}".split())


def _bytes(done: int, total: int) -> str:
    """Both in the unit that suits the total."""
    power = min(4, max(0, len(str(total)) - 1) // 3)
    unit = ("B", "kB", "MB", "GB", "TB")[power]
    return f"{done / 1000**power:.{power and 1}f} of {total / 1000**power:.{power and 1}f} {unit}"
