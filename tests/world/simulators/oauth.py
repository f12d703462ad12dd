"""The OAuth server: passwords into tokens, and the review of those tokens.

Real: openshift-challenging-client logs in with Basic credentials and gets its token in the fragment of a redirect
(implicit) or a code that /oauth/token exchanges (with PKCE). X-CSRF-Token decides only how a missing or failed login is
answered. Errors before the redirect URI is trusted are 400 JSON, later ones a redirect with `error=`. The first login
makes the User and its Identity. Pages for browsers are not here: a browser client is sent to /login, which is 404.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote_plus

from aiohttp import web

from .resource import Object
from .users import PREFIX, Accounts, expired, object_name, remaining

CHALLENGING, BROWSER, CLI = "openshift-challenging-client", "openshift-browser-client", "openshift-cli-client"
PROVIDER = "htpasswd"
TOKEN_SECONDS, CODE_SECONDS = 86400, 300
SCOPES = ["user:check-access", "user:full", "user:info", "user:list-projects", "user:list-scoped-projects"]
NEEDS_CSRF = "A non-empty X-CSRF-Token header is required to receive basic-auth challenges"
DESCRIPTIONS = {
    "unauthorized_client": "The client is not authorized to request a token using this method.",
    "server_error": "The authorization server encountered an unexpected condition that prevented it from fulfilling the"
    " request.",
    "invalid_request": "The request is missing a required parameter, includes an invalid parameter value, includes a"
    " parameter more than once, or is otherwise malformed.",
    "invalid_grant": "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh"
    " token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was"
    " issued to another client.",
    "access_denied": "The resource owner or authorization server denied the request.",
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
    "unsupported_response_type": "The authorization server does not support obtaining a token using this method.",
}
HEADERS = {
    "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate", "Expires": "0", "Pragma": "no-cache",
    "Referrer-Policy": "strict-origin-when-cross-origin", "X-Content-Type-Options": "nosniff",
    "X-Dns-Prefetch-Control": "off", "X-Frame-Options": "DENY", "X-Xss-Protection": "1; mode=block",
}  # fmt: skip
HELP = """
You have reached this page by following a redirect Location header from an OAuth authorize request.

