"""Repositories and who may do what with them.

Real: names may contain slashes, so that a request for a sub-resource with another method than it has is taken for one of the
repository of that longer name.
"""

from __future__ import annotations

import re

from aiohttp import web

from . import answers
from .access import find_repository, require
from .call import Call, Routes
from .database import Row, avatar
from .pages import paged
from .quotas import configured, used
from .tags import short_views
from .teams import find_team

routes = Routes()
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*")
_ROLES = ["read", "write", "admin"]
_VISIBILITY = ["public", "private"]
_PATH = "/api/v1/repository/{repository}"
_PAGE = 100


def valid_name(name: str) -> bool:
    """Whether Quay takes the name of a repository."""
    return bool(_NAME.fullmatch(name)) and len(name) <= 255


@routes("POST", "/api/v1/repository", "createRepo")
def create_repository(call: Call) -> web.Response:
    user = call.login()
    call.allow(call.has("repo:create"))
    texts = {"repository": "string", "visibility": "string", "description": "string", "namespace": "string"}
    body = call.json(texts, ("repository", "visibility", "description"))
    call.one_of("visibility", body["visibility"], _VISIBILITY)
    call.one_of("repo_kind", body.get("repo_kind"), ["image", None])
    name = body.get("namespace") or user["name"]
    namespace = call.database.account(name, "user", "organization")
    if namespace is None:
        raise answers.crash()
    call.allow(call.full_access or call.quay.may_create(user, namespace))
    if call.database.one("SELECT organization FROM organization_mirror WHERE organization = ?", namespace["id"]):
        raise call.invalid("Cannot create repository: organization is managed by organization-level mirroring")
    if call.quay.repository(namespace, body["repository"]):
        raise call.invalid("Repository already exists")
    if not valid_name(body["repository"]):
        raise call.invalid("Invalid repository name")
    public = body["visibility"] == "public"
    call.quay.create_repository(namespace, body["repository"], user, public, body["description"])
    return answers.answer({"namespace": name, "name": body["repository"], "kind": "image"}, 201)


@routes("GET", "/api/v1/repository", "listRepos")
def repositories(call: Call) -> web.Response:
    if not ("namespace" in call.query or call.flag("public") or call.flag("starred")):
        raise call.invalid("namespace, starred or public are required for this API call")
    if call.flag("starred"):
        call.login()
    text = (
        "SELECT repository.*, account.name AS namespace_name, star.account IS NOT NULL AS starred FROM repository"
        " JOIN account ON account.id = repository.namespace"
        " LEFT JOIN star ON star.repository = repository.id AND star.account = ?"
        " WHERE account.name = coalesce(?, account.name) ORDER BY repository.id"
    )
    rows = call.database.all(text, call.user and call.user["id"], call.query.get("namespace"))
    if call.flag("starred"):
        rows = [row for row in rows if row["starred"]]
    readable = call.has("repo:read", "repo:write", "repo:admin")
    rows = [
        row for row in rows
        if row["is_public"] or call.superuser or (readable and call.quay.may(call.user, row, "read"))
    ]  # fmt: skip
    page = paged(call, "repositories", rows, _PAGE)
    namespaces = {row["namespace"]: configured(call, row["namespace"]) for row in page["repositories"]}
    sizes = {key: size for namespace in namespaces for key, size in used(call, namespace).items()}
    items = []
    for row in page["repositories"]:
        item = {"namespace": row["namespace_name"], "name": row["name"], "description": row["description"],
                "is_public": bool(row["is_public"]), "kind": "image", "state": row["state"]}  # fmt: skip
        if call.flag("last_modified"):
            item["last_modified"] = None
        if call.flag("popularity"):
            item["popularity"] = 0.0
        if call.user is not None:
            item["is_starred"] = bool(row["starred"])
        if call.quay.feature("QUOTA_MANAGEMENT"):
            size = sizes.get(row["id"], 0)
            item["quota_report"] = {"quota_bytes": size, "configured_quota": namespaces[row["namespace"]]}
        items.append(item)
    return answers.answer({**page, "repositories": items})


def _permission_view(call: Call, row: Row, namespace: Row) -> Row:
    robot = row["kind"] == "robot"
    member = row["name"].startswith(f"{namespace['name']}+") if robot else bool(call.quay.roles_in(row, namespace))
    return {"role": row["role"], "name": row["name"], "is_robot": robot,
            "avatar": avatar(row["name"], "robot" if robot else "user"), "is_org_member": member}  # fmt: skip


def _user_permissions(call: Call, repository: Row) -> dict[str, Row]:
    namespace = call.database.account(call.parameters["namespace"]) or {}
    rows = call.database.all(
        "SELECT account.*, permission.role FROM permission JOIN account ON account.id = permission.account"
        " WHERE permission.repository = ? ORDER BY permission.rowid", repository["id"],
    )  # fmt: skip
    return {row["name"]: _permission_view(call, row, namespace) for row in rows}


