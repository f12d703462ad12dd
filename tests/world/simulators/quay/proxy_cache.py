"""Organizations that cache another registry.

Real: hosts that are loopback, private or unresolvable are refused unless SSRF_ALLOWED_HOSTS lists them; the user of the other
registry is never shown; with none configured the answer is 200 and empty. Validation signs in at the other registry: here at
one of ``quay.upstreams``.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row

routes = Routes("PROXY_CACHE")
_PATH = "/api/v1/organization/{orgname}/proxycache"
_TYPES = {"upstream_registry": "string", "upstream_registry_username": "string", "upstream_registry_password": "string",
          "expiration_s": "integer", "insecure": "boolean"}  # fmt: skip
_LIFE = 86400


def check_host(call: Call, address: str) -> None:
    """Refuse hosts that a server must not be sent to. No name is resolved: what ends with .invalid has no address."""
    host = urlsplit(address if "//" in address else f"//{address}").hostname
    if not host:
        raise call.invalid("URL must include a hostname")
    if host in call.quay.config.get("SSRF_ALLOWED_HOSTS", ()):
        return
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        if host.endswith(".invalid"):
            raise call.invalid(f"Cannot resolve hostname '{host}'") from None
        public = host != "localhost"
    if not public:
        raise call.invalid("The provided registry URL is not allowed")


def _found(call: Call) -> Row | None:
    call.login()
    organization = call.database.account(call.parameters["orgname"], "organization")
    call.allow(call.administers(organization) or (organization is None and call.full_access))
    text = "SELECT * FROM proxy_cache WHERE organization = ?"
    return call.database.one(text, organization["id"]) if organization else None


@routes("GET", _PATH, "getProxyCacheConfig")
def get(call: Call) -> web.Response:
    found = _found(call)
    if found is None:
        return answers.answer({"upstream_registry": "", "expiration_s": "", "insecure": ""})
    shown = {"upstream_registry": found["upstream"], "expiration_s": found["expiration"]}
    return answers.answer({**shown, "insecure": bool(found["insecure"])})


def _new(call: Call) -> Row:
    """What a body asks for, where there is none yet."""
    name = call.parameters["orgname"]
    call.organization(missing=lambda: answers.message(400, f"Organization does not exist: {name}"))
    body = call.json(_TYPES, ("upstream_registry",))
    if _found(call):
        raise call.invalid("Proxy Cache Configuration already exists")
    check_host(call, body["upstream_registry"])
    return body


@routes("POST", _PATH, "createProxyCacheConfig")
def create(call: Call) -> web.Response:
    body = _new(call)
    call.database.insert(
        "proxy_cache", organization=call.organization()["id"], upstream=body["upstream_registry"],
        expiration=body.get("expiration_s") or _LIFE, insecure=int(body.get("insecure") or False),
        username=body.get("upstream_registry_username"), password=body.get("upstream_registry_password"),
    )  # fmt: skip
    return answers.answer("Created", 201)


@routes("DELETE", _PATH, "deleteProxyCacheConfig")
def delete(call: Call) -> web.Response:
    found = _found(call)
    if found is None:
        raise call.not_found()
    call.database.delete("proxy_cache", "organization", found["organization"])
    return answers.answer("Deleted", 201)


@routes("POST", "/api/v1/organization/{orgname}/validateproxycache", "validateProxyCacheConfig")
def validate(call: Call) -> web.Response:
    body = _new(call)
    login = (body.get("upstream_registry_username") or "", body.get("upstream_registry_password") or "")
    if login not in call.quay.upstreams.get(body["upstream_registry"], ()):
        raise call.invalid("Failed login to remote registry. Please verify entered details and try again.")
    return answers.answer("Valid" if login[0] else "Anonymous", 202)
