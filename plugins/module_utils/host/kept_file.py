# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with mode 0600 that keeps credentials for later runs, and keeps two runs from making them at the same time.

The lock is on the folder, so that nothing is left behind, and the kernel takes it away when the run ends, however it does.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files, Write, attributes_change
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, hide

_LOCK_SECONDS = 90


class KeptFile:
    """One file with an object of JSON: texts by key."""

    def __init__(self, files: Files, path: str) -> None:
        self.path = path
        self._files = files
        self._before: bytes | None = None
        self._folder: int | None = None

    def __str__(self) -> str:
        return f"file {self.path}"

    def read(self) -> dict[str, str] | None:
        """What it holds; None where there is none."""
        self._before = self._files.read(self.path)
        if self._before is None:
            return None
        try:
            content = json.loads(self._before)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise InputError(
                f"{self.path} is there and holds no credentials of this module. Choose another file, or remove it."
            )
        return {str(key): str(value) for key, value in content.items()}

    def check(self) -> None:
        """Raise before anything else is written where this could not be."""
        self._files.check_writable(self.path)

    def changed(self, before: Mapping[str, str] | None, after: Mapping[str, str], stage: int) -> Change:
        """The change as it is shown; its ``request`` is the caller's."""
        old, new = hide(before, after)
        action = "create" if before is None else "update"
        return Change(action, "File", self.path, "", old and {"content": old}, {"content": new}, stage)

    def attributes(self) -> list[Change]:
        """The change that makes its mode 0600 again."""
        return attributes_change(self.path, self._files.wrong_attributes(self.path, secret=True))

    def set_attributes(self) -> None:
        self._files.set_attributes(self.path, secret=True)

    def lock(self) -> None:
        """Wait until no other run works with a file of the folder."""
        if self._folder is not None:
            return
        folder = Path(self.path).parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise RegistryError(f"Cannot write {self.path}: {error.strerror}.") from error
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    return  # a file system without locks
                if time.monotonic() >= deadline:
                    raise RegistryError(
                        f"Another run has been working with {self.path} for {_LOCK_SECONDS} seconds."
                    ) from error
            time.sleep(0.1)

    def save(self, content: Mapping[str, str]) -> None:
        """Replace what it holds. Raises Conflict when somebody else wrote since it was read."""
        data = (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()
        self._files.write(Write(self.path, data, self._before, secret=True, folder_mode=0o700))
        self._before = data

    def unlock(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
