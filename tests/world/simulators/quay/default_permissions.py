"""Default permissions ("prototypes"): what new repositories of an organization grant. The same one may be there twice."""

from __future__ import annotations

import uuid

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .teams import find_team

routes = Routes()
_PATH = "/api/v1/organization/{orgname}/prototypes"
_ROLES = ["read", "write", "admin"]


def _user(call: Call, organization: Row, identifier: int) -> Row:
    account = call.database.one("SELECT * FROM account WHERE id = ?", identifier) or {}
    robot = account["kind"] == "robot"
    member = robot or bool(call.quay.roles_in(account, organization))
    return {"name": account["name"], "is_robot": robot, "kind": "user", "is_org_member": member,
            "avatar": avatar(account["name"], "robot" if robot else "user")}  # fmt: skip


def _view(call: Call, organization: Row, item: Row) -> Row:
    if item["team"]:
        name = (call.database.one("SELECT name FROM team WHERE id = ?", item["team"]) or {})["name"]
        delegate = {"name": name, "kind": "team", "avatar": avatar(name, "team")}
    else:
        delegate = _user(call, organization, item["account"])
    activating = _user(call, organization, item["activating"]) if item["activating"] else None
    return {"activating_user": activating, "delegate": delegate, "role": item["role"], "id": item["id"]}


def _item(call: Call, organization: Row) -> Row:
    text = "SELECT * FROM default_permission WHERE organization = ? AND id = ?"
    found = call.database.one(text, organization["id"], call.parameters["prototypeid"])
    if found is None:
        raise call.not_found()
    return found


@routes("GET", _PATH, "getOrganizationPrototypePermissions")
def all_of(call: Call) -> web.Response:
    organization = call.organization()
    rows = call.database.all("SELECT * FROM default_permission WHERE organization = ?", organization["id"])
    return answers.answer({"prototypes": [_view(call, organization, row) for row in rows]})


@routes("POST", _PATH, "createOrganizationPrototypePermission")
def create(call: Call) -> web.Response:
    organization = call.organization()
    body = call.json({"role": "string", "delegate": "object", "activating_user": "object"}, ("role", "delegate"))
    call.one_of("role", body["role"], _ROLES)
    activating = (body.get("activating_user") or {}).get("name")
    by = call.database.account(activating, "user", "robot") if activating else None
    if activating and by is None:
        raise call.invalid("Unknown activating user")
    kind, name = body["delegate"].get("kind"), body["delegate"].get("name", "")
    call.one_of("kind", kind, ["user", "team"])
    account = call.database.account(name, "user", "robot") if kind == "user" else None
    team = find_team(call, organization, name) if kind == "team" else None
    if kind == "user" and account is None:
        raise call.invalid("Missing delegate user or team")
    if kind == "team" and team is None:
        raise answers.message(400, f"('Team does not exist: %s/%s', '{organization['name']}', '{name}')")
    item = {"id": str(uuid.uuid4()), "organization": organization["id"], "role": body["role"],
            "activating": by and by["id"], "account": account and account["id"], "team": team and team["id"]}  # fmt: skip
    call.database.insert("default_permission", **item)
    return answers.answer(_view(call, organization, item))


@routes("PUT", f"{_PATH}/{{prototypeid}}", "updateOrganizationPrototypePermission")
def change(call: Call) -> web.Response:
    organization = call.organization()
    item = _item(call, organization)
    body = call.json({"role": "string"}, ("role",))
    call.one_of("role", body["role"], _ROLES)
    call.database.update("default_permission", "id", item["id"], role=body["role"])
    return answers.answer(_view(call, organization, {**item, "role": body["role"]}))


@routes("DELETE", f"{_PATH}/{{prototypeid}}", "deleteOrganizationPrototypePermission")
def delete(call: Call) -> web.Response:
    call.database.delete("default_permission", "id", _item(call, call.organization())["id"])
    return answers.answer(None, 204)
