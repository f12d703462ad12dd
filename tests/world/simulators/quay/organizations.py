"""Organizations, as their members and as superusers see them. Each begins with a team ``owners``, and its maker in it."""

from __future__ import annotations

import re
import uuid

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .pages import paged
from .quotas import shown as quota_shown
from .users import why_not_name

routes = Routes()
_EXPIRATIONS = (0, 86400, 604800, 1209600, 2419200)  # TAG_EXPIRATION_OPTIONS: 0s 1d 1w 2w 4w
_PATH = "/api/v1/organization/{orgname}"


def _find(call: Call) -> Row:
    found = call.database.account(call.parameters["orgname"], "organization")
    if found is None:
        raise call.not_found()
    return found


def _view(call: Call, item: Row) -> Row:
    administers = call.administers(item)
    member = call.user is not None and bool(call.quay.roles_in(call.user, item))
    shown: Row = {
        "name": item["name"], "email": item["email"] if administers and "@" in item["email"] else "",
        "avatar": avatar(item["name"], "user", item["email"]), "is_admin": administers,
        "is_member": member or administers,
    }  # fmt: skip
    if administers or member:
        teams = call.database.all(
            "SELECT team.*, (SELECT count(*) FROM team_member WHERE team = team.id) AS members,"
            " (SELECT count(*) FROM permission WHERE team = team.id) AS repositories,"
            " (SELECT count(*) FROM team_sync WHERE team = team.id) AS synchronized,"
            " EXISTS (SELECT 1 FROM team_member WHERE team = team.id AND account = ?) AS mine"
            " FROM team WHERE organization = ? ORDER BY id", (call.user or {}).get("id"), item["id"],
        )  # fmt: skip
        shown["teams"] = {
            team["name"]: {
                "name": team["name"], "description": team["description"], "role": team["role"],
                "avatar": avatar(team["name"], "team"), "can_view": administers or bool(team["mine"]), "repo_count": team["repositories"],
                "member_count": team["members"], "is_synced": bool(team["synchronized"]),
            }
            for team in teams
        }  # fmt: skip
        shown["ordered_teams"] = [team["name"] for team in teams]
        shown.update(quota_shown(call, item))
    if administers:
        shown.update(invoice_email=False, invoice_email_address=None, tag_expiration_s=item["tag_expiration_s"],
                     is_free_account=True)  # fmt: skip
    return shown


@routes("POST", "/api/v1/organization/", "createOrganization")
def create(call: Call) -> web.Response:
    user = call.login()
    call.allow(call.has("org:admin"))
    body = call.json({"name": "string", "email": "string"}, ("name",))
    name, email = body["name"], body.get("email")
    if call.database.account(name):
        raise call.invalid("A user or organization with this name already exists")
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise call.invalid("Invalid email address")
    why = why_not_name(name)
    if why:
        raise call.invalid(why)
    created = call.quay.now()
    organization = call.database.insert(
        "account", kind="organization", name=name, email=email or str(uuid.uuid4()), created=created
    )
    team = call.database.insert("team", organization=organization, name="owners", role="admin")
    call.database.insert("team_member", team=team, account=user["id"])
    return answers.answer("Created", 201)


@routes("GET", _PATH, "getOrganization")
def get(call: Call) -> web.Response:
    return answers.answer(_view(call, _find(call)))


@routes("PUT", _PATH, "changeOrganizationDetails")
def change(call: Call) -> web.Response:
    call.login()
    item = _find(call)
    call.allow(call.administers(item))
    body = call.json({"email": "string", "tag_expiration_s": "integer"})
    expiration = body.get("tag_expiration_s")
    if body.get("email") is not None:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", body["email"]):
            raise call.invalid("Invalid email address")
        item["email"] = body["email"]
    if expiration is not None:
        if expiration < 0:
            raise call.invalid_schema(f"{expiration} is less than the minimum of 0", "minimum")
        if expiration not in _EXPIRATIONS:
            raise answers.message(400, "Invalid tag expiration option")
        item["tag_expiration_s"] = expiration
    values = {key: item[key] for key in ("email", "tag_expiration_s")}
    call.database.update("account", "id", item["id"], **values)
    return answers.answer(_view(call, item))


@routes("DELETE", _PATH, "deleteAdminedOrganization")
def delete(call: Call) -> web.Response:
    call.login()
    item = _find(call)
    call.allow(call.administers(item))
    call.quay.forget(item)
    return answers.answer(None, 204)


@routes("GET", "/api/v1/superuser/organizations/")
def all_organizations(call: Call) -> web.Response:
    call.allow(call.superuser)
    rows = call.database.all("SELECT * FROM account WHERE kind = 'organization' ORDER BY id")
    items = [_superuser_view(call, row) for row in rows]
    return answers.answer(paged(call, "organizations", items))


def _superuser_view(call: Call, row: Row) -> Row:
    return {"name": row["name"], "email": row["email"], "avatar": avatar(row["name"], "org", row["email"]),
            **quota_shown(call, row)}  # fmt: skip


@routes("PUT", "/api/v1/superuser/organizations/{name}", "changeOrganization")
def change_any(call: Call) -> web.Response:
    call.allow(call.superuser)
    item = call.database.account(call.parameters["name"], "organization")
    new = call.json({"name": "string"}).get("name")
    if item is None or (new and call.database.account(new)):
        raise answers.crash()
    if new:
        for robot in call.database.all("SELECT * FROM account WHERE name LIKE ?", f"{item['name']}+%"):
            short = robot["name"].partition("+")[2]
            call.database.update("account", "id", robot["id"], name=f"{new}+{short}")
        call.database.update("account", "id", item["id"], name=new)
    return answers.answer(_superuser_view(call, {**item, "name": new or item["name"]}))


@routes("DELETE", "/api/v1/superuser/organizations/{name}", "deleteOrganization")
def delete_any(call: Call) -> web.Response:
    call.allow(call.superuser)
    item = call.database.account(call.parameters["name"], "organization")
    if item is None:
        raise answers.message(400, f"Organization does not exist: {call.parameters['name']}")
    call.quay.forget(item)
    return answers.answer(None, 204)
