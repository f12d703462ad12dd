# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to Quay: its REST API with a token or a signed-in session, retries, pages, errors as sentences.

A session is signed in once, where there are a user and a password: a bearer token costs the server a bcrypt at every request
(measured: 0.4 s of CPU against 0.03 s).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from ansible.module_utils.basic import env_fallback

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.hostname import split_host

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import MaxRetryError
    from urllib3.util.retry import Retry
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
    Retry = object
else:
    IMPORT_ERROR = None

#: Options that say where Quay is, as the doc fragment ``quay.server`` documents them.
SERVER: dict[str, dict[str, Any]] = {
    "quay_host": {"type": "str", "required": True, "fallback": (env_fallback, ["QUAY_HOST"])},
    "quay_ca_cert": {"type": "str", "fallback": (env_fallback, ["QUAY_CA_CERT"])},
    "quay_validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["QUAY_VALIDATE_CERTS"])},
}

#: Those, and the credentials: the doc fragment ``quay``.
CONNECTION: dict[str, dict[str, Any]] = {
    **SERVER,
    "quay_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["QUAY_TOKEN"])},
    "quay_username": {"type": "str", "fallback": (env_fallback, ["QUAY_USERNAME"])},
    "quay_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["QUAY_PASSWORD"])},
}

#: (connect, read) seconds. A busy Quay takes its time: sixteen requests with a token at once take 6 s each.
_TIMEOUT = (10.0, 90.0)
#: The longest time in seconds that is waited because Quay says so.
_PATIENCE = 60
_CSRF = "CSRF token was invalid or missing"
_XHR = "X-Requested-With"


