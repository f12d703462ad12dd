# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
short_description: Shows what the modules of this collection wait for, and how far they are
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Long work (roll-outs, copies of images, imports) shows what it waits for while it runs, on standard error.
  - On a terminal it is one line that is always up to date; in AWX, in CI and in files it is a line now and then.
  - Results and standard output are the same with it and without it. Modules on other hosts than the controller are not seen.
  - When a run is interrupted it says what was under way, and how to go on.
options:
  style:
    description: V(live) is the one line of a terminal, V(plain) are lines now and then. V(auto) finds out.
    type: str
    choices: [auto, live, plain]
    default: auto
    ini:
      - {section: callback_quayside_progress, key: style}
    env:
      - {name: QUAYSIDE_PROGRESS_STYLE}
  interval:
    description: Seconds between two plain lines about the same thing. What is over sooner is not mentioned.
    type: float
    default: 10
    ini:
      - {section: callback_quayside_progress, key: interval}
    env:
      - {name: QUAYSIDE_PROGRESS_INTERVAL}
requirements:
  - enabled in C(callbacks_enabled) of C(ansible.cfg), or by C(ANSIBLE_CALLBACKS_ENABLED=quayside.registry.progress)
"""

import atexit
import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.quayside.registry.plugins.module_utils.progress import LISTENER, how_far

#: Seconds between two looks at the time.
_TICK = 0.25


class CallbackModule(CallbackBase):
    """Listens on a datagram socket, in a thread of the main process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "quayside.registry.progress"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._pid = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="quayside-"))
        self._steps: dict[str, dict[str, Any]] = {}
        self._doing = ""
        self._line = False
        self._live = self._is_live()
        self._interval = float(self.get_option("interval"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._folder / "s"))
        self._socket.settimeout(_TICK)
        os.environ[LISTENER] = str(self._folder / "s")  # what modules on this machine inherit
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        atexit.register(self._interrupted)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._close()

    def _is_live(self) -> bool:
        style = str(self.get_option("style"))
        if style != "auto":
            return style == "live"
        # ansible-runner (AWX) gives a terminal, but nobody looks at it as one
        watched = not any(name in os.environ for name in ("AWX_ISOLATED_DATA_DIR", "CI"))
        return watched and os.environ.get("TERM", "dumb") != "dumb" and sys.stderr.isatty()

    def _listen(self) -> None:
        while LISTENER in os.environ:
            try:
                self._note(json.loads(self._socket.recv(65536)))
            except socket.timeout:  # noqa: UP041  # not the same before Python 3.10
                pass
            except OSError:
                break
            self._show(time.monotonic())

    def _note(self, message: dict[str, Any]) -> None:
        if message.pop("end", False):
            self._steps.pop(message["id"], None)
            return
        now = time.monotonic()
        known = self._steps.pop(message["id"], {"since": now, "shown": now})
        self._steps[message["id"]] = {**known, **message}  # the newest is the last
        self._doing = how_far(message)

    def _show(self, now: float) -> None:
        if self._live:
            if self._steps:
                *others, step = self._steps.values()
                more = f" (and {len(others)} more)" if others else ""
                text = f"{now - step['since']:4.0f} s  {how_far(step)}{more}"
                self._write("\r\033[K" + text[: shutil.get_terminal_size().columns - 1] + "\r")
                self._line = True
            elif self._line:
                self._write("\r\033[K")
                self._line = False
            return
        for step in self._steps.values():
            if now - step["shown"] >= self._interval:
                step["shown"] = now
                self._write(f"progress: {how_far(step)} ({now - step['since']:.0f} s)\n")

    def _write(self, text: str) -> None:
        """Past Python's buffers, whose locks a process that is forked meanwhile would never get."""
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))

    def _close(self) -> None:
        atexit.unregister(self._interrupted)
        os.environ.pop(LISTENER, None)
        self._thread.join(timeout=2 * _TICK)
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._line:
            self._write("\r\033[K")

    def _interrupted(self) -> None:
        if os.getpid() != self._pid:
            return
        doing = f" while {self._doing}" if self._steps else ""
        self._close()
        self._write(
            f"Interrupted{doing}.\nWhat was done stays done. Run the same command again, and it goes on from there; with"
            " --check --diff it shows what is left.\n"
        )
