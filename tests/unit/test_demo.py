"""When the demonstration opens its page, and with what."""

from __future__ import annotations

import sys

import demo
import pytest

X11 = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environ", "platform", "watched", "program"),
    [
        (X11, "linux", True, "/usr/bin/xdg-open"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True, "/usr/bin/xdg-open"),
        ({}, "linux", True, None),
        ({}, "darwin", True, "open"),
        (X11, "linux", False, None),
        ({**X11, "CI": "true"}, "linux", True, None),
        ({"CI": "true"}, "darwin", True, None),
    ],
)
def test_the_page_is_opened_only_where_somebody_sees_it(
    environ: dict[str, str], platform: str, watched: bool, program: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.os, "environ", environ)
    monkeypatch.setattr(demo.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: watched, raising=False)
    assert demo.opener() == program
