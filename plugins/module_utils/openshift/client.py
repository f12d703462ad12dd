# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a cluster: requests with retries, errors as sentences, lists and watches.

All other files of this package see only ``Cluster``; how it is reached is in ``connection``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from ansible_collections.quayside.registry.plugins.module_utils import progress
from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.connection import (
    Connection,
    open_connection,
    without_environment,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    Kind,
    Object,
    Request,
    readiness,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import WORKERS, Change

try:
    import urllib3
    from urllib3._collections import HTTPHeaderDict
    from urllib3.util.retry import Retry
except ImportError:
    pass  # ``open_connection`` says so

#: Reading from more namespaces than this, one LIST over all of them is cheaper than one LIST for each.
_LIST_EACH_AT_MOST = 8

#: (connect, read) seconds for a request. The API server itself gives up after 60 s.
_TIMEOUT = (10.0, 70.0)


class ApiError(RegistryError):
    """The API server refused a request. ``status`` is the HTTP status, ``reason`` the one of the Status object."""

    def __init__(self, message: str, status: int, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Cluster:
    """Requests to one cluster's API server. Thread-safe. Close it (or use it as a context manager) to log out."""

    def __init__(self, connection: Connection) -> None:
        self.host = connection.host
        self._connection = connection
        # A repeated write is recognised: by its resourceVersion or uid, or as a name that exists already.
        self._retry = Retry(
            total=5,
            connect=3,
            other=0,  # a certificate that does not verify will not the next time, either
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            backoff_factor=0.3,
            raise_on_status=False,
        )

    @property
    def ca_file(self) -> str:
        """The file with the CA that the API server's certificate is verified against; empty for the system's own."""
        return str(self._connection.pool.connection_pool_kw.get("ca_certs") or "")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()
        self._connection.pool.clear()

    # Reading

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """One object, or None where there is none (that the API itself is missing is an error)."""
        try:
            return self.request("GET", kind.path(namespace, name), about=_about("read", kind, name, namespace))
        except ApiError as error:
            if error.status == 404 and error.reason == "NotFound":
                return None
            raise

    def list_objects(
        self, kind: Kind, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> list[Object]:
        """The objects of a namespace, or of all. One request: the server answers it from memory, pages come from disk."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        return list(self._list(kind, namespace, query)["items"] or [])

    def list_in(
        self,
        kind: Kind,
        namespaces: Iterable[str],
        label_selector: str = "",
        field_selector: str = "",
        refused: dict[str, ApiError] | None = None,
    ) -> list[Object]:
        """The objects of these namespaces, with the fewest requests that the caller's rights allow.

        With ``refused``, a namespace that the caller may not read is noted there instead of raised: for an ordinary user
        that is also what a namespace looks like which does not exist.
        """
        wanted = set(namespaces)
        if len(wanted) > _LIST_EACH_AT_MOST:
            try:
                found = self.list_objects(kind, "", label_selector, field_selector)
                return [item for item in found if item["metadata"]["namespace"] in wanted]
            except ApiError as error:
                if error.status != 403:
                    raise

        def read(namespace: str) -> list[Object]:
            try:
                return self.list_objects(kind, namespace, label_selector, field_selector)
            except ApiError as error:
                if refused is None or error.status != 403:
                    raise
                refused[namespace] = error
                return []

        return [item for items in self.map(read, sorted(wanted)) for item in items]

    def allowed(self, verb: str, kind: Kind, namespace: str = "", name: str = "") -> bool:
        """Whether the caller may do this (SelfSubjectAccessReview)."""
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace, "name": name}
        review = self.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
            about="ask for one's own rights",
        )
        return bool(review.get("status", {}).get("allowed"))

    # Writing

    def write(self, change: Change) -> Object:
        """Carry out a change that ``objects.changes`` planned. A delete of what is gone already has succeeded."""
        request: Request = change.request
        try:
            return self.request(request.method, request.path, request.body, request.content_type, about=str(change))
        except ApiError as error:
            if error.status == 404 and error.reason == "NotFound" and change.action == "delete":
                return {}
            raise

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", about: str = ""
    ) -> Object:
        """One request and its JSON answer. ``about`` is what the error says was attempted."""
        response = self._send(method, path, body, content_type)
        data = response.read()
        response.release_conn()
        if response.status < 400:
            return dict(json.loads(data)) if data else {}
        raise self._refusal(about or f"{method} {path}", response.status, data)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The function's results for all items, computed concurrently, in the order of the items."""
        if len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(max_workers=min(WORKERS, len(items))) as pool:
            return list(pool.map(function, items))

    # Waiting

    def wait(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        until: Callable[[Object | None], bool],
        deadline: float,
        describe: Callable[[Object | None], str],
    ) -> Object | None:
        """Watch one object until it is as wanted, and return it; at the deadline (``time.monotonic``) fail.

        ``describe`` says what is still wrong and what to do about it.
        """
        query = {"fieldSelector": f"metadata.name={name}"}
        what = "waiting for " + (f"{kind.kind} {namespace}/{name}" if namespace else f"{kind.kind} {name}")
        seen: Object | None = None
        with progress.step(self.host) as step:
            while True:
                listing = self._list(kind, namespace, query)
                seen = next(iter(listing["items"] or []), None)
                if until(seen):
                    return seen
                _report(step, what, seen)
                for event in self._watch(kind, namespace, query, listing["metadata"]["resourceVersion"], deadline):
                    if event["type"] == "ERROR":  # the version is too old to watch from: list again
                        break
                    seen = None if event["type"] == "DELETED" else event["object"]
                    if until(seen):
                        return seen
                    _report(step, what, seen)
                if time.monotonic() >= deadline:
                    raise RegistryError(describe(seen))

    def _watch(
        self, kind: Kind, namespace: str, query: Mapping[str, str], version: str, deadline: float
    ) -> Iterator[Object]:
        left = deadline - time.monotonic()
        if left <= 0:
            return
        parameters = dict(query, watch="true", resourceVersion=version, timeoutSeconds=str(max(1, int(left))))
        path = f"{kind.path(namespace)}?{urlencode(parameters)}"
        try:
            response = self._send("GET", path, timeout=urllib3.Timeout(connect=_TIMEOUT[0], read=left + 1))
            if response.status >= 400:
                raise self._refusal(f"watch {kind.plural}", response.status, response.read())
            buffer = b""
            for chunk in response.stream(65536):
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except urllib3.exceptions.HTTPError:
            # A broken or silent stream is no news: the caller lists again and sees for itself.
            time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
            return

    def _list(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> Object:
        parameters = urlencode({key: value for key, value in query.items() if value})
        path = kind.path(namespace) + (f"?{parameters}" if parameters else "")
        return self.request("GET", path, about=f"list {kind.plural}" + (f" in {namespace}" if namespace else ""))

    def _send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", timeout: Any = None
    ) -> Any:
        headers = HTTPHeaderDict({"Accept": "application/json", "User-Agent": "quayside.registry"})
        headers.extend(self._connection.credentials())
        for name, value in self._connection.impersonation.items():
            for one in [value] if isinstance(value, str) else value:
                headers.add(name, one)
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return self._connection.pool.request(
                method,
                self.host + path,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=timeout or urllib3.Timeout(connect=_TIMEOUT[0], read=_TIMEOUT[1]),
                retries=self._retry,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(_unreachable(self.host, error)) from error

    def _refusal(self, about: str, status: int, data: bytes) -> RegistryError:
        try:
            answer = json.loads(data)
        except ValueError:
            answer = {}
        reason = str(answer.get("reason", "")) if isinstance(answer, dict) else ""
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        message = (message or data.decode(errors="replace").strip() or f"HTTP status {status}").rstrip(".")
        if status == 409:
            invisible = isinstance(answer, dict) and (answer.get("details") or {}).get("kind") == "project"
            return Conflict(
                f"Could not {about}: {message}."
                + (" If it is somebody else's, choose another name or ask for access to it." if invisible else "")
            )
        remedy = ""
        if status == 401:
            remedy = (
                f" The API server {self.host} does not accept the credentials: the token or certificate is wrong or has"
                " expired. Log in again, or check the options api_key, kubeconfig and context."
            )
        elif status == 403 and "because it is being terminated" in message:
            remedy = " Run again when the project is gone."
        elif status == 403 and "RBAC permissions not currently held" in message:
            message = message.partition(":\n")[0]
            remedy = (
                " The API server lets an account grant only the rights that it holds itself (RBAC escalation). A project's"
                " administrator can grant the role edit instead of system:image-builder; for other roles connect as a"
                " cluster administrator."
            )
        elif status == 403:
            remedy = " Grant that right to the account, or connect as one that has it."
        elif status == 404 and reason != "NotFound":
            remedy = f" The cluster at {self.host} does not serve this API: it is not an OpenShift cluster, or a part is missing."
        elif status == 404 and message.startswith("the server could not find the requested resource"):
            reason = "NoSuchApi"
            remedy = f" The cluster at {self.host} does not serve this API: it is not an OpenShift cluster, or a part is missing."
        return ApiError(f"Could not {about}: {message}.{remedy}", status, reason)


def connect(params: Mapping[str, Any]) -> Cluster:
    """A connection from kubernetes.core's options (``params``) and environment variables.

    With ``username``, ``password`` and ``host`` it logs in on OpenShift's OAuth server; closing the cluster logs out.
    """
    return Cluster(open_connection(params))


def connect_elsewhere(params: Mapping[str, Any]) -> Cluster:
    """A connection to a cluster beside the module's own: by ``params`` alone, since the environment names the module's."""
    with without_environment():
        return Cluster(open_connection(params))


def _report(step: progress.Step, what: str, seen: Object | None) -> None:
    if step.is_watched:
        text, done, total = readiness(seen)
        step.update(f"{what}: {text}" if text else what, done, total)


def _about(verb: str, kind: Kind, name: str, namespace: str) -> str:
    return f"{verb} {kind.kind} {namespace}/{name}" if namespace else f"{verb} {kind.kind} {name}"


def _unreachable(host: str, error: Exception) -> str:
    cause: BaseException = getattr(error, "reason", None) or error
    text = str(cause)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"The certificate of the API server {host} could not be verified: {text}. Set ca_cert to the file of the CA"
            " that signed it (or use a kubeconfig that carries it)."
        )
    if "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return f"The file of ca_cert holds no certificate in PEM form ({text}). Nothing was sent to {host}."
    return f"The API server {host} cannot be reached: {text}. Check host or kubeconfig and context, and the network."
