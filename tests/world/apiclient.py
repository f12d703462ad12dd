"""A minimal client of an API server for the world's own use: client certificate, JSON, concurrent requests.

The world's parts that need watches use the `kubernetes` client; this one exists because importing that takes longer than
everything that is done here.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

JSON = "application/json"
YAML = "application/yaml"
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """An answer of 400 or above; `status` is its code, `body` the Status object (or the text when it is none)."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status
        self.body = body


class ApiClient:
    """Requests to one API server as one user. Threads may share it: each has its own kept-alive connection."""

    def __init__(
        self, url: str, ca: Path, *, certificate: Path | None = None, key: Path | None = None, token: str | None = None
    ) -> None:
        self._host = urllib.parse.urlsplit(url).netloc
        self._context = ssl.create_default_context(cafile=str(ca))
        if certificate is not None:
            self._context.load_cert_chain(certificate, key)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._local = threading.local()

    def request(
        self, method: str, path: str, body: Any = None, content_type: str | None = None, accept: str = JSON
    ) -> Any:
        """One request; returns the decoded JSON (or text). `body` is bytes or anything JSON can say.

        Raises ApiError for an error answer and OSError when the server can't be reached.
        """
        headers = {**self._headers, "Accept": accept}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type or (MERGE_PATCH if method == "PATCH" else JSON)
        status, text = self._exchange(method, path, body, headers)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = text.decode(errors="replace")
        if status >= 400:
            raise ApiError(method, path, status, answer)
        return answer

    def create(self, path: str, body: Any, content_type: str = JSON) -> None:
        """POST that is content when the object exists already, and never changes it."""
        try:
            self.request("POST", path, body, content_type)
        except ApiError as error:
            if error.status != 409:
                raise

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        fresh = getattr(self._local, "connection", None) is None
        if fresh:
            self._local.connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=30)
        connection: http.client.HTTPSConnection = self._local.connection
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._local.connection = None
            # A kept-alive connection that the server closed meanwhile (it restarted) says nothing about the server now.
            if not fresh and isinstance(error, (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError)):
                return self._exchange(method, path, body, headers)
            raise OSError(f"{method} https://{self._host}{path}: {error}") from error


def concurrently(calls: Iterable[Callable[[], Any]], workers: int = 8) -> None:
    """Run all calls with bounded concurrency; raises the first error after all have ended."""
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
