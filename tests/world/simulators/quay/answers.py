"""What Quay answers: five forms of error bodies, none of them everywhere (recorded, Project Quay 3.18).

(a) ``{"detail", "error_message", "error_type", "title", "type", "status"}``; (b) ``{"message"}``; (c) ``{"error"}`` labelled
text/html; (d) ``{"detail"}`` alone; (e) HTML or plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

HTML = "text/html; charset=utf-8"
_PAGE = "<!doctype html>\n<html lang=en>\n<title>{title}</title>\n<h1>{heading}</h1>\n<p>{text}</p>\n"
_CRASH = """<html>
  <head>
    <title>Internal Server Error</title>
  </head>
  <body>
    <h1><p>Internal Server Error</p></h1>
    {}
  </body>
</html>
"""
_INTERFACE = '<!DOCTYPE html>\n<html ng-app="quay" class="onprem">\n  <head>\n    <base href="/">\n  </head>\n</html>\n'


class Refusal(Exception):
    """An answer instead of what was asked for."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON; nothing at all with 204."""
    content = None if status == 204 else f"{json.dumps(body)}\n".encode()
    return web.Response(status=status, body=content, headers={"Content-Type": "application/json", **(headers or {})})


def page(status: int, title: str, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """werkzeug's page of a refusal."""
    heading = title.partition(" ")[2] if title[:3].isdigit() else title
    body = _PAGE.format(title=title, heading=heading, text=text)
    return web.Response(status=status, body=body.encode(), headers={"Content-Type": HTML, **(headers or {})})


def crash() -> Refusal:
    """Flask's page after an exception."""
    return Refusal(web.Response(status=500, body=_CRASH.format("").encode(), headers={"Content-Type": "text/html"}))


def interface() -> web.Response:
    """The web interface's page, which every unknown path ends at."""
    return web.Response(status=404, body=_INTERFACE.encode(), headers={"Content-Type": HTML})


def problem(host: str, status: int, kind: str, detail: str, **more: Any) -> Refusal:
    """Form (a)."""
    body = {"detail": detail, "error_message": detail, "error_type": kind, "title": kind,
            "type": f"http://{host}/api/v1/error/{kind}", "status": status}  # fmt: skip
    return Refusal(answer({**more, **body}, status))


def message(status: int, text: Any, **more: Any) -> Refusal:
    """Form (b)."""
    return Refusal(answer({**more, "message": text}, status))


def error(status: int, text: str) -> Refusal:
    """Form (c)."""
    return Refusal(
        web.Response(status=status, body=json.dumps({"error": text}).encode(), headers={"Content-Type": HTML})
    )
