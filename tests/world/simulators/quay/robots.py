"""Robot accounts of organizations and of users: NAMESPACE+NAME and a token, which is a password at the registry only.

Real: what is missing answers 400, not 404; a list shows tokens to the organization's own administrators only.
"""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row, avatar
from .users import letters, why_not_name

routes = Routes()
_MISSING = "Could not find robot with specified username"


def _namespace(call: Call, may_be_missing: bool = False) -> Row | None:
    """The organization of the path, or the caller; refused unless the caller administers it."""
    if "orgname" not in call.parameters:
        user = call.login()
        call.allow(call.has("user:admin"))
        return user
    name = call.parameters["orgname"]
    found = call.database.account(name, "organization")
    call.login()
    if found is None and not may_be_missing:
        call.allow(call.full_access)
        raise answers.message(400, f"Organization does not exist: {name}")
    call.allow(call.administers(found) if found else call.full_access)
    return found


def _robot(call: Call) -> Row:
    namespace = _namespace(call, may_be_missing=call.request.method == "DELETE")
    short = call.parameters["robot_shortname"]
    found = call.database.account(f"{namespace['name']}+{short}", "robot") if namespace else None
    if found is None:
        raise answers.message(400, _MISSING)
    return found


def _view(robot: Row, metadata: Any = None) -> Row:
    return {"name": robot["name"], "created": formatdate(robot["created"]), "last_accessed": None,
            "description": robot["description"], "token": robot["token"], "unstructured_metadata": metadata}  # fmt: skip


def list_robots(call: Call) -> web.Response:
    name = call.parameters.get("orgname")
    namespace = call.login() if name is None else call.database.account(name, "organization")
    if namespace is None:
        call.allow(call.superuser or call.has("org:admin"))
        return answers.answer({"robots": []})
    own = call.user is not None and (
        namespace["id"] == call.user["id"] or "admin" in call.quay.roles_in(call.user, namespace)
    )
    member = call.user is not None and bool(call.quay.roles_in(call.user, namespace))
    call.allow(call.has("org:admin", "user:admin") and (own or member or call.full_access))
    rows = call.database.all(
        "SELECT * FROM account WHERE kind = 'robot' AND name LIKE ? ORDER BY id", f"{namespace['name']}+%"
    )
    items = []
    for row in rows:
        item = _view(row)
        del item["unstructured_metadata"]
        if not (own or call.full_access) or not call.flag("token", True):
            del item["token"]
        if call.flag("permissions"):
            item.update(teams=_teams(call, row), repositories=[found["name"] for found in _permissions(call, row)])
        items.append(item)
    if call.query.get("limit", "").isdigit():
        items = items[: int(call.query["limit"])]
    return answers.answer({"robots": items})


def _teams(call: Call, robot: Row) -> list[Row]:
    rows = call.database.all(
        "SELECT team.name FROM team JOIN team_member ON team_member.team = team.id WHERE team_member.account = ?"
        " ORDER BY team.id", robot["id"],
    )  # fmt: skip
    return [{"name": row["name"], "avatar": avatar(row["name"], "team")} for row in rows]


def _permissions(call: Call, robot: Row) -> list[Row]:
    return call.database.all(
        "SELECT repository.name, repository.is_public, permission.role FROM permission"
        " JOIN repository ON repository.id = permission.repository WHERE permission.account = ? ORDER BY repository.id",
        robot["id"],
    )


def get_robot(call: Call) -> web.Response:
    robot = _robot(call)
    return answers.answer(_view(robot, json.loads(robot["metadata"] or "{}")))


def create_robot(call: Call) -> web.Response:
    namespace = _namespace(call) or {}
    short = call.parameters["robot_shortname"]
    body: Row = {}
    if call.body:
        body = call.json({"description": "string", "unstructured_metadata": "object"})
    description = body.get("description") or ""
    if len(description) > 255:
        raise call.invalid_schema(f"{description!r} is too long", "maxLength")
    why = why_not_name(short)
    if why:
        raise call.invalid(f"The name for the robot '{short}' is invalid: {why.partition(': ')[2]}")
    name = f"{namespace['name']}+{short}"
    if call.database.account(name):
        raise call.invalid(f"Existing robot with name: {name}")
    metadata = body.get("unstructured_metadata")
    robot = {
        "kind": "robot",
        "name": name,
        "token": letters(64),
        "description": description,
        "created": call.quay.now(),
    }
    call.database.insert("account", **robot, metadata=json.dumps(metadata or {}))
    return answers.answer(_view(robot, metadata), 201)


def delete_robot(call: Call) -> web.Response:
    robot = _robot(call)
    for table in ("mirror", "organization_mirror"):
        if call.database.one(f"SELECT robot FROM {table} WHERE robot = ?", robot["id"]):
            raise call.invalid("Robot is being used by a mirror")
    call.database.delete("account", "id", robot["id"])
    return answers.answer(None, 204)


def regenerate(call: Call) -> web.Response:
    robot = {**_robot(call), "token": letters(64)}
    call.database.update("account", "id", robot["id"], token=robot["token"])
    shown = _view(robot)
    del shown["unstructured_metadata"]
    return answers.answer(shown)


def permissions(call: Call) -> web.Response:
    found = [
        {"repository": {"name": row["name"], "is_public": bool(row["is_public"])}, "role": row["role"]}
        for row in _permissions(call, _robot(call))
    ]
    return answers.answer({"permissions": found})


def federation(call: Call) -> web.Response:
    return answers.answer(json.loads(_robot(call)["federation"]))


def set_federation(call: Call) -> web.Response:
    robot, trusted = _robot(call), call.objects()
    for item in trusted:
        for name in ("issuer", "subject"):
            if name not in item:
                raise call.invalid_schema(f"{name!r} is a required property", "required")
        if not item["issuer"].startswith(("http://", "https://")):
            raise call.invalid("Issuer must be a URL (http:// or https://)")
    call.database.update("account", "id", robot["id"], federation=json.dumps(trusted))
    return answers.answer(trusted)


def delete_federation(call: Call) -> web.Response:
    call.database.update("account", "id", _robot(call)["id"], federation="[]")
    return answers.answer(None, 204)


for _path, _who in (("/api/v1/organization/{orgname}/robots", "Org"), ("/api/v1/user/robots", "User")):
    routes("GET", _path, f"get{_who}Robots")(list_robots)
    routes("GET", f"{_path}/{{robot_shortname}}", f"get{_who}Robot")(get_robot)
    routes("PUT", f"{_path}/{{robot_shortname}}", f"create{_who}Robot")(create_robot)
    routes("DELETE", f"{_path}/{{robot_shortname}}", f"delete{_who}Robot")(delete_robot)
    routes("POST", f"{_path}/{{robot_shortname}}/regenerate", f"regenerate{_who}RobotToken")(regenerate)
    routes("GET", f"{_path}/{{robot_shortname}}/permissions", f"get{_who}RobotPermissions")(permissions)
    routes("GET", f"{_path}/{{robot_shortname}}/federation", f"get{_who}RobotFederation")(federation)
    routes("POST", f"{_path}/{{robot_shortname}}/federation", f"create{_who}RobotFederation")(set_federation)
    routes("DELETE", f"{_path}/{{robot_shortname}}/federation", f"delete{_who}RobotFederation")(delete_federation)
