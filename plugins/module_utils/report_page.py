# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's files: a fragment for each cluster, and the page and the JSON made of all fragments in the folder.

Hosts of one play, and slices of an inventory, write into the same folder at the same time: a lock makes them take turns, and
each leaves a page of all that is there by then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError

#: Where the page gets its data: between the tags of a script element that is no script.
_PLACE = "{{ DATA }}"

PAGE, DATA, FRAGMENTS = "index.html", "report.json", "clusters"


def write(folder: Path, template: str, cluster: str, report: Mapping[str, Any], check_mode: bool) -> bool:
    """Write a cluster's fragment, the page and the JSON. False where nothing but times has changed.

    Raises InputError for a folder that cannot be written.
    """
    name = quote(cluster, safe=" ") + ".json"
    text = json.dumps({**report, "cluster": cluster}, sort_keys=True, ensure_ascii=False) + "\n"
    if check_mode:
        return _changes(folder, template, name, text)
    try:
        (folder / FRAGMENTS).mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            changed = _changes(folder, template, name, text)
            _replace(folder / FRAGMENTS / name, text)
            data = _together(_fragments(folder))
            _replace(folder / DATA, data)
            _replace(folder / PAGE, render(template, data))
    except OSError as error:
        raise InputError(f"directory: {folder} cannot be written: {error.strerror}.") from error
    return changed


def render(template: str, data: str) -> str:
    """The page. The data is escaped so that no text of a cluster can end the element that it stands in."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return template.replace(_PLACE, data)


def _changes(folder: Path, template: str, name: str, text: str) -> bool:
    there, page = _fragments(folder), folder / PAGE
    return (
        name not in there
        or _without_time(there[name]) != _without_time(text)
        or not page.exists()
        or page.read_text(encoding="utf-8") != render(template, _together(there))
    )


def _without_time(text: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(text).items() if key != "read_at"}


def _fragments(folder: Path) -> dict[str, str]:
    """File name → its JSON, in the order of the names."""
    found: dict[str, str] = {}
    for file in sorted((folder / FRAGMENTS).glob("*.json")):
        found[file.name] = file.read_text(encoding="utf-8")
        try:
            json.loads(found[file.name])["cluster"]
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{file} is not a cluster's report. Remove it and run again.") from error
    return found


def _together(fragments: Mapping[str, str]) -> str:
    """A cluster is a line. Nothing is encoded again: that would take seconds where there are many."""
    return '{"clusters": [\n' + ",\n".join(text.strip() for text in fragments.values()) + "\n]}\n"


def _replace(file: Path, text: str) -> None:
    """Readers see the old file or the new one, never a half."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as output:
            output.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
