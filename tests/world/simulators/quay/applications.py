"""OAuth applications of organizations, their tokens, and the authorization flow that gives a signed-in user one.

Real: tokens of the flow live ten years; named tokens (``/tokens``) are new in 3.18, an older Quay has no such path. Names may
repeat. A token's secret is in the answer that makes it and nowhere else.
"""

from __future__ import annotations

import datetime
import secrets
import string
import uuid
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web

from . import answers
from .call import SCOPES, Call, Routes
from .database import Row, avatar
from .pages import paged

routes = Routes()
named_tokens = Routes()  # what an older Quay does not have
_APPLICATION = "/api/v1/organization/{orgname}/applications/{client_id}"
_TEXTS = {"name": "string", "description": "string", "application_uri": "string", "redirect_uri": "string",
          "avatar_email": "string"}  # fmt: skip


def _letters(length: int, alphabet: str = string.ascii_uppercase + string.digits) -> str:
    return "".join(secrets.choice(alphabet) for _number in range(length))


def grant(call: Call, client_id: str, user: Row, scope: str, seconds: float, name: str | None = None) -> Row:
    """A new token."""
    now = call.quay.now()
    token = {"uuid": str(uuid.uuid4()), "application": client_id, "account": user["id"], "name": name, "scope": scope,
             "secret": _letters(40, string.ascii_letters + string.digits), "created": now, "expires": now + seconds}  # fmt: skip
    call.database.insert("token", **token)
    return token


def _organization(call: Call) -> Row:
    found = call.database.account(call.parameters["orgname"], "organization")
    call.login()
    if found is None:
        raise call.not_found()
    call.allow(call.administers(found))
    return found


def _application(call: Call) -> Row:
    organization = _organization(call)
    text = "SELECT * FROM application WHERE client_id = ? AND organization = ?"
    found = call.database.one(text, call.parameters["client_id"], organization["id"])
    if found is None:
        raise call.not_found()
    return found


def _view(item: Row) -> Row:
    names = ("name", "description", "application_uri", "client_id", "client_secret", "redirect_uri", "avatar_email")
    return {name: item[name] for name in names}


@routes("GET", "/api/v1/organization/{orgname}/applications", "getOrganizationApplications")
def applications(call: Call) -> web.Response:
    rows = call.database.all(
        "SELECT * FROM application WHERE organization = ? ORDER BY rowid", _organization(call)["id"]
    )
    return answers.answer({"applications": [_view(row) for row in rows]})


@routes("POST", "/api/v1/organization/{orgname}/applications", "createOrganizationApplication")
def create(call: Call) -> web.Response:
    organization = _organization(call)
    body = call.json(_TEXTS, ("name",))
    item = {"description": "", "application_uri": "", "redirect_uri": "", "avatar_email": None,
            **{key: body[key] for key in _TEXTS if key in body},
            "client_id": _letters(20), "client_secret": _letters(40)}  # fmt: skip
    call.database.insert("application", organization=organization["id"], **item)
    return answers.answer(_view(item))


@routes("GET", _APPLICATION, "getOrganizationApplication")
def one(call: Call) -> web.Response:
    return answers.answer(_view(_application(call)))


@routes("PUT", _APPLICATION, "updateOrganizationApplication")
def change(call: Call) -> web.Response:
    item = _application(call)
    body = call.json(_TEXTS, ("name", "redirect_uri", "application_uri"))
    item.update({"description": "", **{key: body[key] for key in _TEXTS if key in body}})
    call.database.update("application", "client_id", item["client_id"], **{key: item[key] for key in _TEXTS})
    return answers.answer(_view(item))


@routes("DELETE", _APPLICATION, "deleteOrganizationApplication")
def delete(call: Call) -> web.Response:
    call.database.delete("application", "client_id", _application(call)["client_id"])
    return answers.answer(None, 204)


@routes("POST", f"{_APPLICATION}/resetclientsecret")
def reset_secret(call: Call) -> web.Response:
    item = {**_application(call), "client_secret": _letters(40)}
    call.database.update("application", "client_id", item["client_id"], client_secret=item["client_secret"])
    return answers.answer(_view(item))


# Named tokens


