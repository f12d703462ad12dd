"""A registry in memory with OpenShift's way of refusing, as a function and as an HTTPS server with real certificates."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import Response
from world.pki import Authority

ANONYMOUS = "anonymous"


class FakeRegistry:
    """Tokens and what they may do: ``{token: {"pull", "push", "delete"}}``. The user name is ignored, as OpenShift does.

    Holds what the tests look at: ``requests`` (method and path), ``manifests`` and ``blobs``.
    """

    def __init__(self, host: str, rights: Mapping[str, set[str]], deletes: bool = False) -> None:
        self.host = host
        self.rights = rights
        self.deletes = deletes
        self.requests: list[str] = []
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        parts = urllib.parse.urlsplit(url)
        assert parts.netloc == self.host
        self.requests.append(f"{method} {parts.path}")
        authorization = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        query = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path == "/openshift/token":
            return self._token(authorization)
        if not authorization.startswith("Bearer "):
            realm = f'Bearer realm="https://{self.host}/openshift/token"'
            return _error(401, "UNAUTHORIZED", "authentication required", {"www-authenticate": realm})
        rights = self.rights.get(authorization[7:], set())
        if parts.path == "/v2/":
            known = authorization[7:] in self.rights
            return Response(200, {}, b"{}") if known else self._denied()
        if method == "DELETE" and not self.deletes:
            return _error(405, "UNSUPPORTED", "The operation is unsupported.")
        wanted = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "push")
        if wanted not in rights:
            return self._denied()
        return self._content(method, parts.path, query, body)

    def _token(self, authorization: str) -> Response:
        if not authorization:
            return _json(200, {"token": ANONYMOUS, "access_token": ANONYMOUS})
        password = base64.b64decode(authorization.partition(" ")[2]).decode().partition(":")[2]
        return _json(200, {"access_token": password}) if password in self.rights else Response(401, {}, b"")

    def _denied(self) -> Response:
        headers = {"www-authenticate": 'Basic realm=openshift,error="access denied"'}
        return _error(401, "UNAUTHORIZED", "authentication required", headers)

    def _content(self, method: str, path: str, query: dict[str, str], body: bytes | None) -> Response:
        _before, _separator, rest = path.partition("/v2/")
        if "/blobs/uploads/" in rest:
            if method == "POST":
                return Response(202, {"location": f"{path}1234?_state=x"})
            content = body or b""
            assert query["digest"] == _digest(content)
            self.blobs[query["digest"]] = content
            return Response(201, {})
        repository, kind, reference = rest.rsplit("/", 2)
        if kind == "blobs":
            blob = self.blobs.get(reference)
            return Response(200, {}, blob) if blob is not None else _error(404, "BLOB_UNKNOWN", "blob unknown")
        if method == "PUT":
            assert body is not None
            for name in (reference, _digest(body)):
                self.manifests[repository, name] = body
            return Response(201, {})
        if method == "DELETE":
            for key in [key for key, value in self.manifests.items() if _digest(value) == reference]:
                del self.manifests[key]
            return Response(202, {})
        manifest = self.manifests.get((repository, reference))
        if manifest is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type = json.loads(manifest).get("mediaType", "")
        return Response(200, {"content-type": media_type, "docker-content-digest": _digest(manifest)}, manifest)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"content-type": "application/json", **(headers or {})}, json.dumps(value).encode())


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json(status, {"errors": [{"code": code, "message": message, "detail": None}]}, headers)


@contextlib.contextmanager
def serve(
    folder: Path, authority: Authority, rights: Mapping[str, set[str]], name: str = "localhost", **options: Any
) -> Iterator[FakeRegistry]:
    """The registry on a free port of localhost, behind a certificate of the authority for ``name``."""
    certificate, key = authority.server([name]).write(folder, "server")
    registry = FakeRegistry("", rights, **options)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            answer = registry.send(self.command, f"https://{registry.host}{self.path}", dict(self.headers), body)
            self.send_response(answer.status)
            for header, value in answer.headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

        def log_message(self, *_arguments: Any) -> None:
            """The tests look at ``requests``."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.host = f"localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