class QuayError(RegistryError):
    """Quay refused a request. ``status`` is the HTTP status, ``kind`` its ``error_type``, ``text`` its own words."""

    def __init__(self, message: str, status: int, text: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.kind = kind


class SignInRefused(QuayError):
    """User name and password do not fit together, or there is no such user."""


class MissingApi(QuayError):
    """This Quay has no such path: an older version, or a feature that is switched off."""


class _Retries(Retry):  # type: ignore[misc]
    """429 says that nothing was done, whatever the method. Gateways' errors are tried again only where nothing is written."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        return status_code == 429 or (method == "GET" and status_code in (502, 503, 504))

    def increment(self, method: Any = None, url: Any = None, response: Any = None, *args: Any, **kwargs: Any) -> Any:
        """After many wrong passwords Quay asks for minutes and hours, which is for people to decide."""
        if response is not None and (self.get_retry_after(response) or 0) > _PATIENCE:
            raise MaxRetryError(kwargs.get("_pool"), url)
        return super().increment(method, url, response, *args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Server:
    """Where Quay is: ``url`` without a slash at its end; what its certificate is verified with: a file, or PEM text."""

    url: str
    verify: bool | str = True
    pem: str = ""

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Server:
        """From the options ``SERVER``. Raises InputError."""
        given = params["quay_host"].strip().rstrip("/")
        scheme, separator, rest = given.partition("://")
        if separator and scheme not in ("http", "https"):
            raise InputError(f"quay_host: {given!r} is neither a host nor a URL of https or http.")
        split_host(rest if separator else given, "quay_host")
        url = given if separator else f"https://{given}"
        ca_cert = params["quay_ca_cert"]
        if not params["quay_validate_certs"]:
            return cls(url, False)
        if not ca_cert:
            return cls(url)
        if "-----BEGIN CERTIFICATE-----" in ca_cert:
            return cls(url, pem=ca_cert)
        path = Path(ca_cert).expanduser()
        if not path.is_file():
            raise InputError(f"quay_ca_cert is neither certificates (PEM) nor a file where this module runs: {ca_cert}")
        return cls(url, str(path))


class Quay:
    """Requests to one Quay, by nobody until ``use_token`` or ``sign_in``. Threads may share it."""

    def __init__(self, server: Server) -> None:
        if IMPORT_ERROR is not None:
            raise RegistryError(
                "Modules for Quay need the Python package requests where they run. Install it with: pip install requests."
                f" {IMPORT_ERROR}"
            )
        self.server = server
        self.user = ""
        self._csrf = ""
        self._token = ""
        if server.verify is False:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._pem = None
        self._verify = server.verify
        if server.pem:  # requests reads certificates from files only
            self._pem = tempfile.NamedTemporaryFile("w", suffix=".crt")  # noqa: SIM115
            self._pem.write(server.pem)
            self._pem.flush()
            self._verify = self._pem.name
        self._session = requests.Session()
        # Quay lets clients that say they are a browser's scripts through, whatever BROWSER_API_CALLS_XHR_ONLY says
        self._session.headers.update(
            {"Accept": "application/json", "User-Agent": "quayside.registry", _XHR: "XMLHttpRequest"}
        )
        retries = _Retries(
            total=6,
            connect=3,
            other=0,  # a certificate that does not verify will not the next time, either
            allowed_methods=["GET"],
            backoff_factor=0.5,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retries, pool_maxsize=16))

    def __enter__(self) -> Quay:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._session.close()
        if self._pem is not None:
            self._pem.close()

    # Who asks

    def use_token(self, token: str) -> None:
        """Ask with an OAuth token from now on, without a session."""
        self._token, self._csrf, self.user = token, "", ""
        self._session.cookies.clear()

    def sign_in(self, username: str, password: str) -> None:
        """Ask in a session of the user from now on. Raises SignInRefused."""
        self.use_token("")
        self._csrf = str(self.request("GET", "/csrf_token", about="begin a session")["csrf_token"])
        about = f"sign in as {username}"
        answer = self._send("POST", "/api/v1/signin", {"username": username, "password": password})
        if answer.status_code == 403 and re.search(r'"invalidCredentials":\s*true', answer.text):
            text = "Quay does not accept this user name and password"
            raise SignInRefused(f"Could not {about} at {self.server.url}: {text}.", 403, text)
        self._content(answer, "/api/v1/signin", about)
        self._csrf = answer.headers.get("X-Next-CSRF-Token", self._csrf)
        self.user = username

    # Requests

    def request(self, method: str, path: str, body: Any = None, about: str = "") -> Any:
        """One request and what it answers (None for nothing). ``about`` is what the error says was attempted."""
        return self._content(self._send(method, path, body), path, about or f"{method} {path}")

    def pages(self, path: str, field: str, about: str = "") -> list[Any]:
        """All items of a list that comes in pages: ``next_page`` until it is absent, however short a page is."""
        items: list[Any] = []
        query = ""
        while True:
            page = self.request("GET", path + query, about=about)
            items += page[field]
            if not page.get("next_page"):
                return items
            query = ("&" if "?" in path else "?") + urlencode({"next_page": page["next_page"]})

    def numbered_pages(self, path: str, field: str, about: str = "") -> list[Any]:
        """All items of a list that comes in numbered pages, as Quay has tags."""
        items: list[Any] = []
        for number in itertools.count(1):
            page = self.request("GET", f"{path}&page={number}", about=about)
            items += page[field]
            if not page["has_additional"]:
                break
        return items

    def authorize(self, client_id: str, redirect_uri: str, scope: str) -> tuple[str, int]:
        """A token for an OAuth application by the authorization flow of a signed-in user; and for how many seconds."""
        form = {"response_type": "token", "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope}
        path, about = "/oauth/authorizeapp", "authorize the OAuth application"
        answer = self._send("POST", path, {**form, "_csrf_token": self._csrf}, form=True)
        fragment = parse_qs(urlsplit(answer.headers.get("Location", "")).fragment)
        if answer.status_code != 302 or "access_token" not in fragment:
            self._content(answer, path, about)
            raise QuayError(f"Could not {about} at {self.server.url}: it answered without a token.", answer.status_code)
        return fragment["access_token"][0], int(fragment.get("expires_in", ["0"])[0])

    def _send(self, method: str, path: str, body: Any = None, form: bool = False) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self._csrf and method != "GET":
            headers["X-CSRF-Token"] = self._csrf
        try:
            return self._session.request(
                method,
                self.server.url + path,
                data=body if form else None,
                json=None if form else body,
                headers=headers,
                timeout=_TIMEOUT,
                verify=self._verify,  # of each request: an environment variable would win over the session's
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as failure:
            raise RegistryError(_unreachable(self.server, failure)) from failure

    def _content(self, answer: requests.Response, path: str, about: str) -> Any:
        status = answer.status_code
        html = "<html" in answer.text[:400].lower()
        if status == 308 or (html and status in (404, 405)):
            raise MissingApi(
                f"Could not {about} at {self.server.url}: there is no {path}. Either this is not Quay, or an older version of it, or the"
                " feature is switched off in its config.yaml.",
                status,
            )
        if status < 300:
            try:
                return json.loads(answer.text) if answer.text.strip() else None
            except ValueError:
                what = "a web page" if html else "something else than JSON"
                raise QuayError(
                    f"Could not {about} at {self.server.url}: it answered {what}. Check that quay_host is the host of Quay itself.",
                    status,
                ) from None
        text, kind = explain(answer.text, status)
        if status == 429:
            wait = answer.headers.get("Retry-After") or "60"
            raise QuayError(
                f"Could not {about} at {self.server.url}: {text}. Run again in {wait} seconds.", status, text
            )
        raise QuayError(
            f"Could not {about} at {self.server.url}: {text}.{self._remedy(status, text, kind)}", status, text, kind
        )

    def _remedy(self, status: int, text: str, kind: str) -> str:
        by_token = bool(self._token)
        if by_token and (status == 401 or _CSRF in text):
            return " Quay does not accept the token: it is wrong, has expired or was revoked."
        if status == 401:
            return " Quay wants somebody to be signed in."
        if _XHR in text:
            return (
                " Set BROWSER_API_CALLS_XHR_ONLY: false in Quay's config.yaml: something on the way drops the header."
            )
        if kind == "insufficient_scope":
            return f" {'The token lacks a scope, or its user' if by_token else f'User {self.user} lacks'} the right to do that."
        if status == 503 and "read-only" in text:
            return " Set REGISTRY_STATE: normal in Quay's config.yaml."
        return " See Quay's log." if status >= 500 else ""


def explain(body: str, status: int) -> tuple[str, str]:
    """Quay's own words in any of its five forms of error bodies, as one line without a full stop; and its ``error_type``."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    kind = ""
    if isinstance(content, dict):
        kind = str(content.get("error_type") or "")
        found = next((content[key] for key in ("detail", "error_message", "message", "error") if content.get(key)), "")
        if isinstance(found, dict):
            found = "; ".join(f"{key}: {value}" for key, value in found.items())
        text = str(found)
    elif isinstance(content, str):
        text = content
    else:
        title = re.search(r"<title>\s*(.*?)\s*</title>", body, re.DOTALL | re.IGNORECASE)
        text = title[1] if title else "" if "<" in body else body
    # a failed JSON schema repeats the whole schema after the first line
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (
        " ".join(lines[:1] if "Failed validating" in text else lines)[:400].rstrip(".") or f"HTTP status {status}"
    ), kind


def _unreachable(server: Server, failure: Exception) -> str:
    text = str(failure)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = re.search(r"certificate verify failed: ([^()]*)", text)
        return (
            f"The certificate of Quay at {server.url} could not be verified: {reason[1].strip() if reason else text}. Set quay_ca_cert"
            " to the certificates of the CA that signed it, which router_ca_info finds."
        )
    if isinstance(failure, requests.exceptions.SSLError):
        return f"No TLS connection with Quay at {server.url}: {_cause(failure)}. Check quay_host, its port, and quay_ca_cert."
    if isinstance(failure, requests.exceptions.ReadTimeout):
        return f"Quay at {server.url} did not answer within {_TIMEOUT[1]:.0f} seconds. See whether its pods are ready."
    return f"Quay at {server.url} cannot be reached: {_cause(failure)}. Check quay_host, the network, and whether Quay's pods are ready."


def _cause(failure: BaseException) -> str:
    """The innermost reason, without the objects that requests and urllib3 print with it."""
    inner = failure
    while True:
        deeper = [getattr(inner, "reason", None), *inner.args]
        found = next((item for item in deeper if isinstance(item, BaseException)), None)
        if found is None:
            break
        inner = found
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?\s*", "", str(inner))
    return text.strip().rstrip(".") or type(failure).__name__


def connect(params: Mapping[str, Any]) -> Quay:
    """A connection from the options ``CONNECTION``: with user and password signed in, else with the token."""
    username, password = params["quay_username"], params["quay_password"]
    quay = Quay(Server.of(params))
    if username and password:
        quay.sign_in(username, password)
    elif params["quay_token"]:
        quay.use_token(params["quay_token"])
    else:
        raise InputError("Set quay_token, or quay_username and quay_password.")
    return quay
