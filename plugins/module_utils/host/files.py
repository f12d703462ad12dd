# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on a managed host: read, written whole and at once, deleted; with Ansible's own file arguments."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_SECRET_MODE = 0o600


@dataclasses.dataclass(frozen=True)
class Write:
    """What carries out a change of one file: its new content (None: no file), and the content that the plan was made from.

    Unless the module's option ``mode`` says otherwise, a new file gets mode 0644 and an existing one keeps its own. A
    ``secret`` has mode 0600 whatever the option says. Folders that are missing are made with ``folder_mode``.
    """

    path: str
    content: bytes | None = dataclasses.field(repr=False)
    before: bytes | None = dataclasses.field(repr=False)
    secret: bool = False
    folder_mode: int = 0o755
    remove_folder: bool = False  # when it is empty after the file is gone


class Files:
    """The files of the host that the module runs on."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failure("read", path, error) from error

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(entry.name for entry in Path(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _failure("read", folder, error) from error

    def check_writable(self, path: str) -> None:
        """Raise before anything is written where this file or a folder for it could not be."""
        folder = Path(path).resolve().parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise _failure("write", path, NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder"))
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            raise _failure("write", path, OSError(errno.EROFS if read_only else errno.EACCES, ""))

    def wrong_attributes(self, path: str, secret: bool = False) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """How owner, group, mode and SELinux context of an existing file are and should be; None when they are right."""
        found: dict[str, Any] = {}
        with self._pretending():
            if not self._module.set_fs_attributes_if_different(self._arguments(path, secret), False, diff=found):
                return None
        return found.get("before", {}), found.get("after", {})

    def set_attributes(self, path: str, secret: bool = False) -> None:
        self._module.set_fs_attributes_if_different(self._arguments(path, secret), False)

    def write(self, change: Write) -> None:
        """Carry out the change. Raises Conflict when the file is no longer as the plan saw it."""
        if self.read(change.path) != change.before:
            raise Conflict(f"{change.path} was changed by somebody else at the same time.")
        try:
            if change.content is None:
                self._delete(change)
            else:
                self._write(change, change.content)
        except OSError as error:
            raise _failure("write", change.path, error) from error

    def _delete(self, change: Write) -> None:
        path = Path(change.path)
        path.unlink()
        if change.remove_folder:
            with contextlib.suppress(OSError):  # not empty
                path.parent.rmdir()

    def _write(self, change: Write, content: bytes) -> None:
        path = Path(change.path).resolve()  # through a symbolic link
        self._make_folders(path.parent, change.folder_mode)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._keep_or_default(path, temporary, change.secret)
            arguments = {**self._arguments(str(path), change.secret), "path": name}
            self._module.set_fs_attributes_if_different(arguments, False)
            self._replace(temporary, path, content)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _keep_or_default(self, path: Path, temporary: Path, secret: bool) -> None:
        """What nobody asked for otherwise: owner, group and mode of the file that is replaced, or a new file's mode."""
        status = path.stat() if path.exists() else None
        if status:
            with contextlib.suppress(PermissionError):
                os.chown(temporary, status.st_uid, status.st_gid)
        if not secret and self._module.params.get("mode") is None:
            temporary.chmod(stat.S_IMODE(status.st_mode) if status else 0o644)

    def _replace(self, temporary: Path, path: Path, content: bytes) -> None:
        try:
            temporary.replace(path)
        except OSError as error:
            # a single file that is mounted into a container cannot be replaced
            if error.errno != errno.EBUSY or not self._module.params.get("unsafe_writes"):
                raise
            path.write_bytes(content)

    def _make_folders(self, folder: Path, mode: int) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(mode=0o700)
            parent.chmod(mode)
            arguments = {**self._arguments(str(parent)), "mode": None, "attributes": None}
            self._module.set_fs_attributes_if_different(arguments, False)

    def _arguments(self, path: str, secret: bool = False) -> dict[str, Any]:
        arguments: dict[str, Any] = self._module.load_file_common_arguments(self._module.params, path=path)
        if secret:
            arguments["mode"] = _SECRET_MODE
        return arguments

    @contextlib.contextmanager
    def _pretending(self) -> Iterator[None]:
        real, self._module.check_mode = self._module.check_mode, True
        try:
            yield
        finally:
            self._module.check_mode = real


def attributes_change(path: str, wrong: tuple[dict[str, Any], dict[str, Any]] | None) -> list[Change]:
    """The change that sets what ``Files.wrong_attributes`` found."""
    return [Change("update", "File", path, before=wrong[0], after=wrong[1])] if wrong else []


def _failure(verb: str, path: str, error: OSError) -> RegistryError:
    user = pwd.getpwuid(os.geteuid()).pw_name
    if error.errno == errno.EROFS:
        remedy = "The file system is mounted read-only."
    elif error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"User {user} has no right to: use become, or a folder of that user."
    elif error.errno == errno.EBUSY:
        remedy = "It is a mount point of its own: set unsafe_writes to write into it."
    else:
        remedy = f"{error.strerror or error}."
    return RegistryError(f"Cannot {verb} {path}. {remedy}")
