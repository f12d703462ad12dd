# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS to a registry with the trust that podman and docker have. Standard library only, so that it runs on any host.

Connections are pooled: threads may share a transport.

Trusted is what the system trusts and, added to it, the ``*.crt`` of the registry's folder in certs.d. Go, which those
clients are written in, takes every certificate there as an anchor and looks at no common name: so does this.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import socket
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError

#: Where podman, buildah, skopeo and CRI-O look for the folder of a registry; the first that exists is the only one read.
CERTS_DIRS = ("~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")

#: What OpenSSL says of an answer that is no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")

#: Answers that promise better luck later. Every request of a registry's API may be repeated.
_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 4
_LONGEST_PAUSE = 10.0


@dataclasses.dataclass(frozen=True)
class Response:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = dataclasses.field(repr=False, default=b"")


Send = Callable[[str, str, Mapping[str, str], "bytes | None"], Response]


class Unreachable(RegistryError):
    """No answer at all: name, network or TLS. It says nothing about rights."""


def certificates_folder(host: str, certs_dirs: Sequence[str]) -> Path | None:
    """The registry's folder of certificates that a client would use."""
    for directory in certs_dirs:
        folder = Path(directory).expanduser() / host
        if folder.is_dir():
            return folder
    return None


def trust(host: str, certs_dirs: Sequence[str], ca_cert: str | None, validate_certs: bool) -> ssl.SSLContext:
    """The system's trust, with the registry's folder in certs.d and the file ``ca_cert`` added."""
    context = ssl.create_default_context()
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Python 3.13 would refuse certificates that every client of registries accepts
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0x20)
    context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
    context.hostname_checks_common_name = False
    folder = certificates_folder(host, certs_dirs)
    for certificate in sorted(folder.glob("*.crt")) if folder else []:
        with contextlib.suppress(ssl.SSLError):  # what is no certificate is passed over, as by those clients
            _load(context, certificate, host)
    if ca_cert:
        try:
            _load(context, Path(ca_cert), host)
        except ssl.SSLError as error:
            raise InputError(f"{ca_cert} cannot be used to verify {host}: it holds no certificate.") from error
    for certificate in sorted(folder.glob("*.cert")) if folder else []:
        try:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"The client certificate {certificate} or its key beside it cannot be used: {error.strerror or error}."
            ) from error
    return context


def _load(context: ssl.SSLContext, path: Path, host: str) -> None:
    try:
        context.load_verify_locations(cafile=str(path))
    except ssl.SSLError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be used to verify {host}: {error.strerror}.") from error


