"""Registries for tests: real ones (distribution) without and with TLS and passwords, and what stands in front of some.

``Hub`` behaves as the Docker Hub does: tokens, a limit of pulls in headers (docs.docker.com/docker-hub/usage/pulls), 429
``toomanyrequests`` once it is used up. ``delayed`` makes every round trip take longer.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from world import build
from world.pki import Authority
from world.processes import Process

USER, PASSWORD = "robot", "s3cret-pa55"
# bcrypt, the only kind that distribution reads
_HTPASSWD = f"{USER}:$2b$04$37gpdNRuFALkR1UQ.FXjOOptEs.j/vweBtic61rr9UfgvMOYk9FW2\n"
_WINDOW = "w=21600"


@functools.cache
def _program() -> Path:
    return build.ensure().registry


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Distribution:
    """A registry of its own at ``host`` (HOST:PORT): plain HTTP, or TLS by the authority; with USER's password where asked."""

    def __init__(self, folder: Path, authority: Authority | None = None, password: bool = False) -> None:
        folder.mkdir()
        port = free_port()
        self.host = f"localhost:{port}"
        self.folder = folder
        self.url = f"{'https' if authority else 'http'}://{self.host}"
        configuration: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error"},  # and a line for each request
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": f"127.0.0.1:{port}", "secret": "tests"},
        }
        if authority:
            certificate, key = authority.server(["localhost"]).write(folder, "server")
            configuration["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
        if password:
            (folder / "htpasswd").write_text(_HTPASSWD)
            configuration["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
        (folder / "config.yml").write_text(yaml.safe_dump(configuration))
        program = [_program(), "serve", folder / "config.yml"]
        self._process = Process("registry", program, folder / "log", {"OTEL_TRACES_EXPORTER": "none"})

    def __enter__(self) -> Distribution:
        self._process.start()
        address = ("127.0.0.1", int(self.host.rpartition(":")[2]))
        deadline = time.monotonic() + 20
        while True:
            self._process.check()
            try:
                socket.create_connection(address, timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_exc: object) -> None:
        self._process.stop()

    def mark(self) -> int:
        """A point in time for ``requests``."""
        return self._process.log.stat().st_size

    def requests(self, since: int = 0) -> list[str]:
        """``METHOD PATH`` of the requests since a mark."""
        text = self._process.log.read_bytes()[since:].decode()
        return re.findall(r'"((?:GET|HEAD|PUT|POST|PATCH|DELETE) \S+) HTTP', text)


def skopeo(*arguments: object) -> str:
    """What skopeo says; its failure is the test's."""
    run = subprocess.run(["skopeo", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def digest(image: str, credentials: str = "") -> str:
    """The digest of an image, as skopeo sees it."""
    login = [f"--creds={credentials}"] if credentials else []
    raw = skopeo("inspect", "--tls-verify=false", *login, "--format", "{{.Digest}}", f"docker://{image}")
    return raw.strip()


class Hub:
    """A front of a registry that gives tokens to anybody and lets each user and the anonymous pull ``limit`` manifests."""

    def __init__(
        self,
        backend: Distribution,
        limit: int = 100,
        users: Mapping[str, int] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.backend = backend
        self.remaining: dict[str, int] = {"": limit, **(users or {})}
        self.limits = dict(self.remaining)
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"localhost:{self._server.server_address[1]}"
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, authorization = urllib.parse.urlsplit(request.path).path, request.headers.get("Authorization", "")
        if path == "/token":
            user, _colon, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if user and (user not in self.limits or password != PASSWORD):
                return _json(request, 401, {"details": "incorrect username or password"})
            return _json(request, 200, {"token": f"token-of-{user}", "expires_in": 300})
        if not authorization.startswith("Bearer token-of-"):
            realm = f'Bearer realm="{self.scheme}://{self.host}/token",service="registry.docker.io"'
            return _error(request, 401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": realm})
        user = authorization.removeprefix("Bearer token-of-")
        headers = {}
        if "/manifests/" in path:
            if request.command == "GET":
                if not self.remaining[user]:
                    return _error(request, 429, "TOOMANYREQUESTS", "You have reached your pull rate limit.",
                                  {"Retry-After": "3600"})  # fmt: skip
                self.remaining[user] -= 1
            headers = {"RateLimit-Limit": f"{self.limits[user]};{_WINDOW}",
                       "RateLimit-Remaining": f"{self.remaining[user]};{_WINDOW}",
                       "Docker-RateLimit-Source": user or "192.0.2.7"}  # fmt: skip
        return self._forward(request, headers)

    def _forward(self, request: http.server.BaseHTTPRequestHandler, headers: Mapping[str, str]) -> None:
        connection = http.client.HTTPConnection(self.backend.host)
        accept = {"Accept": ", ".join(request.headers.get_all("Accept") or ["*/*"])}
        connection.request(request.command, request.path, headers=accept)
        answer = connection.getresponse()
        body = answer.read()
        request.send_response(answer.status)
        for name, value in [*answer.getheaders(), *headers.items()]:
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        connection.close()


def _error(
    request: http.server.BaseHTTPRequestHandler, status: int, code: str, message: str, headers: Mapping[str, str]
) -> None:
    _json(request, status, {"errors": [{"code": code, "message": message}]}, headers)


def _json(
    request: http.server.BaseHTTPRequestHandler, status: int, content: object, headers: Mapping[str, str] | None = None
) -> None:
    body = json.dumps(content).encode()
    request.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextlib.contextmanager
def delayed(host: str, seconds: float, folder: Path, rate: float = 0) -> Iterator[str]:
    """Another HOST:PORT of the registry, behind a line on which every round trip takes so long (connecting, too).

    Answers come at `rate` bytes a second, or as fast as they can.
    """
    port = free_port()
    argv = [sys.executable, str(Path(__file__).with_name("delay_proxy.py")), str(port), host, str(seconds), str(rate)]
    process = Process("delay", argv, folder / f"delay-{port}.log")
    process.start()
    try:
        deadline = time.monotonic() + 20
        while True:
            process.check()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"the delaying proxy does not answer: {process.tail()}")
            time.sleep(0.05)
        yield f"localhost:{port}"
    finally:
        process.stop()
