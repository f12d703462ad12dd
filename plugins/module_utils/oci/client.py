# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry's API (OCI distribution, Docker's v2): tokens, manifests, blobs; refusals as sentences.

How requests travel is the transport's business: ``send(method, url, headers, body) -> Response``.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import api_host
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import Response, Send

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (
    OCI_MANIFEST,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

_MOST_REDIRECTS = 5
_CHALLENGE = re.compile(r'([A-Za-z][\w-]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?')


class Refused(RegistryError):
    """The credential is not accepted, or lacks the right. ``reason`` is the registry's own words.

    ``login``: the user was refused, before any right was looked at.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.login = False


class Missing(RegistryError):
    """The registry has no such repository, manifest or blob."""


class Unsupported(RegistryError):
    """The registry does not offer this operation."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    media_type: str
    digest: str
    body: bytes = dataclasses.field(repr=False)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a WWW-Authenticate header: scheme in lower case, and its parameters."""
    found: list[tuple[str, dict[str, str]]] = []
    for name, quoted, plain in _CHALLENGE.findall(header):
        if quoted or plain:
            if found:
                found[-1][1][name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or plain
        else:
            found.append((name.lower(), {}))
    return found


class Registry:
    """Requests to one registry with one credential (None: anonymously). Threads may share it."""

    def __init__(self, host: str, send: Send, credential: Credential | None = None) -> None:
        self.host = host
        self._base = f"https://{api_host(host)}"
        self._send = send
        self._credential = credential
        self._tokens: dict[str, str] = {}  # scope -> Authorization header
        self._asks: list[tuple[str, dict[str, str]]] = []  # the challenge that greet() has heard
        #: Pulls that this credential has left, as far as a registry (the Docker Hub) says so with each manifest.
        self.remaining: int | None = None
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)  # scope -> one asks, the others wait

    # What a registry can be asked

    def log_in(self) -> bool:
        """Prove the credential as ``podman login`` does. False: the registry asks nobody for a credential."""
        response = self._request("GET", "/v2/", about="log in")
        if response.status != 200:
            raise self._error("log in", response)
        return bool(self._tokens)

    def greet(self) -> None:
        """Learn how the registry asks for credentials, so that later requests bring theirs along without being asked."""
        about = "answer"
        response = self._send("GET", urljoin(self._base, "/v2/"), {}, None)
        if response.status == 401:
            self._asks = challenges(response.headers.get("www-authenticate", ""))
        elif response.status not in (200, 403):
            raise self._error(about, response)

    def digest(self, repository: str, reference: str, push: bool = False) -> str | None:
        """The digest of a tag, None where there is none: one HEAD, which the Docker Hub counts as no pull.

        ``push``: with a token that may also push; some registries show a repository that is not there yet to no other.
        """
        response = self.head_manifest(repository, reference, push)
        found = response.headers.get("docker-content-digest", "")
        allowance = response.headers.get("ratelimit-remaining", "").partition(";")[0]
        if allowance.isdigit():
            self.remaining = int(allowance)
        if response.status == 200 and found:
            return found
        if response.status == 404:
            return None
        # no digest, or an error, of which HEAD tells no more than its status
        manifest = self.manifest(repository, reference)
        return manifest.digest if manifest else None

    def head_manifest(self, repository: str, reference: str, push: bool = False) -> Response:
        """The answer to HEAD of a manifest, whatever its status is apart from a refusal."""
        about = f"read {_image(repository, reference)}"
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        return self._request("HEAD", path, headers, scope=_scope(repository, push), about=about)

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, page by page. Raises Missing where there is no such repository."""
        about, path = f"list the tags of {repository}", f"/v2/{repository}/tags/list?n=1000"
        found: list[str] = []
        while path:
            response = self._request("GET", path, scope=_scope(repository), about=about)
            if response.status != 200:
                raise self._error(about, response)
            try:
                found += json.loads(response.body)["tags"] or []
            except (ValueError, KeyError, TypeError) as error:
                raise RegistryError(f"{self.host} could not {about}: its answer has no list of tags.") from error
            link = re.match(r'\s*<([^>]+)>\s*;.*rel="?next', response.headers.get("link", ""))
            path = urljoin(urljoin(self._base, path), link[1]) if link else ""
        return found

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest, its content proven by the digest; None where there is none."""
        about = f"read {_image(repository, reference)}"
        response = self._get(
            f"/v2/{repository}/manifests/{reference}", repository, about, {"Accept": ", ".join(MANIFEST_TYPES)}
        )
        if response is None:
            return None
        digest = digest_of(response.body)
        claimed = reference if ":" in reference else response.headers.get("docker-content-digest", digest)
        if claimed.startswith("sha256:") and claimed != digest:
            raise RegistryError(f"{self.host} could not {about}: its content has digest {digest}, not {claimed}.")
        return Manifest(response.headers.get("content-type", ""), digest, response.body)

    def blob(self, repository: str, digest: str) -> bytes:
        """A blob's content, proven by its digest."""
        about = f"read blob {_image(repository, digest)}"
        response = self._get(f"/v2/{repository}/blobs/{digest}", repository, about)
        if response is None:
            raise Missing(f"{self.host} could not {about}: it is missing although the manifest names it.")
        if digest.startswith("sha256:") and digest_of(response.body) != digest:
            raise RegistryError(f"{self.host} could not {about}: its content has another digest.")
        return response.body

    def has_blob(self, repository: str, digest: str) -> bool:
        about = f"read blob {_image(repository, digest)}"
        response = self._request("HEAD", f"/v2/{repository}/blobs/{digest}", scope=_scope(repository), about=about)
        if response.status == 404:
            return False
        if response.status != 200:
            raise self._error(about, response)
        return True

    def upload_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob in one piece; returns its digest."""
        scope, digest = _scope(repository, push=True), digest_of(content)
        about = f"upload a blob to {repository}"
        start = self._request("POST", f"/v2/{repository}/blobs/uploads/", None, b"", scope, about)
        if start.status != 202:
            raise self._error(about, start)
        location = urljoin(self._base, start.headers.get("location", ""))
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        response = self._request("PUT", url, headers, content, scope, about)
        if response.status != 201:
            raise self._error(about, response)
        return digest

    def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str = OCI_MANIFEST) -> str:
        """Write a manifest under a tag or its digest; returns the digest."""
        about = f"push {_image(repository, reference)}"
        path = f"/v2/{repository}/manifests/{reference}"
        response = self._request("PUT", path, {"Content-Type": media_type}, body, _scope(repository, push=True), about)
        if response.status not in (200, 201):
            raise self._error(about, response)
        return digest_of(body)

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest with all its tags. What is gone already has been deleted."""
        about = f"delete {_image(repository, digest)}"
        path = f"/v2/{repository}/manifests/{digest}"
        response = self._request("DELETE", path, scope=f"repository:{repository}:delete", about=about)
        if response.status not in (200, 202, 204, 404):
            raise self._error(about, response)

    # How it is asked

    def _get(self, path: str, repository: str, about: str, headers: Mapping[str, str] | None = None) -> Response | None:
        response = self._request("GET", path, headers or {}, scope=_scope(repository), about=about)
        for _hop in range(_MOST_REDIRECTS):
            if response.status not in (301, 302, 303, 307, 308):
                break
            # to the storage behind the registry: signed URLs, which must not get the registry's credential
            url = urljoin(self._base, response.headers.get("location", ""))
            response = self._send("GET", url, {}, None)
        if response.status == 404:
            return None
        if response.status != 200:
            raise self._error(about, response)
        return response

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        scope: str = "",
        about: str = "",
    ) -> Response:
        """A request, repeated once with what the challenge asks for; a second challenge is a refusal.

        OpenShift answers a valid token that lacks the right with 401 and ``Basic realm=openshift,error="access denied"``.
        """
        url = urljoin(self._base, path)
        ours = urlsplit(url).netloc == urlsplit(self._base).netloc
        known, fresh = self._known(scope, about) if ours else (None, False)
        response = self._send(method, url, {**(headers or {}), **_authorization(known)}, body)
        if response.status == 401 and ours and not fresh:  # nothing was brought along, or it may have expired
            answer = self._answer(response, scope, about)
            response = self._send(method, url, {**(headers or {}), **_authorization(answer)}, body)
            if response.status not in (401, 403):
                self._tokens[scope] = answer
        if response.status in (401, 403):
            raise self._refusal(about, response)
        return response

    def _known(self, scope: str, about: str) -> tuple[str | None, bool]:
        """The Authorization header to bring along, and whether it was made just now."""
        if not self._asks or scope in self._tokens:
            return self._tokens.get(scope), False
        with self._locks[scope]:
            if scope in self._tokens:
                return self._tokens[scope], False
            # the challenge to greet() was for no repository: the scope is that of the request
            asks = [
                (scheme, {name: value for name, value in parameters.items() if name != "scope"})
                for scheme, parameters in self._asks
            ]
            answer = self._answer_to(asks, scope, about)
            if answer:
                self._tokens[scope] = answer
            return answer, bool(answer)

    def _answer(self, response: Response, scope: str, about: str) -> str:
        """The Authorization header that answers the challenge of a response."""
        asks = challenges(response.headers.get("www-authenticate", ""))
        answer = self._answer_to(asks, scope, about)
        if answer is None:
            raise self._refusal(about, response)
        return answer

    def _answer_to(self, asks: list[tuple[str, dict[str, str]]], scope: str, about: str) -> str | None:
        for scheme, parameters in asks:
            if scheme == "bearer" and parameters.get("realm"):
                return f"Bearer {self._token(parameters, scope, about)}"
            if scheme == "basic" and self._credential and "error" not in parameters:
                return _basic(self._credential)
        return None

    def _token(self, parameters: Mapping[str, str], scope: str, about: str) -> str:
        realm = urljoin(self._base, parameters["realm"])
        query = {"service": parameters.get("service", ""), "scope": parameters.get("scope") or scope}
        if self._credential:
            query["account"] = self._credential.username
        text = urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
        headers = _authorization(_basic(self._credential) if self._credential else None)
        response = self._send("GET", f"{realm}{'&' if '?' in realm else '?'}{text}", headers, None)
        if response.status in (401, 403):
            raise self._refusal(about, response, at=f" (token service {urlsplit(realm).netloc})")
        if response.status != 200:
            raise self._error(f"get a token to {about}", response)
        try:
            answer = json.loads(response.body)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise RegistryError(f"The token service of {self.host} ({realm}) answered without a token.") from error

    # What went wrong

    def _refusal(self, about: str, response: Response, at: str = "") -> Refused:
        who = f"user {self._credential.username}" if self._credential else "anonymous users"
        reason, login = _reason(response), bool(at)
        for scheme, parameters in challenges(response.headers.get("www-authenticate", "")):
            if parameters.get("error"):
                reason = f"{reason}, {parameters['error']}"
            elif scheme == "basic":  # OpenShift's for a missing right has an error
                login = True
        refusal = Refused(f"{self.host} does not let {who} {about}: {reason}{at}.", reason)
        refusal.login = login
        return refusal

    def _error(self, about: str, response: Response) -> RegistryError:
        reason = _reason(response)
        text = f"{self.host} could not {about}: {reason}."
        codes = {error.get("code") for error in _errors(response)}
        if codes & {"UNAUTHORIZED", "DENIED"}:
            return self._refusal(about, response)
        if response.status == 405 or "UNSUPPORTED" in codes:
            return Unsupported(text)
        if not codes and b"<" in response.body[:64]:
            hint = ""
            if response.status == 503:
                hint = " An OpenShift router answers so where no route has this host, or the registry has no ready pod."
            return RegistryError(
                f"{text} The answer is a page of HTML: this is no registry, or none at the moment.{hint}"
            )
        if response.status == 404:
            return Missing(text)
        if response.status == 429:
            wait = response.headers.get("retry-after", "")
            later = f"in {wait} seconds" if wait.isdigit() else "later"
            return RegistryError(
                f"{text} Its limit of requests is reached: try again {later}, or log in for a higher one."
            )
        return RegistryError(text)


def _errors(response: Response) -> list[dict[str, Any]]:
    try:
        errors = json.loads(response.body)["errors"]
        return [error for error in errors if isinstance(error, dict)]
    except (ValueError, KeyError, TypeError):
        return []


def _reason(response: Response) -> str:
    """The registry's own words, or the status."""
    words = [": ".join(filter(None, (error.get("code"), error.get("message")))) for error in _errors(response)]
    return "; ".join(filter(None, words)) or f"HTTP status {response.status}"


def _authorization(value: str | None) -> dict[str, str]:
    return {"Authorization": value} if value else {}


def _basic(credential: Credential) -> str:
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def _scope(repository: str, push: bool = False) -> str:
    return f"repository:{repository}:{'pull,push' if push else 'pull'}"


def _image(repository: str, reference: str) -> str:
    return f"{repository}{'@' if ':' in reference else ':'}{reference}"
