"""A registry as GitHub's: the real distribution, private, behind tokens that a service of its own gives for user and PAT.

with TokenRegistry("ghcr.io", world.certificate_for("ghcr.io"), {"ann": "ghp_…"}, read_only={"bob": "ghp_…"}) as registry:
    digest = registry.push("acme/private", "1.0")

As on ghcr.io, a wrong PAT is refused by the token service (403, DENIED: denied), a right one that lacks the scope gets no token for
a push, and nobody learns anything without a login. Other than there, the service has a port of its own.
"""

from __future__ import annotations

import base64
import http.server
import json
import re
import secrets
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from .external import ExternalRegistry, new_address
from .pki import Authority, write_private

LIFE = 300  # seconds of a token, as on ghcr.io


class TokenRegistry(ExternalRegistry):
    """users: name → PAT that may pull and push; read_only: name → PAT that may only pull. Everything is private."""

    def __init__(
        self,
        host: str,
        certificate: tuple[str, str],
        users: Mapping[str, str],
        read_only: Mapping[str, str] | None = None,
    ) -> None:
        self.read_only = dict(read_only or {})
        self._signer = Authority.create("token service").server(["token service"])
        address = new_address()
        self._service = http.server.ThreadingHTTPServer((address, 0), _handler(self))
        self.realm = f"https://{host.partition(':')[0]}:{self._service.server_address[1]}/token"
        super().__init__(host, certificate, users, address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "tls.crt", self._directory / "tls.key")
        self._service.socket = context.wrap_socket(self._service.socket, server_side=True)

    def __enter__(self) -> TokenRegistry:
        threading.Thread(target=self._service.serve_forever, daemon=True).start()
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._service.shutdown()
        self._service.server_close()

    def _authentication(self) -> dict[str, Any]:
        bundle = self._directory / "token.crt"
        write_private(bundle, self._signer.certificate)
        options = {"realm": self.realm, "service": self.host, "issuer": self.host, "rootcertbundle": str(bundle)}
        return {"token": options}

    def _owner(self, path: str) -> Any:
        name, _kind, _rest = re.split("/(manifests|blobs)/", path.removeprefix("/v2/") + "/blobs/", maxsplit=1)
        token = self._sign("owner", f"repository:{name}:pull,push,delete")

        def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return authenticate

    # The token service

    def answer(self, authorization: str, scopes: list[str]) -> tuple[int, dict[str, Any]]:
        """Status and answer to a request for a token."""
        scheme, _blank, value = authorization.partition(" ")
        user, _colon, pat = base64.b64decode(value).decode().partition(":") if scheme == "Basic" else ("", "", "")
        if not user:
            return 401, _error("UNAUTHORIZED", "authentication required")
        if {**self.users, **self.read_only}.get(user) != pat:
            return 403, _error("DENIED", "denied")
        if user in self.read_only and any("push" in scope.rpartition(":")[2].split(",") for scope in scopes):
            return 403, _error("DENIED", "permission_denied: The token provided does not match expected scopes.")
        return 200, {"token": self._sign(user, *scopes), "expires_in": LIFE}

    def _sign(self, user: str, *scopes: str) -> str:
        """A JSON Web Token that distribution accepts: the signer's certificate is in it (x5c)."""
        certificate = x509.load_pem_x509_certificate(self._signer.certificate)
        key = serialization.load_pem_private_key(self._signer.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        der = certificate.public_bytes(serialization.Encoding.DER)
        access = [
            {"type": kind, "name": rest.rpartition(":")[0], "actions": rest.rpartition(":")[2].split(",")}
            for kind, _colon, rest in (scope.partition(":") for scope in scopes)
        ]
        now = int(time.time())
        claims = {
            "iss": self.host,
            "aud": self.host,
            "sub": user,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        header = {"alg": "ES256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _error(code: str, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message}]}


def _handler(registry: TokenRegistry) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            status, answer = registry.answer(self.headers.get("Authorization", ""), query.get("scope", []))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    return Handler