If a response_type=token parameter was passed to the /authorize endpoint, the access token is in the fragment portion
of the Location header, in the "application/x-www-form-urlencoded" format.
"""


class Answer(Exception):
    """An early end of a request."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class OAuthServer:
    """One cluster's OAuth server. `passwords` is the htpasswd identity provider: user → password."""

    def __init__(self, issuer: str, accounts: Accounts, passwords: Mapping[str, str]) -> None:
        self.issuer = issuer
        self.accounts = accounts
        self.passwords = passwords
        implicit = f"{issuer}/oauth/token/implicit"
        for name, redirects, more in (
            (CHALLENGING, [implicit], {"respondWithChallenges": True}),
            (BROWSER, [f"{issuer}/oauth/token/display"], {"secret": secrets.token_urlsafe(32)}),
            (CLI, ["http://127.0.0.1/callback", "http://[::1]/callback"], {}),
        ):
            client = {"metadata": {"name": name}, "redirectURIs": redirects, "grantMethod": "auto", **more}
            accounts.clients.store.create(client)

    def metadata(self) -> Object:
        """What the API server answers at /.well-known/oauth-authorization-server."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/oauth/authorize",
            "token_endpoint": f"{self.issuer}/oauth/token",
            "scopes_supported": SCOPES,
            "response_types_supported": ["code", "token"],
            "grant_types_supported": ["authorization_code", "implicit"],
            "code_challenge_methods_supported": ["plain", "S256"],
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        try:
            response = await self._route(request)
        except Answer as answer:
            response = answer.response
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _route(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            return web.Response(text="ok")
        if request.path == "/oauth/authorize" and request.method in ("GET", "HEAD", "POST"):
            return self._authorize(request, await _form(request))
        if request.path == "/oauth/token" and request.method in ("GET", "POST"):
            return self._token(request, await _form(request))
        if request.path == "/oauth/info":
            return self._info(request)
        if request.path == "/oauth/token/implicit":
            return web.Response(text=HELP)
        message = f'forbidden: User "system:anonymous" cannot get path "{request.path}"'
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                  "reason": "Forbidden", "details": {}, "code": 403}  # fmt: skip
        return web.json_response(status, status=403)

    def _authorize(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        state = form.get("state")
        client = self.accounts.clients.store.find("", form.get("client_id", ""))
        if not form.get("client_id"):
            raise _bad("server_error", state)
        if client is None:
            raise _bad("unauthorized_client", state)
        redirect = form.get("redirect_uri") or client["redirectURIs"][0]
        if redirect not in client["redirectURIs"]:
            raise _bad("invalid_request", state)
        if form.get("error"):
            raise _redirect(redirect, {"error": form["error"], "error_description": form.get("error_description", "")})
        kind = form.get("response_type")
        if kind not in ("token", "code"):
            raise _redirect(redirect, _error("unsupported_response_type", state=state))
        _check_challenge(form, kind, redirect)
        user = self._login(request, client)
        scope = form.get("scope") or "user:full"
        for index, name in enumerate(scope.split()):
            if name not in SCOPES and not name.startswith("role:"):
                text = f'[{index}]: Invalid value: "{name}": no scope handler found'
                raise _redirect(redirect, _error("invalid_scope", text, state))
        spec: Object = {
            "clientName": client["metadata"]["name"], "scopes": scope.split(), "redirectURI": redirect,
            "userName": user["metadata"]["name"], "userUID": user["metadata"]["uid"],
        }  # fmt: skip
        if kind == "token":
            token = self._issue(spec)
            answer = {"access_token": token, "expires_in": str(TOKEN_SECONDS), "scope": scope, "token_type": "Bearer"}
            answer |= {"state": state} if state else {}
            return _redirect(redirect, answer, mark="#").response
        if form.get("code_challenge"):
            spec |= {"codeChallenge": form["code_challenge"],
                     "codeChallengeMethod": form.get("code_challenge_method") or "plain"}  # fmt: skip
        code = self.accounts.issue(self.accounts.codes, {**spec, "expiresIn": CODE_SECONDS, "state": state or ""})
        return _redirect(redirect, {"code": code, "state": state or ""}).response

    def _login(self, request: web.BaseRequest, client: Object) -> Object:
        if not client.get("respondWithChallenges"):
            then = quote_plus(request.rel_url.raw_path_qs)
            raise Answer(web.Response(status=302, headers={"Location": f"/login?then={then}"}))
        name = self._verified(request.headers.get("Authorization", ""))
        if name is None:
            if request.headers.get("X-CSRF-Token"):
                raise Answer(web.Response(status=401, headers={"Www-Authenticate": 'Basic realm="openshift"'}))
            warning = {"Warning": f'199 Origin "{NEEDS_CSRF}"'}
            raise Answer(web.Response(status=401, text=NEEDS_CSRF + "\n", headers=warning))
        return self._user(name)

    def _verified(self, header: str) -> str | None:
        scheme, _separator, value = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise _failure("no valid base64 data in basic auth scheme found") from None
        if not colon:
            raise _failure("invalid Authorization header")
        right = self.passwords.get(name)
        if right is None or not password or not hmac.compare_digest(right.encode(), password.encode()):
            return None
        return name

    def _user(self, name: str) -> Object:
        """The user behind an identity; both are made at the first login."""
        users, identities = self.accounts.users.store, self.accounts.identities.store
        identity_name = f"{PROVIDER}:{name}"
        identity, user = identities.find("", identity_name), users.find("", name)
        if identity is not None:
            if user is None:
                raise _failure(f'users.user.openshift.io "{name}" not found')
            return user
        if user is not None and user.get("identities"):
            claimed = " ".join(user["identities"])
            raise _failure(f'user "{name}" cannot be claimed by identity "{identity_name}" because it is already '
                           f"mapped to [{claimed}]")  # fmt: skip
        if user is None:
            user = users.create({"metadata": {"name": name}, "identities": [identity_name], "groups": None})
        else:
            user = users.update({**user, "identities": [identity_name]})
        reference = {"name": name, "uid": user["metadata"]["uid"]}
        identities.create({"metadata": {"name": identity_name}, "providerName": PROVIDER, "providerUserName": name,
                           "user": reference})  # fmt: skip
        return user

    def _issue(self, spec: Object) -> str:
        client = self.accounts.clients.store.get("", spec["clientName"])
        seconds = client.get("accessTokenMaxAgeSeconds") or TOKEN_SECONDS
        return self.accounts.issue(self.accounts.tokens, {**spec, "expiresIn": seconds})

    def _token(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        kind = form.get("grant_type")
        failures = {"refresh_token": "invalid_grant", "password": "access_denied"}
        if kind != "authorization_code":
            raise _bad(failures.get(kind or "", "unsupported_grant_type"))
        client = self._client(request, form)
        if not form.get("code"):
            raise _bad("invalid_grant")
        code = (
            self.accounts.codes.store.find("", object_name(form["code"])) if form["code"].startswith(PREFIX) else None
        )
        if code is None or expired(code) or code["clientName"] != client["metadata"]["name"]:
            raise _bad("unauthorized_client")
        if code.get("codeChallenge"):
            verifier = form.get("code_verifier", "")
            if not verifier:
                raise _bad("invalid_request")
            if _challenge(verifier, code["codeChallengeMethod"]) != code["codeChallenge"]:
                raise _bad("invalid_grant")
        self.accounts.codes.store.delete("", code["metadata"]["name"])
        kept = {key: code[key] for key in ("clientName", "scopes", "redirectURI", "userName", "userUID")}
        token = self._issue({**kept, "authorizeToken": form["code"]})
        return web.json_response({"access_token": token, "expires_in": TOKEN_SECONDS, "scope": " ".join(code["scopes"]),
                                  "token_type": "Bearer"})  # fmt: skip

    def _client(self, request: web.BaseRequest, form: Mapping[str, str]) -> Object:
        header = request.headers.get("Authorization", "")
        if header.lower().startswith("basic "):
            name, _separator, secret = base64.b64decode(header[6:]).decode().partition(":")
        elif "client_id" in form and "client_secret" in form:
            name, secret = form["client_id"], form["client_secret"]
        else:
            raise _bad("invalid_request")
        client = self.accounts.clients.store.find("", name)
        if client is None or not hmac.compare_digest(client.get("secret", ""), secret):
            raise _bad("unauthorized_client")
        return client

    def _info(self, request: web.BaseRequest) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        item = self.accounts.holder(token)
        if item is None:
            raise _bad("invalid_request")
        return web.json_response({"access_token": token, "client_id": item["clientName"],
                                  "expires_in": int(remaining(item)), "scope": " ".join(item["scopes"]),
                                  "token_type": "Bearer"})  # fmt: skip

    async def review(self, request: web.BaseRequest) -> web.Response:
        """The API server's TokenReview webhook."""
        body = json.loads(await request.text())
        item = self.accounts.holder(body["spec"]["token"])
        status: Object = {"authenticated": False}
        if item is not None:
            groups = [*self.accounts.groups.of(item["userName"]), "system:authenticated:oauth"]
            status = {"authenticated": True, "user": {
                "username": item["userName"], "uid": item["userUID"], "groups": groups,
                "extra": {"scopes.authorization.openshift.io": item["scopes"]},
            }}  # fmt: skip
        return web.json_response({"apiVersion": body["apiVersion"], "kind": "TokenReview", "status": status})


