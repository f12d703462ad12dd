"""Users: the first one, oneself, and the superuser's view of all.

Real: ``user/initialize`` looks whether there are users and makes one in two steps, so that calls at the same time all succeed.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import sqlite3
import string
import uuid
from typing import Any

from aiohttp import web

from . import answers
from .applications import grant
from .call import SCOPES, Call, Routes
from .database import Database, Row, avatar, hashed
from .pages import paged
from .quotas import shown
from .sessions import sign_in

routes = Routes()
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_PASSWORD = "Invalid password, password must be at least 8 characters and contain no whitespace."
_FIRST_TOKEN = 9000  # seconds: 2 h 30 min


def why_not_name(name: str) -> str:
    """Quay's own words on a name that it refuses; empty for a good one."""
    if not _NAME.fullmatch(name):
        return f"Invalid namespace {name}: Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$"
    if not 2 <= len(name) <= 255:
        return f"Invalid namespace {name}: Namespace must be between 2 and 255 characters in length"
    return ""


def letters(length: int) -> str:
    """A secret as Quay makes them."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _number in range(length))


def _encrypted(text: str) -> str:
    return base64.b64encode(secrets.token_bytes(len(text) + 16)).decode()


def _why_not_password(password: str) -> str:
    return "" if len(password) >= 8 and not re.search(r"\s", password) else _PASSWORD


def _create(database: Database, name: str, email: str | None, password: str, now: float) -> Row:
    database.insert(
        "account", kind="user", name=name, email=email or str(uuid.uuid4()), password=hashed(password), created=now
    )
    return database.account(name) or {}


@routes("POST", "/api/v1/user/initialize", csrf=False)
async def initialize(call: Call) -> web.Response:
    quay = call.quay
    if not quay.feature("USER_INITIALIZE"):
        raise answers.error(404, "Not Found")
    if quay.config.get("AUTHENTICATION_TYPE", "Database") != "Database":
        raise answers.message(400, "Cannot initialize user in a non-database auth system")
    if call.database.one("SELECT id FROM account WHERE kind = 'user'"):
        raise answers.message(400, "Cannot initialize user in a non-empty database")
    await asyncio.sleep(quay.initialize_takes)
    if call.request.content_type != "application/json":
        text = "Did not attempt to load JSON data because the request Content-Type was not &#39;application/json&#39;."
        return answers.page(415, "415 Unsupported Media Type", text)
    try:
        body: dict[str, Any] = call.json()
    except answers.Refusal:
        text = "The browser (or proxy) sent a request that this server could not understand."
        return answers.page(400, "400 Bad Request", text)
    if "username" not in body or "password" not in body:
        raise answers.crash()
    name, email = body["username"], body.get("email")
    why = _why_not_password(body["password"]) or why_not_name(name)
    if not why and quay.feature("MAILING") and not _is_address(email):
        why = f"Invalid email address: {email}"
    if not why and call.database.account(name):
        why = f"Username has already been taken by user cannot be reused: {name}"
    if why:
        raise answers.message(400, f"Failed to initialize user: {why}")
    user = _create(call.database, name, email, body["password"], quay.now())
    result = {"email": email, "encrypted_password": _encrypted(body["password"]), "username": name}
    if body.get("access_token"):
        description = "Application token generated via /api/v1/user/initialize"
        call.database.insert(
            "application", client_id=name, organization=user["id"], name="automation", description=description,
            client_secret=letters(40),
        )  # fmt: skip
        token = grant(call, name, user, " ".join(sorted(SCOPES)), _FIRST_TOKEN)
        result = {"access_token": token["secret"], **result}
    return answers.answer(result, headers={"X-Next-CSRF-Token": sign_in(call, user)})


def _is_address(text: object) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text))


@routes("GET", "/api/v1/user/", "getLoggedInUser")
def myself(call: Call) -> web.Response:
    if not call.has("user:read", "user:admin"):
        call.user = None
    user = call.login(session_required=False)
    memberships = call.database.all(
        "SELECT DISTINCT account.* FROM account JOIN team ON team.organization = account.id"
        " JOIN team_member ON team_member.team = team.id WHERE team_member.account = ? ORDER BY account.id", user["id"],
    )  # fmt: skip
    organizations = [
        {"name": item["name"], "avatar": avatar(item["name"], "org", item["email"]),
         "can_create_repo": "admin" in call.quay.roles_in(user, item), "public": False,
         "is_org_admin": "admin" in call.quay.roles_in(user, item), "preferred_namespace": False}
        for item in memberships
    ]  # fmt: skip
    return answers.answer({
        "anonymous": False, "username": user["name"], "avatar": avatar(user["name"], "user"), "can_create_repo": True,
        "is_me": True, "verified": True, "email": user["email"], "logins": [], "invoice_email": False,
        "invoice_email_address": None, "preferred_namespace": False, "tag_expiration_s": user["tag_expiration_s"],
        "prompts": [], "company": None, "family_name": None, "given_name": None, "location": None, "is_free_account": True,
        "has_password_set": True, **shown(call, user), "organizations": organizations,
        **({"super_user": True} if user["name"] in call.quay.superusers else {}),
    })  # fmt: skip


@routes("GET", "/api/v1/users/{username}", "getUserInformation")
def public(call: Call) -> web.Response:
    call.login()
    user = call.database.account(call.parameters["username"], "user")
    if user is None:
        text = (
            "The requested URL was not found on the server. If you entered the URL manually please check your spelling"
        )
        raise answers.message(404, f"{text} and try again.")
    return answers.answer(
        {"anonymous": False, "username": user["name"], "avatar": avatar(user["name"], "user"), "super_user": False}
    )


# The superuser's


def _view(call: Call, user: Row) -> Row:
    return {
        "kind": "user", "name": user["name"], "username": user["name"], "email": user["email"], "verified": True,
        "avatar": avatar(user["name"], "user"), "super_user": user["name"] in call.quay.superusers,
        "global_readonly_super_user": user["name"] in call.quay.config.get("GLOBAL_READONLY_SUPER_USERS", ()),
        "enabled": bool(user["enabled"]), **shown(call, user),
    }  # fmt: skip


def _another(call: Call, verb: str) -> Row:
    """The user that the path names; superusers are left alone."""
    call.allow(call.superuser)
    user = call.database.account(call.parameters["username"], "user")
    if user is None:
        raise call.not_found()
    if verb and user["name"] in call.quay.superusers:
        raise call.invalid(f"Cannot {verb} a superuser")
    return user


@routes("GET", "/api/v1/superuser/users/", "listAllUsers")
def all_users(call: Call) -> web.Response:
    call.allow(call.superuser)
    only = "" if call.flag("disabled", True) else " AND enabled"
    rows = call.database.all(f"SELECT * FROM account WHERE kind = 'user'{only} ORDER BY id")
    return answers.answer(paged(call, "users", [_view(call, row) for row in rows]))


@routes("POST", "/api/v1/superuser/users/", "createInstallUser")
def create_user(call: Call) -> web.Response:
    call.allow(call.superuser)
    body = call.json({"username": "string", "email": "string"}, ("username",))
    name, email, password = body["username"], body.get("email"), letters(32)
    taken = call.database.account(name)
    if taken:
        by = "user" if taken["kind"] == "user" else "an organization and"
        raise answers.message(400, f"Username has already been taken by {by} cannot be reused: {name}")
    why = why_not_name(name)
    if why:
        raise answers.message(400, why)
    try:
        _create(call.database, name, email, password, call.quay.now())
    except sqlite3.IntegrityError:
        text = 'duplicate key value violates unique constraint "user_email_unique_non_org"\n'
        raise answers.message(400, f"{text}DETAIL:  Key (email)=({email}) already exists.\n") from None
    encrypted = _encrypted(password)
    return answers.answer({"username": name, "email": email, "password": password, "encrypted_password": encrypted})


@routes("GET", "/api/v1/superuser/users/{username}", "getInstallUser")
def one_user(call: Call) -> web.Response:
    return answers.answer(_view(call, _another(call, "")))


@routes("PUT", "/api/v1/superuser/users/{username}", "changeInstallUser")
def change_user(call: Call) -> web.Response:
    user = _another(call, "update")
    body = call.json({"email": "string", "password": "string", "enabled": "boolean"})
    changed: Row = {}
    if body.get("password") is not None:
        if _why_not_password(body["password"]):
            raise answers.message(400, _PASSWORD)
        changed["password"] = hashed(body["password"])
    if body.get("email") is not None:
        changed["email"] = body["email"]
        if call.database.one(
            "SELECT id FROM account WHERE email = ? AND kind = 'user' AND id <> ?", body["email"], user["id"]
        ):
            raise answers.message(400, "E-mail address already used")
    shown = {**user, **changed}
    if "enabled" in body:
        changed["enabled"] = int(body["enabled"])  # the answer still shows what was: recorded
    call.database.update("account", "id", user["id"], **changed)
    encrypted = {"encrypted_password": _encrypted(body["password"])} if body.get("password") is not None else {}
    return answers.answer({**_view(call, shown), **encrypted})


@routes("DELETE", "/api/v1/superuser/users/{username}", "deleteInstallUser")
def delete_user(call: Call) -> web.Response:
    user = _another(call, "delete")
    call.quay.forget(user)
    return answers.answer(None, 204)
