"""Repositories' permissions of teams, their state, and who outside of an organization's teams has permissions in it.

Real: collaborators are those with a permission of their own who are in no team of the organization, its robots among them.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .repositories import _PATH, _ROLES, _find, _require
from .teams import _organization_members, find_team

routes = Routes()
_STATES = ["NORMAL", "READ_ONLY", "MIRROR"]
_TEAM = f"{_PATH}/permissions/team/{{teamname}}"
_NONE = "Team does not have permission for repo."


def _permissions(call: Call, repository: Row) -> dict[str, Row]:
    rows = call.database.all(
        "SELECT team.name, permission.role FROM permission JOIN team ON team.id = permission.team"
        " WHERE permission.repository = ? ORDER BY permission.rowid", repository["id"],
    )  # fmt: skip
    return {
        row["name"]: {"role": row["role"], "name": row["name"], "avatar": avatar(row["name"], "team")} for row in rows
    }


@routes("GET", f"{_PATH}/permissions/team/", "listRepoTeamPermissions")
def team_permissions(call: Call) -> web.Response:
    if _find(call) is None and call.full_access:
        return answers.answer({"permissions": {}})
    return answers.answer({"permissions": _permissions(call, _require(call, "admin", "repo:admin"))})


@routes("GET", _TEAM, "getTeamPermissions")
def team_permission(call: Call) -> web.Response:
    found = _permissions(call, _require(call, "admin", "repo:admin")).get(call.parameters["teamname"])
    if found is None:
        raise answers.message(400, _NONE)
    return answers.answer({"role": found["role"]})


def _team(call: Call) -> Any:
    organization = call.database.account(call.parameters["namespace"], "organization")
    return find_team(call, organization, call.parameters["teamname"]) if organization else None


@routes("PUT", _TEAM, "changeTeamPermissions")
def set_team_permission(call: Call) -> web.Response:
    if _find(call) is None and call.full_access:
        raise answers.crash()
    repository = _require(call, "admin", "repo:admin")
    body = call.json({"role": "string"}, ("role",))
    call.one_of("role", body["role"], _ROLES)
    team = _team(call)
    if team is None:
        text = f"No team {call.parameters['teamname']} in organization {call.parameters['namespace']}"
        raise call.invalid(text)
    found = call.database.one(
        "SELECT rowid AS id FROM permission WHERE repository = ? AND team = ?", repository["id"], team["id"]
    )
    if found:
        call.database.update("permission", "rowid", found["id"], role=body["role"])
    else:
        call.database.insert("permission", repository=repository["id"], team=team["id"], role=body["role"])
    return answers.answer(_permissions(call, repository)[team["name"]])


@routes("DELETE", _TEAM, "deleteTeamPermissions")
def delete_team_permission(call: Call) -> web.Response:
    repository, team = _require(call, "admin", "repo:admin"), _team(call)
    text = "SELECT rowid AS id FROM permission WHERE repository = ? AND team = ?"
    found = call.database.one(text, repository["id"], team["id"]) if team else None
    if found is None:
        raise call.invalid(_NONE)
    call.database.delete("permission", "rowid", found["id"])
    return answers.answer(None, 204)


@routes("PUT", f"{_PATH}/changestate", "changeRepoState")
def change_state(call: Call) -> web.Response:
    repository = _require(call, "admin", "repo:admin")
    body = call.json({"state": "string"}, ("state",))
    call.one_of("state", body["state"], _STATES)
    call.database.update("repository", "id", repository["id"], state=body["state"])
    return answers.answer({"success": True})


@routes("GET", "/api/v1/organization/{orgname}/collaborators", "getOrganizationCollaborators")
def collaborators(call: Call) -> web.Response:
    organization = call.organization()
    members = _organization_members(call, organization)
    rows = call.database.all(
        "SELECT account.name, account.kind, repository.name AS repository FROM permission"
        " JOIN repository ON repository.id = permission.repository JOIN account ON account.id = permission.account"
        " WHERE repository.namespace = ? ORDER BY account.id, repository.id", organization["id"],
    )  # fmt: skip
    found: dict[str, Row] = {}
    for row in rows:
        if row["name"] not in members:
            new = {"kind": "user", "name": row["name"], "avatar": avatar(row["name"], "user"), "repositories": []}
            found.setdefault(row["name"], new)["repositories"].append(row["repository"])
    return answers.answer({"collaborators": list(found.values())})