@routes("GET", f"{_PATH}/permissions/user/", "listRepoUserPermissions")
def user_permissions(call: Call) -> web.Response:
    if find_repository(call) is None and call.full_access:
        return answers.answer({"permissions": {}})
    return answers.answer({"permissions": _user_permissions(call, require(call, "admin", "repo:admin"))})


_USER_PERMISSION = f"{_PATH}/permissions/user/{{username}}"
_NONE = "User does not have permission for repo."


@routes("GET", _USER_PERMISSION, "getUserPermissions")
def user_permission(call: Call) -> web.Response:
    found = _user_permissions(call, require(call, "admin", "repo:admin")).get(call.parameters["username"])
    if found is None:
        raise answers.message(400, _NONE)
    return answers.answer(found)


@routes("PUT", _USER_PERMISSION, "changeUserPermissions")
def set_user_permission(call: Call) -> web.Response:
    if find_repository(call) is None and call.full_access:
        raise answers.crash()
    repository = require(call, "admin", "repo:admin")
    body = call.json({"role": "string"}, ("role",))
    call.one_of("role", body["role"], _ROLES)
    name = call.parameters["username"]
    account = call.database.account(name, "user", "robot")
    namespace = call.parameters["namespace"]
    if account is None or (account["kind"] == "robot" and not name.startswith(f"{namespace}+")):
        raise call.invalid(f"Invalid username: {name}")
    call.quay.set_permission(repository, account, body["role"])
    return answers.answer(_user_permissions(call, repository)[name])


@routes("DELETE", _USER_PERMISSION, "deleteUserPermissions")
def delete_user_permission(call: Call) -> web.Response:
    repository = require(call, "admin", "repo:admin")
    account = call.database.account(call.parameters["username"])
    if account is None or call.parameters["username"] not in _user_permissions(call, repository):
        raise call.invalid(_NONE)
    call.quay.set_permission(repository, account, None)
    return answers.answer(None, 204)


@routes("GET", f"{_USER_PERMISSION}/transitive", "getUserTransitivePermission")
def transitive(call: Call) -> web.Response:
    repository = require(call, "admin", "repo:admin")
    account = call.database.account(call.parameters["username"], "user", "robot")
    roles = [role for role in reversed(_ROLES) if account and call.quay.may(account, repository, role)]
    if not roles:
        raise call.not_found()
    return answers.answer({"permissions": [{"role": roles[0]}]})


def _team_permissions(call: Call, repository: Row) -> dict[str, Row]:
    rows = call.database.all(
        "SELECT team.name, permission.role FROM permission JOIN team ON team.id = permission.team"
        " WHERE permission.repository = ? ORDER BY permission.rowid", repository["id"],
    )  # fmt: skip
    return {row["name"]: {**row, "avatar": avatar(row["name"], "team")} for row in rows}


_TEAM_PERMISSION = f"{_PATH}/permissions/team/{{teamname}}"
_NO_TEAM = "Team does not have permission for repo."


@routes("GET", f"{_PATH}/permissions/team/", "listRepoTeamPermissions")
def team_permissions(call: Call) -> web.Response:
    if find_repository(call) is None and call.full_access:
        return answers.answer({"permissions": {}})
    return answers.answer({"permissions": _team_permissions(call, require(call, "admin", "repo:admin"))})


@routes("GET", _TEAM_PERMISSION, "getTeamPermissions")
def team_permission(call: Call) -> web.Response:
    found = _team_permissions(call, require(call, "admin", "repo:admin")).get(call.parameters["teamname"])
    if found is None:
        raise answers.message(400, _NO_TEAM)
    return answers.answer({"role": found["role"]})


@routes("PUT", _TEAM_PERMISSION, "changeTeamPermissions")
def set_team_permission(call: Call) -> web.Response:
    if find_repository(call) is None and call.full_access:
        raise answers.crash()
    repository = require(call, "admin", "repo:admin")
    body = call.json({"role": "string"}, ("role",))
    call.one_of("role", body["role"], _ROLES)
    name, namespace = call.parameters["teamname"], call.parameters["namespace"]
    team = find_team(call, call.database.account(namespace) or {}, name)
    if team is None:
        raise call.invalid(f"No team {name} in organization {namespace}")
    text = "SELECT rowid AS id FROM permission WHERE repository = ? AND team = ?"
    found = call.database.one(text, repository["id"], team["id"])
    if found:
        call.database.update("permission", "rowid", found["id"], role=body["role"])
    else:
        call.database.insert("permission", repository=repository["id"], team=team["id"], role=body["role"])
    return answers.answer(_team_permissions(call, repository)[name])