def moment(seconds: float) -> str:
    """A time as ISO 8601."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _token_view(call: Call, item: Row) -> Row:
    owner = call.database.one("SELECT name FROM account WHERE id = ?", item["account"]) or {}
    return {"uuid": item["uuid"], "name": item["name"], "scope": item["scope"], "expires_at": moment(item["expires"]),
            "created": moment(item["created"]), "created_by": owner.get("name"), "last_accessed": None}  # fmt: skip


@named_tokens("GET", f"{_APPLICATION}/tokens", "listOrganizationApplicationTokens")
def tokens(call: Call) -> web.Response:
    text = "SELECT * FROM token WHERE application = ? AND name IS NOT NULL ORDER BY rowid DESC"
    rows = call.database.all(text, _application(call)["client_id"])
    return answers.answer(paged(call, "tokens", [_token_view(call, row) for row in rows], 100))


@named_tokens("POST", f"{_APPLICATION}/tokens", "createOrganizationApplicationToken")
def create_token(call: Call) -> web.Response:
    application = _application(call)
    body = call.json({"name": "string", "scope": "string", "expiration": "number"}, ("name", "scope"))
    seconds = body.get("expiration", call.quay.token_life)
    if seconds < 1:
        raise call.invalid_schema(
            f"{seconds} is less than the minimum of 1", "minimum' in schema['properties']['expiration']"
        )
    _check_scope(body["scope"])
    item = grant(call, application["client_id"], call.login(), body["scope"], seconds, body["name"])
    return answers.answer({**_token_view(call, item), "token": item["secret"]})


@named_tokens("DELETE", f"{_APPLICATION}/tokens/{{token_uuid}}", "deleteOrganizationApplicationToken")
def delete_token(call: Call) -> web.Response:
    text = "SELECT uuid FROM token WHERE application = ? AND uuid = ?"
    if not call.database.one(text, _application(call)["client_id"], call.parameters["token_uuid"]):
        raise call.not_found()
    call.database.delete("token", "uuid", call.parameters["token_uuid"])
    return answers.answer(None, 204)


def _check_scope(text: str) -> None:
    for scope in text.split():
        if scope not in SCOPES:
            raise answers.message(400, f"Invalid scope: {scope}")


# The authorization flow


@routes("POST", "/oauth/authorizeapp")
def authorize(call: Call) -> web.Response:
    form = {key: values[0] for key, values in parse_qs(call.body.decode()).items()}
    user = call.login()
    found = call.database.one("SELECT * FROM application WHERE client_id = ?", form.get("client_id", ""))
    redirect = form.get("redirect_uri", "")
    if found is None or not found["redirect_uri"] or not redirect.startswith(found["redirect_uri"]):
        return answers.page(400, "400 Bad Request", "Invalid redirect URL")
    _check_scope(form.get("scope", ""))
    token = grant(call, found["client_id"], user, form.get("scope", ""), call.quay.token_life)
    query = urlencode({"scope": form.get("scope", "")})
    fragment = f"access_token={token['secret']}&token_type=Bearer&expires_in={int(call.quay.token_life)}"
    headers = {"Location": f"{redirect}?{query}#{fragment}", "Content-Type": answers.HTML}
    return web.Response(status=302, headers=headers)


@routes("GET", "/api/v1/user/authorizations")
def authorizations(call: Call) -> web.Response:
    """What the user has authorized (internal: the web interface's), newest last."""
    user = call.login()
    text = (
        "SELECT token.uuid, token.scope, application.*, account.name AS organization_name, account.email AS organization_email"
        " FROM token JOIN application ON token.application = application.client_id"
        " JOIN account ON application.organization = account.id WHERE token.account = ? ORDER BY token.rowid"
    )
    return answers.answer({"authorizations": [_authorization(row) for row in call.database.all(text, user["id"])]})


@routes("DELETE", "/api/v1/user/authorizations/{access_token_uuid}")
def revoke(call: Call) -> web.Response:
    text = "SELECT uuid FROM token WHERE uuid = ? AND account = ?"
    if not call.database.one(text, call.parameters["access_token_uuid"], call.login()["id"]):
        raise call.not_found()
    call.database.delete("token", "uuid", call.parameters["access_token_uuid"])
    return answers.answer(None, 204)


def _authorization(row: Row) -> dict[str, Any]:
    name = row["organization_name"]
    return {
        "application": {
            "name": row["name"], "description": row["description"], "url": row["application_uri"],
            "avatar": avatar(row["name"], "app"),
            "organization": {"name": name, "avatar": avatar(name, "org", row["organization_email"])},
        },
        "scopes": [{"title": SCOPES[scope], "scope": scope} for scope in row["scope"].split()],
        "uuid": row["uuid"],
    }  # fmt: skip


@routes("GET", "/api/v1/app/{client_id}", "getApplicationInformation")
def information(call: Call) -> web.Response:
    found = call.database.one("SELECT * FROM application WHERE client_id = ?", call.parameters["client_id"])
    if found is None:
        raise call.not_found()
    owner = call.database.one("SELECT * FROM account WHERE id = ?", found["organization"]) or {}
    organization = {"name": owner["name"], "email": "", "avatar": avatar(owner["name"], "user", owner["email"]),
                    "is_admin": False, "is_member": False, "teams": {}, "ordered_teams": []}  # fmt: skip
    return answers.answer({"name": found["name"], "description": found["description"], "uri": found["application_uri"],
                           "avatar": avatar(found["name"], "app"), "organization": organization})  # fmt: skip
