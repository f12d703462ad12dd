"""Repositories that mirror others.

Real: the robot is required though the schema does not say so (500 without it); there is no DELETE: that is taken for one of the
repository named ``x/mirror``. Nothing is copied here.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from aiohttp import web

from . import answers
from .access import require
from .call import Call, Routes
from .database import Row

routes = Routes("REPO_MIRROR")
_PATH = "/api/v1/repository/{repository}/mirror"
_TYPES = {
    "is_enabled": "boolean", "external_reference": "string", "external_registry_username": "string",
    "external_registry_password": "string", "sync_start_date": "string", "sync_interval": "integer",
    "robot_username": "string", "root_rule": "object", "external_registry_config": "object",
    "skopeo_timeout_interval": "integer", "architecture_filter": "array",
}  # fmt: skip
_REQUIRED = ("external_reference", "sync_interval", "sync_start_date", "root_rule", "skopeo_timeout_interval")
_MINIMA = {"sync_interval": 0, "skopeo_timeout_interval": 300}


def check_minima(call: Call, body: Row, minima: dict[str, int]) -> None:
    """The least that a schema allows."""
    for name, least in minima.items():
        if name in body and body[name] < least:
            text = f"{body[name]} is less than the minimum of {least}"
            raise call.invalid_schema(text, f"minimum' in schema['properties']['{name}")


def robot_of(call: Call, namespace: str, name: Any) -> Row | None:
    """A robot of the namespace."""
    found = call.database.account(str(name), "robot")
    return found if found and found["name"].startswith(f"{namespace}+") else None


def check_date(text: str) -> None:
    """Quay's own form of times, or its crash."""
    try:
        datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise answers.crash() from None


def _repository(call: Call) -> Row:
    return require(call, "admin", "repo:admin")


def _mirror(call: Call) -> Row:
    repository = _repository(call)
    found = call.database.one("SELECT * FROM mirror WHERE repository = ?", repository["id"])
    if found is None:
        raise call.not_found()
    return {**found, "content": json.loads(found["content"])}


def _body(call: Call, required: tuple[str, ...] = ()) -> Row:
    body = call.json(_TYPES, required)
    check_minima(call, body, _MINIMA)
    if body.get("external_reference") == "":
        raise answers.Refusal(answers.answer({"detail": "Empty string is an invalid repository location."}, 400))
    if body.get("external_registry_password") and not body.get("external_registry_username"):
        text = "Unable to set a new password without also specifying a username."
        raise answers.Refusal(answers.answer({"detail": text}, 400))
    return body


def _robot(call: Call, body: Row) -> int:
    robot = robot_of(call, call.parameters["namespace"], body["robot_username"])
    if robot is None:
        raise answers.message(400, "Could not find robot with specified username")
    return int(robot["id"])


@routes("GET", _PATH, "getRepoMirrorConfig")
def get(call: Call) -> web.Response:
    mirror = _mirror(call)
    content = mirror["content"]
    robot = call.database.one("SELECT name FROM account WHERE id = ?", mirror["robot"]) or {}
    config = content.get("external_registry_config") or {}
    unsigned = {key: config[key] for key in ("unsigned_images",) if key in config}
    proxy = {key: (config.get("proxy") or {}).get(key) for key in ("http_proxy", "https_proxy", "no_proxy")}
    return answers.answer({
        "is_enabled": content.get("is_enabled", True), "mirror_type": "PULL",
        "external_reference": content["external_reference"],
        "external_registry_username": content.get("external_registry_username"),
        "external_registry_config": {"verify_tls": config.get("verify_tls", True), "proxy": proxy, **unsigned},
        "sync_interval": content["sync_interval"], "sync_start_date": content["sync_start_date"],
        "sync_expiration_date": None, "sync_retries_remaining": 3, "sync_status": mirror["status"],
        "root_rule": content["root_rule"], "robot_username": robot["name"],
        "skopeo_timeout_interval": content["skopeo_timeout_interval"],
        "architecture_filter": content.get("architecture_filter") or [],
    })  # fmt: skip


@routes("POST", _PATH, "createRepoMirrorConfig")
def create(call: Call) -> web.Response:
    repository = _repository(call)
    body = _body(call, _REQUIRED)
    if "robot_username" not in body:
        raise answers.crash()
    name = f"{call.parameters['namespace']}/{repository['name']}"
    if call.database.one("SELECT * FROM mirror WHERE repository = ?", repository["id"]):
        text = f"Mirror configuration already exits for repository {name}"
        raise answers.Refusal(answers.answer({"detail": text}, 409))
    robot = _robot(call, body)
    check_date(body["sync_start_date"])
    del body["robot_username"]
    call.database.insert("mirror", repository=repository["id"], robot=robot, content=json.dumps(body))
    call.database.update("repository", "id", repository["id"], state="MIRROR")
    return answers.answer("", 201)


@routes("PUT", _PATH, "changeRepoMirrorConfig")
def change(call: Call) -> web.Response:
    mirror = _mirror(call)
    body = _body(call)
    robot = _robot(call, body) if "robot_username" in body else mirror["robot"]
    if "sync_start_date" in body:
        check_date(body["sync_start_date"])
    body.pop("robot_username", None)
    content = json.dumps({**mirror["content"], **body})
    call.database.update("mirror", "repository", mirror["repository"], robot=robot, content=content)
    return answers.answer("", 201)


@routes("POST", f"{_PATH}/sync-now", "syncNow")
def sync_now(call: Call) -> web.Response:
    call.database.update("mirror", "repository", _mirror(call)["repository"], status="SYNC_NOW")
    return answers.answer(None, 204)


@routes("POST", f"{_PATH}/sync-cancel", "syncCancel")
def sync_cancel(call: Call) -> web.Response:
    mirror = _mirror(call)
    if mirror["status"] not in ("SYNC_NOW", "SYNCING"):
        raise call.not_found()
    call.database.update("mirror", "repository", mirror["repository"], status="CANCEL")
    return answers.answer(None, 204)
