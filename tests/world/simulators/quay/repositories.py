"""Repositories and who may do what with them.

Real: names may contain slashes, so that a request for a sub-resource with another method than it has is taken for one of the
repository of that longer name; a missing repository is 403 (anonymous: 401) for who is no superuser, as a private one is.
"""

from __future__ import annotations

import re

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .pages import paged

routes = Routes()
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*")
_ROLES = ["read", "write", "admin"]
_VISIBILITY = ["public", "private"]
_PATH = "/api/v1/repository/{repository}"
_PAGE = 100


def valid_name(name: str) -> bool:
    """Whether Quay takes the name of a repository."""
    return bool(_NAME.fullmatch(name)) and len(name) <= 255


def _find(call: Call) -> Row | None:
    namespace = call.database.account(call.parameters["namespace"], "user", "organization")
    return call.quay.repository(namespace, call.parameters["name"]) if namespace else None


def _require(call: Call, role: str, scope: str) -> Row:
    """The repository, for who has the role in it."""
    found = _find(call)
    if found is None:
        if call.full_access:
            raise call.not_found()
        call.allow(False)
    allowed = call.quay.may(call.user, found or {}, role) or call.full_access
    if role == "read" and (found or {})["is_public"]:
        return found or {}
    call.allow(allowed and call.has(scope, "repo:admin"))
    return found or {}


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
    rows = call.database.all(
        "SELECT repository.*, account.name AS namespace_name FROM repository"
        " JOIN account ON account.id = repository.namespace ORDER BY repository.id"
    )
    if "namespace" in call.query:
        rows = [row for row in rows if row["namespace_name"] == call.query["namespace"]]
    if call.flag("starred"):
        rows = []
    readable = call.has("repo:read", "repo:write", "repo:admin")
    rows = [
        row for row in rows
        if row["is_public"] or call.superuser or (readable and call.quay.may(call.user, row, "read"))
    ]  # fmt: skip
    items = []
    for row in rows:
        item = {"namespace": row["namespace_name"], "name": row["name"], "description": row["description"],
                "is_public": bool(row["is_public"]), "kind": "image", "state": row["state"]}  # fmt: skip
        if call.flag("last_modified"):
            item["last_modified"] = None
        if call.flag("popularity"):
            item["popularity"] = 0.0
        if call.user is not None:
            item["is_starred"] = False
        items.append({**item, "quota_report": {"quota_bytes": 0, "configured_quota": None}})
    return answers.answer(paged(call, "repositories", items, _PAGE))


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
    if _find(call) is None and call.full_access:
        return answers.answer({"permissions": {}})
    return answers.answer({"permissions": _user_permissions(call, _require(call, "admin", "repo:admin"))})


_USER_PERMISSION = f"{_PATH}/permissions/user/{{username}}"
_NONE = "User does not have permission for repo."


@routes("GET", _USER_PERMISSION, "getUserPermissions")
def user_permission(call: Call) -> web.Response:
    found = _user_permissions(call, _require(call, "admin", "repo:admin")).get(call.parameters["username"])
    if found is None:
        raise answers.message(400, _NONE)
    return answers.answer(found)


@routes("PUT", _USER_PERMISSION, "changeUserPermissions")
def set_user_permission(call: Call) -> web.Response:
    if _find(call) is None and call.full_access:
        raise answers.crash()
    repository = _require(call, "admin", "repo:admin")
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
    repository = _require(call, "admin", "repo:admin")
    account = call.database.account(call.parameters["username"])
    if account is None or call.parameters["username"] not in _user_permissions(call, repository):
        raise call.invalid(_NONE)
    call.quay.set_permission(repository, account, None)
    return answers.answer(None, 204)


@routes("POST", f"{_PATH}/changevisibility", "changeRepoVisibility")
def visibility(call: Call) -> web.Response:
    if _find(call) is None and call.full_access:
        return answers.answer(None)
    repository = _require(call, "admin", "repo:admin")
    body = call.json({"visibility": "string"}, ("visibility",))
    call.one_of("visibility", body["visibility"], _VISIBILITY)
    call.database.update("repository", "id", repository["id"], is_public=int(body["visibility"] == "public"))
    return answers.answer({"success": True})


@routes("GET", _PATH, "getRepo")
def get(call: Call) -> web.Response:
    repository = _require(call, "read", "repo:read")
    owner = call.database.account(call.parameters["namespace"]) or {}
    shown = {
        "namespace": owner["name"], "name": repository["name"], "kind": "image", "description": repository["description"],
        "is_public": bool(repository["is_public"]), "is_organization": owner["kind"] == "organization",
        "is_starred": False, "status_token": repository["status_token"], "trust_enabled": False,
        "tag_expiration_s": owner["tag_expiration_s"], "is_free_account": True, "state": repository["state"],
    }  # fmt: skip
    if call.flag("includeTags", True):
        shown["tags"] = {}
    allowed = {role: call.full_access or call.quay.may(call.user, repository, role) for role in ("write", "admin")}
    return answers.answer({**shown, "can_write": allowed["write"], "can_admin": allowed["admin"]})


@routes("PUT", _PATH, "updateRepo")
def change(call: Call) -> web.Response:
    repository = _require(call, "write", "repo:write")
    body = call.json({"description": "string"}, ("description",))
    call.database.update("repository", "id", repository["id"], description=body["description"])
    return answers.answer({"success": True})


@routes("DELETE", _PATH, "deleteRepository")
def delete(call: Call) -> web.Response:
    if call.full_access and _find(call) is None:
        if call.database.account(call.parameters["namespace"], "user", "organization") is None:
            raise answers.crash()
        return answers.answer(None, 204)
    call.database.delete("repository", "id", _require(call, "admin", "repo:admin")["id"])
    return answers.answer(None, 204)