async def _form(request: web.BaseRequest) -> dict[str, str]:
    return {**request.query, **{key: str(value) for key, value in (await request.post()).items()}}


def _check_challenge(form: Mapping[str, str], kind: str, redirect: str) -> None:
    challenge = form.get("code_challenge")
    if kind != "code" or not challenge:
        return
    if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", challenge):
        raise _redirect(redirect, _error("invalid_request", "code_challenge invalid (rfc7636)"))
    if form.get("code_challenge_method", "plain") not in ("plain", "S256"):
        text = "code_challenge_method transform algorithm not supported (rfc7636)"
        raise _redirect(redirect, _error("invalid_request", text))


def _challenge(verifier: str, method: str) -> str:
    if method == "plain":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _error(code: str, description: str = "", state: str | None = None) -> dict[str, str]:
    text = description or DESCRIPTIONS[code]
    return {"error": code, "error_description": text, **({"state": state} if state else {})}


def _bad(code: str, state: str | None = None) -> Answer:
    return Answer(web.json_response(_error(code, state=state), status=400))


def _failure(text: str) -> Answer:
    return Answer(web.Response(status=500, text=f"Error: {text}"))


def _redirect(where: str, parameters: Mapping[str, str], mark: str = "?") -> Answer:
    query = "&".join(f"{key}={quote_plus(value, safe='~')}" for key, value in sorted(parameters.items()))
    return Answer(web.Response(status=302, headers={"Location": f"{where}{mark}{query}"}))
