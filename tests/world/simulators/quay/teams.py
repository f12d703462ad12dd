"""Teams of organizations, their members, invitations and their synchronization with groups elsewhere.

Real: a team is made and changed by the same PUT; what is missing answers 400 mostly. Who is invited becomes a member later, if
mail and invitations are on and he is in no other team of the organization. Invitations by address exist with FEATURE_MAILING,
synchronization with FEATURE_TEAM_SYNCING only (both not recorded).
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .users import why_not_name

routes = Routes()
invitations = Routes("MAILING")
syncing = Routes("TEAM_SYNCING")
_ROLES = ["member", "creator", "admin"]
_TEAM = "/api/v1/organization/{orgname}/team/{teamname}"
_MEMBER = f"{_TEAM}/members/{{membername}}"
_ORGANIZATION_MEMBER = "/api/v1/organization/{orgname}/members/{membername}"
_GROUPS = {"LDAP": "group_dn", "OIDC": "group_name", "Keystone": "group_id"}


def find_team(call: Call, organization: Row, name: str) -> Row | None:
    """A team of the organization."""
    text = "SELECT * FROM team WHERE organization = ? AND name = ?"
    return call.database.one(text, organization.get("id"), name)


def _team(call: Call) -> Row:
    found = find_team(call, call.organization(), call.parameters["teamname"])
    if found is None:
        raise call.not_found()
    return found


def _no_organization(call: Call) -> answers.Refusal:
    return answers.message(400, f"Organization does not exist: {call.parameters['orgname']}")


def _only_admin_team(call: Call, team: Row) -> bool:
    """Whether the caller administers the organization by this team alone."""
    rows = call.database.all(
        "SELECT team.id FROM team JOIN team_member ON team_member.team = team.id"
        " WHERE team.organization = ? AND team.role = 'admin' AND team_member.account = ?",
        team["organization"], call.login()["id"],
    )  # fmt: skip
    return [row["id"] for row in rows] == [team["id"]]


@routes("PUT", _TEAM, "updateOrganizationTeam")
def put(call: Call) -> web.Response:
    organization = call.organization(missing=lambda: _no_organization(call))
    body = call.json({"role": "string", "description": "string"}, ("role",))
    call.one_of("role", body["role"], _ROLES)
    name, orgname = call.parameters["teamname"], organization["name"]
    found = find_team(call, organization, name)
    if found is None:
        why = why_not_name(name)
        if "between" in why:
            raise answers.message(400, f"Invalid team name {name}: Team must be between 2 and 255 characters in length")
        if why:
            raise answers.message(400, why.replace("Invalid namespace", "Invalid team name", 1))
        values = {"role": body["role"], "description": body.get("description", "")}
        call.database.insert("team", organization=organization["id"], name=name, **values)
    else:
        if body["role"] != "admin" and found["role"] == "admin" and _only_admin_team(call, found):
            text = f"Cannot remove admin from team '{name}' because calling user would no longer have admin on org"
            raise answers.message(400, f"{text} '{orgname}'")
        values = {key: body[key] for key in ("role", "description") if key in body}
        call.database.update("team", "id", found["id"], **values)
    team = find_team(call, organization, name) or {}
    shown = {"name": name, "description": team["description"], "can_view": True, "role": team["role"],
             "avatar": avatar(name, "team"), "new_team": found is None}  # fmt: skip
    return answers.answer(shown)


@routes("DELETE", _TEAM, "deleteOrganizationTeam")
def delete(call: Call) -> web.Response:
    organization = call.organization(missing=lambda: _no_organization(call))
    name = call.parameters["teamname"]
    found = find_team(call, organization, name)
    if found is None:
        raise answers.message(400, f"Team '{name}' is not a team in org '{organization['name']}'")
    if found["role"] == "admin" and _only_admin_team(call, found):
        text = f"Deleting team '{name}' would remove admin ability for user '{call.login()['name']}' in organization"
        raise answers.message(400, f"{text} '{organization['name']}'")
    call.database.delete("team", "id", found["id"])
    return answers.answer(None, 204)


@routes("GET", f"{_TEAM}/permissions", "getOrganizationTeamPermissions")
def permissions(call: Call) -> web.Response:
    rows = call.database.all(
        "SELECT repository.name, repository.is_public, permission.role FROM permission"
        " JOIN repository ON repository.id = permission.repository WHERE permission.team = ? ORDER BY repository.id",
        _team(call)["id"],
    )
    items = [
        {"repository": {"name": row["name"], "is_public": bool(row["is_public"])}, "role": row["role"]} for row in rows
    ]
    return answers.answer({"permissions": items})


# Members


def _member(account: Row, invited: bool = False) -> Row:
    robot = account["kind"] == "robot"
    return {"name": account["name"], "kind": "user", "is_robot": robot,
            "avatar": avatar(account["name"], "robot" if robot else "user"), "invited": invited}  # fmt: skip


def _address(email: str) -> Row:
    return {"email": email, "kind": "invite", "avatar": avatar(email, "user"), "invited": True}


def _synchronized(call: Call, team: Row) -> Row | None:
    return call.database.one("SELECT * FROM team_sync WHERE team = ?", team["id"])


@routes("GET", f"{_TEAM}/members", "getOrganizationTeamMembers")
def members(call: Call) -> web.Response:
    organization = call.database.account(call.parameters["orgname"], "organization")
    call.login()
    belongs = (
        organization is not None and call.has("org:admin") and bool(call.quay.roles_in(call.login(), organization))
    )
    call.allow(belongs or call.administers(organization) or (organization is None and call.full_access))
    team = find_team(call, organization, call.parameters["teamname"]) if organization else None
    if team is None:
        raise call.not_found()
    administers = call.administers(organization)
    rows = call.database.all(
        "SELECT account.* FROM account JOIN team_member ON team_member.account = account.id"
        " WHERE team_member.team = ? ORDER BY team_member.rowid", team["id"],
    )  # fmt: skip
    items = [_member(row) for row in rows]
    if administers and call.flag("includePending"):
        pending = call.database.all(
            "SELECT account.*, team_invitation.email AS address FROM team_invitation"
            " LEFT JOIN account ON account.id = team_invitation.account WHERE team = ? ORDER BY team_invitation.rowid", team["id"],
        )  # fmt: skip
        items += [_member(row, invited=True) if row["id"] else _address(row["address"]) for row in pending]
    shown: dict[str, Any] = {"name": team["name"], "members": items, "can_edit": administers}
    if call.quay.feature("TEAM_SYNCING"):
        service = str(call.quay.config.get("AUTHENTICATION_TYPE", "Database")).lower()
        if call.superuser:
            shown["can_sync"] = {"service": service}
        sync = _synchronized(call, team)
        if sync:
            shown["synced"] = {"service": sync["service"]}
            if call.superuser:
                shown["synced"].update(last_updated=None, config=json.loads(sync["config"]))
    return answers.answer(shown)


@routes("PUT", _MEMBER, "updateOrganizationTeamMember")
def add_member(call: Call) -> web.Response:
    organization, team = call.organization(), _team(call)
    name = call.parameters["membername"]
    account = call.database.account(name, "user", "robot")
    if account is None:
        raise call.invalid("Unknown user")
    if account["kind"] == "user" and _synchronized(call, team):
        raise call.invalid("Cannot call this method on an auth-synced team")
    if account["kind"] == "robot" and not name.startswith(f"{organization['name']}+"):
        text = "Cannot add the specified robot to this team, as it is not a member of the organization"
        raise answers.message(400, text)
    text = "SELECT team FROM team_member WHERE team = ? AND account = ?"
    if call.database.one(text, team["id"], account["id"]):
        raise answers.message(400, f"User {name} is already a member of team {team['name']}")
    asks = call.quay.feature("MAILING") and call.quay.feature("REQUIRE_TEAM_INVITE")
    invited = asks and account["kind"] == "user" and not call.quay.roles_in(account, organization)
    text = "SELECT team FROM team_invitation WHERE team = ? AND account = ?"
    if not invited or not call.database.one(text, team["id"], account["id"]):
        call.database.insert("team_invitation" if invited else "team_member", team=team["id"], account=account["id"])
    return answers.answer(_member(account, invited))


@routes("DELETE", _MEMBER, "deleteOrganizationTeamMember")
def remove_member(call: Call) -> web.Response:
    team, name = _team(call), call.parameters["membername"]
    account = call.database.account(name, "user", "robot")
    if account is None:
        raise call.not_found()
    if account["kind"] == "user" and _synchronized(call, team):
        raise call.invalid("Cannot call this method on an auth-synced team")
    for table in ("team_invitation", "team_member"):
        text = f"SELECT rowid AS id FROM {table} WHERE team = ? AND account = ?"
        found = call.database.one(text, team["id"], account["id"])
        if found is None:
            continue
        if table == "team_member" and account["id"] == call.login()["id"] and _only_admin_team(call, team):
            raise answers.message(400, "User cannot remove themselves from their only admin team.")
        call.database.delete(table, "rowid", found["id"])
        return answers.answer(None, 204)
    raise answers.message(400, f"User {name} does not belong to team {team['name']}")


@invitations("PUT", f"{_TEAM}/invite/{{email}}", "inviteTeamMemberEmail")
def invite(call: Call) -> web.Response:
    team, email = _team(call), call.parameters["email"]
    if not call.database.one("SELECT team FROM team_invitation WHERE team = ? AND email = ?", team["id"], email):
        call.database.insert("team_invitation", team=team["id"], email=email)
    return answers.answer(_address(email))


@invitations("DELETE", f"{_TEAM}/invite/{{email}}", "deleteTeamMemberEmailInvite")
def uninvite(call: Call) -> web.Response:
    text = "SELECT rowid AS id FROM team_invitation WHERE team = ? AND email = ?"
    found = call.database.one(text, _team(call)["id"], call.parameters["email"])
    if found is None:
        raise call.not_found()
    call.database.delete("team_invitation", "rowid", found["id"])
    return answers.answer(None, 204)


@syncing("POST", f"{_TEAM}/syncing", "enableOrganizationTeamSync")
def synchronize(call: Call) -> web.Response:
    team = _team(call)
    call.allow(call.superuser)
    service = str(call.quay.config.get("AUTHENTICATION_TYPE", "Database"))
    group = _GROUPS.get(service)
    if group is None:
        raise call.invalid("Team syncing is not supported by the authentication of this registry")
    body = call.json({group: "string"}, (group,))
    if _synchronized(call, team):
        call.database.delete("team_sync", "team", team["id"])
    config = json.dumps({group: body[group]})
    call.database.insert("team_sync", team=team["id"], service=service.lower(), config=config)
    return answers.answer({"name": team["name"], "description": team["description"], "role": team["role"],
                           "can_view": True, "avatar": avatar(team["name"], "team"), "is_synced": True})  # fmt: skip


@syncing("DELETE", f"{_TEAM}/syncing", "disableOrganizationTeamSync")
def stop_synchronizing(call: Call) -> web.Response:
    team = _team(call)
    call.allow(call.superuser)
    call.database.delete("team_sync", "team", team["id"])
    return answers.answer({})


# Members of the organization


def _organization_members(call: Call, organization: Row) -> dict[str, Row]:
    rows = call.database.all(
        "SELECT account.name, team.name AS team FROM team_member JOIN team ON team.id = team_member.team"
        " JOIN account ON account.id = team_member.account WHERE team.organization = ? AND account.kind = 'user'"
        " ORDER BY team_member.rowid", organization["id"],
    )  # fmt: skip
    found: dict[str, Row] = {}
    for row in rows:
        new = {"name": row["name"], "kind": "user", "avatar": avatar(row["name"], "user"), "teams": [],
               "repositories": []}  # fmt: skip
        team = {"name": row["team"], "avatar": avatar(row["team"], "team")}
        found.setdefault(row["name"], new)["teams"].append(team)
    for name, item in found.items():
        item["repositories"] = [
            row["name"] for row in call.database.all(
                "SELECT repository.name FROM permission JOIN repository ON repository.id = permission.repository"
                " JOIN account ON account.id = permission.account WHERE repository.namespace = ? AND account.name = ?",
                organization["id"], name,
            )
        ]  # fmt: skip
    return found


@routes("GET", "/api/v1/organization/{orgname}/members", "getOrganizationMembers")
def organization_members(call: Call) -> web.Response:
    return answers.answer({"members": list(_organization_members(call, call.organization()).values())})


@routes("GET", _ORGANIZATION_MEMBER, "getOrganizationMember")
def organization_member(call: Call) -> web.Response:
    found = _organization_members(call, call.organization()).get(call.parameters["membername"])
    if found is None:
        raise call.not_found()
    return answers.answer(found)


@routes("DELETE", _ORGANIZATION_MEMBER, "removeOrganizationMember")
def remove_from_organization(call: Call) -> web.Response:
    organization = call.organization()
    account = call.database.account(call.parameters["membername"], "user")
    if account is None:
        raise call.not_found()
    for table, of, where in (("team_member", "team", "organization"), ("permission", "repository", "namespace")):
        rows = call.database.all(
            f"SELECT {table}.rowid AS id FROM {table} JOIN {of} ON {of}.id = {table}.{of}"
            f" WHERE {of}.{where} = ? AND {table}.account = ?", organization["id"], account["id"],
        )  # fmt: skip
        for row in rows:
            call.database.delete(table, "rowid", row["id"])
    return answers.answer(None, 204)


@routes("GET", "/api/v1/organization/{orgname}/collaborators", "getOrganizationCollaborators")
def collaborators(call: Call) -> web.Response:
    """Who has a permission of his own and is in no team: robots among them."""
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
