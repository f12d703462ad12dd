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
    fragment = {**report, "cluster": cluster}
    if check_mode:
        return _changes(folder, template, name, fragment)
    try:
        (folder / FRAGMENTS).mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            changed = _changes(folder, template, name, fragment)
            _replace(folder / FRAGMENTS / name, _text(fragment))
            reports = list(_fragments(folder).values())
            _replace(folder / DATA, _text({"clusters": reports}))
            _replace(folder / PAGE, render(template, reports))
    except OSError as error:
        raise InputError(f"directory: {folder} cannot be written: {error.strerror}.") from error
    return changed


def render(template: str, reports: list[dict[str, Any]]) -> str:
    """The page. The data is escaped so that no text of a cluster can end the element that it stands in."""
    data = json.dumps({"clusters": reports}, sort_keys=True, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return template.replace(_PLACE, data)


def _changes(folder: Path, template: str, name: str, fragment: Mapping[str, Any]) -> bool:
    there = _fragments(folder)
    page = folder / PAGE
    return (
        _without_time(there.get(name, {})) != _without_time(fragment)
        or not page.exists()
        or page.read_text(encoding="utf-8") != render(template, list(there.values()))
    )


def _without_time(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != "read_at"}


def _fragments(folder: Path) -> dict[str, dict[str, Any]]:
    """File name → what is in it, by the clusters' names."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((folder / FRAGMENTS).glob("*.json")):
        try:
            found[file.name] = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{file} is not a cluster's report: {error}. Remove it and run again.") from error
    return found


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


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
