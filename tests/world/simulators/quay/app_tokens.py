"""Application-specific tokens of users: passwords for the registry, no credentials of the API. Titles may repeat."""

from __future__ import annotations

import uuid
from email.utils import formatdate

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row
from .users import letters

routes = Routes("APP_SPECIFIC_TOKENS")
_PATH = "/api/v1/user/apptoken"


def _view(item: Row) -> Row:
    return {"uuid": item["uuid"], "title": item["title"], "last_accessed": None, "created": formatdate(item["created"]),
            "expiration": None}  # fmt: skip


def _owner(call: Call) -> Row:
    user = call.login()
    call.allow(call.has("user:admin"))
    return user


def _item(call: Call) -> Row:
    text = "SELECT * FROM app_token WHERE account = ? AND uuid = ?"
    found = call.database.one(text, _owner(call)["id"], call.parameters["token_uuid"])
    if found is None:
        raise call.not_found()
    return found


def _listed(call: Call, rows: list[Row]) -> web.Response:
    only = call.flag("expiring")
    return answers.answer({"tokens": [] if only else [_view(row) for row in rows], "only_expiring": only or None})


@routes("GET", _PATH, "listAppTokens")
def tokens(call: Call) -> web.Response:
    text = "SELECT * FROM app_token WHERE account = ? ORDER BY rowid"
    return _listed(call, call.database.all(text, _owner(call)["id"]))


@routes("GET", "/api/v1/superuser/apptokens", "listAllAppTokens")
def all_tokens(call: Call) -> web.Response:
    call.allow(call.superuser)
    return _listed(call, call.database.all("SELECT * FROM app_token ORDER BY rowid"))


@routes("POST", _PATH, "createAppToken")
def create(call: Call) -> web.Response:
    user = _owner(call)
    title = call.json({"title": "string"}, ("title",))["title"]
    item = {"uuid": str(uuid.uuid4()), "account": user["id"], "title": title, "secret": letters(120),
            "created": call.quay.now()}  # fmt: skip
    call.database.insert("app_token", **item)
    return answers.answer({"token": {**_view(item), "token_code": item["secret"]}})


@routes("GET", f"{_PATH}/{{token_uuid}}", "getAppToken")
def one(call: Call) -> web.Response:
    item = _item(call)
    return answers.answer({"token": {**_view(item), "token_code": item["secret"]}})


@routes("DELETE", f"{_PATH}/{{token_uuid}}", "revokeAppToken")
def revoke(call: Call) -> web.Response:
    call.database.delete("app_token", "uuid", _item(call)["uuid"])
    return answers.answer(None, 204)
