"""Signing in: a cookie with a CSRF token, which writes of a session must repeat, and which signing in changes.

Real: the cookie ``_csrf_token`` is Flask's signed session; wrong passwords of a user that exists are throttled exponentially,
with a Retry-After in whole seconds that can be 0.
"""

from __future__ import annotations

import secrets
from email.utils import formatdate

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, hashed

COOKIE = "_csrf_token"
_LIFE = 31 * 24 * 3600
_INVALID = "Invalid Username or Password"
routes = Routes()


def remember(call: Call, response: web.Response) -> None:
    """The session's cookie, at every answer."""
    if call.session is not None:
        cookie = f"{COOKIE}={call.session['id']};"
        if call.session["account"]:
            cookie += f" Expires={formatdate(call.quay.now() + _LIFE, usegmt=True)};"
        response.headers["Set-Cookie"] = f"{cookie} HttpOnly; Path=/; SameSite=Lax"


def sign_in(call: Call, user: Row) -> str:
    """The session's user from now on; the next CSRF token."""
    if call.session is None:
        _new_session(call)
    session = call.session or {}
    session.update(account=user["id"], csrf=secrets.token_urlsafe(48))
    call.database.update("session", "id", session["id"], account=user["id"], csrf=session["csrf"])
    return str(session["csrf"])


def _new_session(call: Call) -> None:
    call.session = {"id": secrets.token_urlsafe(32), "csrf": secrets.token_urlsafe(48), "account": None}
    call.database.insert("session", **call.session)


@routes("GET", "/csrf_token")
def csrf_token(call: Call) -> web.Response:
    if call.session is None:
        _new_session(call)
    return answers.answer({"csrf_token": (call.session or {})["csrf"]})


@routes("POST", "/api/v1/signin")
def signin(call: Call) -> web.Response:
    body = call.json({"username": "string", "password": "string"}, ("username", "password"))
    user = call.database.account(body["username"], "user")
    refused = answers.message(403, _INVALID, needsEmailVerification=False, invalidCredentials=True)
    if user is None:
        raise refused
    wait = (2 ** user["invalid_logins"] - 1) / 2 - (call.quay.now() - user["last_invalid_login"])
    if user["invalid_logins"] and wait > 0:
        text = "Too many login attempts. \nPlease reset your Quay password and try again."
        headers = {"Content-Type": answers.HTML, "Retry-After": str(int(wait))}
        return web.Response(status=429, body=text.encode(), headers=headers)
    if user["password"] != hashed(body["password"]) or not user["enabled"]:
        attempts = user["invalid_logins"] + 1
        call.database.update("account", "id", user["id"], invalid_logins=attempts, last_invalid_login=call.quay.now())
        raise refused
    call.database.update("account", "id", user["id"], invalid_logins=0)
    return answers.answer({"success": True}, headers={"X-Next-CSRF-Token": sign_in(call, user)})


@routes("POST", "/api/v1/signout")
def signout(call: Call) -> web.Response:
    if call.session is not None:
        call.database.update("session", "id", call.session["id"], account=None)
    return answers.answer({"success": True})
