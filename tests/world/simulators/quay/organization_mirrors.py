"""Organizations that mirror a namespace of another registry; their repositories are then made by the mirror alone.

Real: it takes an organization without repositories and proxy cache (not recorded).
"""

from __future__ import annotations

import json

from aiohttp import web

from . import answers
from .applications import moment
from .call import Call, Routes
from .database import Row
from .mirrors import check_date, check_minima, robot_of
from .proxy_cache import check_host

routes = Routes("ORG_MIRROR")
_PATH = "/api/v1/organization/{orgname}/mirror"
_TYPES = {
    "is_enabled": "boolean", "external_registry_type": "string", "external_registry_url": "string",
    "external_namespace": "string", "robot_username": "string", "visibility": "string", "sync_interval": "integer",
    "sync_start_date": "string", "external_registry_username": "string", "external_registry_password": "string",
    "external_registry_config": "object", "repository_filters": "array", "skopeo_timeout": "integer",
}  # fmt: skip
_REQUIRED = ("external_registry_type", "external_registry_url", "external_namespace", "robot_username", "visibility",
             "sync_interval", "sync_start_date")  # fmt: skip
_STATUSES = ("CANCEL", "FAIL", "NEVER_RUN", "SUCCESS", "SYNCING", "SYNC_NOW", "SKIP")

_HINDRANCES = [
    (
        "repository",
        "namespace",
        "already contains repositories. Organization mirroring requires an empty organization.",
    ),
    ("proxy_cache", "organization", "has a proxy cache configuration. Remove the proxy cache configuration first."),
]


def _find(call: Call) -> Row | None:
    organization = call.organization()
    return call.database.one("SELECT * FROM organization_mirror WHERE organization = ?", organization["id"])


def _mirror(call: Call) -> Row:
    found = _find(call)
    if found is None:
        raise call.not_found()
    return {**found, "content": json.loads(found["content"])}


def _body(call: Call, required: tuple[str, ...] = ()) -> Row:
    """What a body asks for, its robot by number."""
    body = call.json(_TYPES, required)
    if "external_registry_type" in body:
        call.one_of("external_registry_type", body["external_registry_type"], ["harbor", "quay"])
    if "visibility" in body:
        call.one_of("visibility", body["visibility"], ["public", "private"])
    check_minima(call, body, {"sync_interval": 60, "skopeo_timeout": 30})
    if "robot_username" in body:
        robot = robot_of(call, call.parameters["orgname"], body["robot_username"])
        if robot is None:
            raise call.invalid("Robot account must belong to the organization")
        body["robot_username"] = robot["id"]
    if "external_registry_url" in body:
        check_host(call, body["external_registry_url"])
    if "sync_start_date" in body:
        check_date(body["sync_start_date"])
    return body


@routes("GET", _PATH, "getOrgMirrorConfig")
def get(call: Call) -> web.Response:
    mirror = _mirror(call)
    content = mirror["content"]
    robot = call.database.one("SELECT name FROM account WHERE id = ?", mirror["robot"]) or {}
    return answers.answer({
        "is_enabled": content.get("is_enabled", True), "external_registry_type": content["external_registry_type"],
        "external_registry_url": content["external_registry_url"], "external_namespace": content["external_namespace"],
        "external_registry_username": content.get("external_registry_username"),
        "has_external_registry_password": bool(content.get("external_registry_password")),
        "external_registry_config": content.get("external_registry_config") or {},
        "repository_filters": content.get("repository_filters") or [], "robot_username": robot["name"],
        "visibility": content["visibility"], "sync_interval": content["sync_interval"],
        "sync_start_date": content["sync_start_date"], "sync_expiration_date": None, "sync_status": mirror["status"],
        "sync_retries_remaining": 3, "repo_sync_status_counts": dict.fromkeys(_STATUSES, 0),
        "skopeo_timeout": content.get("skopeo_timeout", 300), "creation_date": moment(mirror["created"]),
    })  # fmt: skip


@routes("POST", _PATH, "createOrgMirrorConfig")
def create(call: Call) -> web.Response:
    organization = call.organization()
    body = _body(call, _REQUIRED)
    if _find(call):
        raise call.invalid("Mirror configuration already exists for this organization")
    for table, column, what in _HINDRANCES:
        if call.database.one(f"SELECT {column} FROM {table} WHERE {column} = ?", organization["id"]):
            raise call.invalid(f"Cannot create organization mirror: the organization {what}")
    robot, now = body.pop("robot_username"), call.quay.now()
    call.database.insert(
        "organization_mirror", organization=organization["id"], robot=robot, created=now, content=json.dumps(body)
    )
    return answers.answer("", 201)


@routes("PUT", _PATH, "updateOrgMirrorConfig")
def change(call: Call) -> web.Response:
    mirror, body = _mirror(call), _body(call)
    robot = body.pop("robot_username", mirror["robot"])
    content = json.dumps({**mirror["content"], **body})
    call.database.update("organization_mirror", "organization", mirror["organization"], robot=robot, content=content)
    return answers.answer("")


@routes("DELETE", _PATH, "deleteOrgMirrorConfig")
def delete(call: Call) -> web.Response:
    call.database.delete("organization_mirror", "organization", _mirror(call)["organization"])
    return answers.answer(None, 204)


@routes("GET", f"{_PATH}/repositories", "listOrgMirrorRepositories")
def repositories(call: Call) -> web.Response:
    _mirror(call)
    return answers.answer({"repositories": [], "page": 1, "limit": 100, "total": 0, "has_next": False})


@routes("POST", f"{_PATH}/sync-now", "syncOrgMirrorNow")
def sync_now(call: Call) -> web.Response:
    call.database.update("organization_mirror", "organization", _mirror(call)["organization"], status="SYNC_NOW")
    return answers.answer(None, 204)


@routes("POST", f"{_PATH}/sync-cancel", "cancelOrgMirrorSync")
def sync_cancel(call: Call) -> web.Response:
    call.database.update("organization_mirror", "organization", _mirror(call)["organization"], status="CANCEL")
    return answers.answer(None, 204)