@routes("DELETE", _TEAM_PERMISSION, "deleteTeamPermissions")
def delete_team_permission(call: Call) -> web.Response:
    repository = require(call, "admin", "repo:admin")
    text = (
        "SELECT permission.rowid AS id FROM permission JOIN team ON team.id = permission.team"
        " WHERE permission.repository = ? AND team.name = ?"
    )
    found = call.database.one(text, repository["id"], call.parameters["teamname"])
    if found is None:
        raise call.invalid(_NO_TEAM)
    call.database.delete("permission", "rowid", found["id"])
    return answers.answer(None, 204)


@routes("POST", f"{_PATH}/changevisibility", "changeRepoVisibility")
def visibility(call: Call) -> web.Response:
    if find_repository(call) is None and call.full_access:
        return answers.answer(None)
    repository = require(call, "admin", "repo:admin")
    body = call.json({"visibility": "string"}, ("visibility",))
    call.one_of("visibility", body["visibility"], _VISIBILITY)
    call.database.update("repository", "id", repository["id"], is_public=int(body["visibility"] == "public"))
    return answers.answer({"success": True})


@routes("PUT", f"{_PATH}/changestate", "changeRepoState")
def state(call: Call) -> web.Response:
    repository = require(call, "admin", "repo:admin")
    body = call.json({"state": "string"}, ("state",))
    call.one_of("state", body["state"], ["NORMAL", "READ_ONLY", "MIRROR"])
    if body["state"] == "MIRROR" and not call.quay.feature("REPO_MIRROR"):
        raise call.invalid("Mirror feature is not enabled")
    call.database.update("repository", "id", repository["id"], state=body["state"])
    return answers.answer({"success": True})


@routes("POST", "/api/v1/user/starred", "createStar")
def star(call: Call) -> web.Response:
    user = call.login()
    body = call.json({"namespace": "string", "repository": "string"}, ("namespace", "repository"))
    call.parameters.update(namespace=body["namespace"], name=body["repository"])
    repository = require(call, "read", "repo:read")
    if not _is_starred(call, repository):
        call.database.insert("star", account=user["id"], repository=repository["id"])
    return answers.answer({"namespace": body["namespace"], "repository": body["repository"]}, 201)


@routes("GET", "/api/v1/user/starred", "listStarredRepos")
def starred(call: Call) -> web.Response:
    text = (
        "SELECT repository.*, account.name AS owner FROM repository JOIN account ON account.id = repository.namespace"
        " JOIN star ON star.repository = repository.id WHERE star.account = ? ORDER BY repository.id"
    )
    items = [
        {"namespace": row["owner"], "name": row["name"], "description": row["description"],
         "is_public": bool(row["is_public"])}
        for row in call.database.all(text, call.login()["id"])
    ]  # fmt: skip
    return answers.answer(paged(call, "repositories", items, _PAGE))


@routes("DELETE", "/api/v1/user/starred/{repository}", "deleteStar")
def unstar(call: Call) -> web.Response:
    user, repository = call.login(), find_repository(call)
    text = "SELECT rowid AS id FROM star WHERE account = ? AND repository = ?"
    found = call.database.one(text, user["id"], repository["id"]) if repository else None
    if found:
        call.database.delete("star", "rowid", found["id"])
    return answers.answer(None, 204)


@routes("GET", _PATH, "getRepo")
def get(call: Call) -> web.Response:
    repository = require(call, "read", "repo:read")
    owner = call.database.account(call.parameters["namespace"]) or {}
    shown = {
        "namespace": owner["name"], "name": repository["name"], "kind": "image", "description": repository["description"],
        "is_public": bool(repository["is_public"]), "is_organization": owner["kind"] == "organization",
        "is_starred": _is_starred(call, repository), "status_token": repository["status_token"], "trust_enabled": False,
        "tag_expiration_s": owner["tag_expiration_s"], "is_free_account": True, "state": repository["state"],
    }  # fmt: skip
    if call.flag("includeTags", True):
        shown["tags"] = short_views(call, repository)
    allowed = {role: call.full_access or call.quay.may(call.user, repository, role) for role in ("write", "admin")}
    can_write = allowed["write"] and repository["state"] == "NORMAL"
    return answers.answer({**shown, "can_write": can_write, "can_admin": allowed["admin"]})


def _is_starred(call: Call, repository: Row) -> bool:
    text = "SELECT account FROM star WHERE account = ? AND repository = ?"
    return call.user is not None and call.database.one(text, call.user["id"], repository["id"]) is not None


@routes("PUT", _PATH, "updateRepo")
def change(call: Call) -> web.Response:
    body = call.json({"description": "string"}, ("description",))
    repository = require(call, "write", "repo:write")
    call.database.update("repository", "id", repository["id"], description=body["description"])
    return answers.answer({"success": True})


@routes("DELETE", _PATH, "deleteRepository")
def delete(call: Call) -> web.Response:
    if call.full_access and find_repository(call) is None:
        if call.database.account(call.parameters["namespace"], "user", "organization") is None:
            raise answers.crash()
        return answers.answer(None, 204)
    call.database.delete("repository", "id", require(call, "admin", "repo:admin")["id"])
    return answers.answer(None, 204)