class Transport:
    """Requests over connections that are kept open. ``tls`` tells about the connection to the registry itself."""

    def __init__(
        self,
        host: str,
        certs_dirs: Sequence[str] = CERTS_DIRS,
        ca_cert: str | None = None,
        validate_certs: bool = True,
        timeout: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
        plain_http: bool = False,
    ) -> None:
        """``plain_http``: where the registry itself does not speak TLS it is spoken to without, as clients do when insecure."""
        self.host = host
        self.tls: dict[str, Any] = {}
        self._certs_dirs = certs_dirs
        self._context = trust(host, certs_dirs, ca_cert, validate_certs)
        self._verified = validate_certs
        self._timeout = timeout
        self._pause = pause
        self._plain_http = plain_http
        self._is_plain = False  # found out by the first connection
        self._connections: dict[str, list[http.client.HTTPConnection]] = {}  # those that nobody uses now

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_exc: object) -> None:
        for connections in self._connections.values():
            for connection in connections:
                connection.close()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """One request, repeated while the server is busy or drops the connection. Redirects are the caller's."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and not (self._plain_http and parts.netloc == self.host):
            raise RegistryError(f"{self.host} refers to {parts.scheme}://{parts.netloc}: nothing is sent unencrypted.")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._exchange(parts.netloc, method, path, headers, body)
            except (http.client.HTTPException, ConnectionResetError, BrokenPipeError) as error:
                if attempt == _ATTEMPTS:
                    raise Unreachable(f"{parts.netloc} broke off the connection {_ATTEMPTS} times: {error}.") from error
                self._pause(0.2 * attempt)
                continue
            except OSError as error:
                raise self._unreachable(parts.netloc, error) from error
            if response.status not in _BUSY or attempt == _ATTEMPTS:
                return response
            wait = _seconds(response.headers.get("retry-after", ""), 0.5 * 2**attempt)
            if wait > _LONGEST_PAUSE:
                return response
            self._pause(wait)
        raise AssertionError("unreachable")

    def _exchange(
        self, netloc: str, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        idle = self._connections.setdefault(netloc, [])
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect(netloc)
        try:
            connection.request(method, path, body=body, headers={"User-Agent": "quayside.registry", **headers})
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        idle.append(connection)
        names = {name.lower() for name, _value in answer.getheaders()}
        return Response(answer.status, {name: answer.getheader(name, "") for name in names}, content)

    def _connect(self, netloc: str) -> http.client.HTTPConnection:
        may_be_plain = self._plain_http and netloc == self.host
        if may_be_plain and self._is_plain:
            return self._connect_plainly(netloc)
        try:
            return self._connect_securely(netloc)
        except ssl.SSLError as error:
            if may_be_plain and error.reason in _NO_TLS:
                self._is_plain = True
                return self._connect_plainly(netloc)
            raise
        except ConnectionRefusedError:
            if may_be_plain and ":" not in netloc:  # nobody listens on port 443
                return self._connect_plainly(netloc)
            raise

    def _connect_plainly(self, netloc: str) -> http.client.HTTPConnection:
        target = urllib.parse.urlsplit(f"//{netloc}")
        connection = http.client.HTTPConnection(target.hostname or "", target.port or 80, timeout=self._timeout)
        connection.connect()
        return connection

    def _connect_securely(self, netloc: str) -> http.client.HTTPConnection:
        target = urllib.parse.urlsplit(f"//{netloc}")
        name, port = target.hostname or "", target.port or 443
        proxy = urllib.parse.urlsplit(_proxy(name, netloc))
        if proxy.hostname:
            connection = http.client.HTTPSConnection(
                proxy.hostname, proxy.port or 80, timeout=self._timeout, context=self._context
            )
            connection.set_tunnel(name, port, _proxy_headers(proxy))
        else:
            connection = http.client.HTTPSConnection(name, port, timeout=self._timeout, context=self._context)
        connection.connect()
        if netloc == self.host:
            self.tls = self._describe(connection.sock)
        return connection

    def _describe(self, connection: Any) -> dict[str, Any]:
        """What the handshake showed. Python tells nothing of a certificate that it did not verify."""
        certificate = connection.getpeercert() or {}
        return {
            "verified": self._verified,
            "version": connection.version(),
            "subject": _name(certificate.get("subject", ())),
            "issuer": _name(certificate.get("issuer", ())),
            "not_after": _timestamp(certificate["notAfter"]) if certificate else "",
        }

    def _unreachable(self, netloc: str, error: OSError) -> Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                f"The certificate of {netloc} is not trusted here: x509: {error.verify_message}. {self._remedy(error)}"
            )
        if isinstance(error, ssl.SSLError):
            if error.reason in _NO_TLS:
                return Unreachable(f"{netloc} does not speak TLS (it answers plain HTTP, perhaps). Check the port.")
            return Unreachable(f"No TLS connection to {netloc}: {error.reason or error}.")
        if isinstance(error, socket.gaierror):
            return Unreachable(
                f"The name of {netloc} cannot be resolved here: {error.strerror}. Check DNS or /etc/hosts."
            )
        if isinstance(error, (socket.timeout, TimeoutError)):
            return Unreachable(
                f"{netloc} did not answer within {self._timeout:g} seconds. Check the network and proxies."
            )
        return Unreachable(f"{netloc} cannot be reached: {error.strerror or error}.")

    def _remedy(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
            return "Renew the certificate, or replace the expired CA."
        if error.verify_code in (62, 64):  # host name or IP address mismatch
            return "Use a name that the certificate is for."
        # a folder of a moment, with what a cluster trusts, is no place to put a CA
        lasting = [directory for directory in self._certs_dirs if directory in CERTS_DIRS] or self._certs_dirs
        folder = certificates_folder(self.host, lasting)
        looked = str(folder) if folder else " or ".join(f"{directory}/{self.host}" for directory in lasting)
        state = "no certificate there verifies it" if folder else "no such folder"
        return f"Trust its CA with quayside.registry.certs_d ({looked}: {state})."


def _proxy(name: str, netloc: str) -> str:
    if urllib.request.proxy_bypass(netloc) or urllib.request.proxy_bypass(name):
        return ""
    proxy = urllib.request.getproxies().get("https", "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _proxy_headers(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    user = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def _seconds(text: str, otherwise: float) -> float:
    """Retry-After's seconds; its other form, a date, is not used by registries."""
    return float(text) if text.isdigit() else otherwise


def _name(name: Sequence[Sequence[Sequence[str]]]) -> str:
    return ", ".join(f"{key}={value}" for part in name for key, value in part)


def _timestamp(openssl: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ssl.cert_time_to_seconds(openssl)))
