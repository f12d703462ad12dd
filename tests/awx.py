"""As much of AWX's REST API (v2) as the modules of awx.awx need to set one up: named objects, and links between them.

It keeps what it is given and checks no more than that links lead to something. awx.awx validates its options by itself.
"""

from __future__ import annotations

import http.server
import itertools
import json
import threading
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Item = dict[str, Any]

#: Kind → where its objects' links are
LINKS = {
    "job_templates": ("credentials", "survey_spec", "labels", "instance_groups"),
    "workflow_job_templates": ("workflow_nodes", "survey_spec", "labels"),
    "workflow_job_template_nodes": ("success_nodes", "failure_nodes", "always_nodes", "credentials"),
}


class Awx:
    """An AWX with one organization. Use it as a context manager; `host` is its URL."""

    def __init__(self) -> None:
        self.items: dict[str, dict[int, Item]] = {"organizations": {}}
        self.links: dict[str, list[int]] = {}
        self.surveys: dict[str, Item] = {}
        self._numbers = itertools.count(1)
        self.create("organizations", {"name": "Default"})
        awx = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_what: object) -> None:
                """Silence."""

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                status, content = awx.answer(self.command, self.path, body)
                data = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Awx:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, kind: str) -> dict[str, Item]:
        """Name (of a node: identifier) → object."""
        return {item.get("name") or item["identifier"]: item for item in self.items.get(kind, {}).values()}

    def create(self, kind: str, content: Item) -> Item:
        number = next(self._numbers)
        path = f"/api/v2/{kind}/{number}/"
        related = {link: f"{path}{link}/" for link in LINKS.get(kind, ())}
        item = {
            "id": number,
            "type": kind[:-1],
            "url": path,
            "related": related,
            "summary_fields": {},
            "scm_revision": "",
            **content,
        }
        self.items.setdefault(kind, {})[number] = item
        return item

    def answer(self, method: str, url: str, body: Item) -> tuple[int, Any]:
        parts = urlsplit(url).path.strip("/").split("/")[2:]
        query = dict(parse_qsl(urlsplit(url).query))
        if not parts:
            return 200, {"current_version": "/api/v2/"}
        if len(parts) == 3:
            return self._link(method, parts[0], int(parts[1]), parts[2], body, query)
        kind = parts[0]
        if kind == "unified_job_templates":
            found = {**self.items.get("job_templates", {}), **self.items.get("workflow_job_templates", {})}
        else:
            found = self.items.setdefault(kind, {})
        if len(parts) == 2:
            if int(parts[1]) not in found:
                return 404, {"detail": "Not found."}
            if method == "PATCH":
                found[int(parts[1])].update(body)
            return 200, found[int(parts[1])]
        if method == "POST":
            return 201, self.create(kind, body)
        return 200, _listed([item for item in found.values() if _matches(item, query)])

    def _link(self, method: str, kind: str, number: int, link: str, body: Item, query: Item) -> tuple[int, Any]:
        path = f"{kind}/{number}/{link}"
        if link == "survey_spec":
            if method == "POST":
                self.surveys[path] = body
            return 200, self.surveys.get(path, {})
        linked = self.links.setdefault(path, [])
        target = "workflow_job_template_nodes" if "nodes" in link else link
        if method == "GET":
            items = [self.items[target][each] for each in linked]
            return 200, _listed([item for item in items if _matches(item, query)])
        if "id" not in body:  # makes a node
            made = self.create(target, body)
            linked.append(made["id"])
            return 201, made
        if body["id"] not in self.items[target]:
            return 400, {"detail": f"no {link} {body['id']}"}
        linked.append(body["id"])
        return 204, None


def _matches(item: Item, query: Item) -> bool:
    return all(str(item[key]) == value for key, value in query.items() if key in item)


def _listed(items: list[Item]) -> Item:
    return {"count": len(items), "next": None, "previous": None, "results": items}
