# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS handshake as proof that certain authorities are what a server needs. Standard library only."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import socket
import ssl
import urllib.request
from urllib.parse import unquote, urlsplit


@dataclasses.dataclass(frozen=True)
class Proof:
    """`verified` is None where the server could not be reached; `problem` says what went wrong. `shown` is the server's
    certificate (DER) where it was shown but did not verify."""

    verified: bool | None
    problem: str = ""
    shown: bytes | None = None


def prove(host: str, port: int, ca_certificates: str, timeout: float) -> Proof:
    """Connect (through the proxy of HTTPS_PROXY and NO_PROXY, if any) and verify the server with these authorities alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca_certificates)
    # As Go's clients (podman, skopeo, docker) and curl do: an intermediate authority, or the leaf, may be the anchor.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        _handshake(context, host, port, timeout)
    except ssl.SSLCertVerificationError as error:
        return Proof(
            False, f"the TLS handshake with {host}:{port} failed: {error.verify_message}", _shown(host, port, timeout)
        )
    except ssl.SSLError as error:
        return Proof(False, f"the TLS handshake with {host}:{port} failed: {error.reason or error}")
    except (OSError, http.client.HTTPException) as error:
        return Proof(None, f"{host}:{port} could not be reached from where this module runs: {error}")
    return Proof(True)


def _shown(host: str, port: int, timeout: float) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: the certificate is only looked at
    with contextlib.suppress(OSError, http.client.HTTPException):
        return _handshake(context, host, port, timeout)
    return None


def _handshake(context: ssl.SSLContext, host: str, port: int, timeout: float) -> bytes | None:
    with _connect(host, port, timeout) as plain, context.wrap_socket(plain, server_hostname=host) as secured:
        return secured.getpeercert(binary_form=True)


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(f"{host}:{port}"):
        return socket.create_connection((host, port), timeout)
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not url.hostname:
        raise OSError("the proxy of the environment variable HTTPS_PROXY has no host")
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port or (443 if url.scheme == "https" else 80), timeout=timeout)
    headers = {}
    if url.username:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    connection.set_tunnel(host, port, headers)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise OSError(f"{error} (through the proxy {url.hostname})") from error
    return connection.sock
