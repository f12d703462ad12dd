"""What repositories tell others about. The same notification may be there twice; there is no changing, only making anew."""

from __future__ import annotations

import json
import uuid
from urllib.parse import urlsplit

from aiohttp import web

from . import answers
from .access import find_repository, require
from .call import Call, Routes
from .database import Row

routes = Routes()
_PATH = "/api/v1/repository/{repository}/notification/"
_EVENTS = {
    "repo_push", "build_queued", "build_start", "build_success", "build_cancelled", "build_failure", "vulnerability_found",
    "repo_mirror_sync_started", "repo_mirror_sync_success", "repo_mirror_sync_failed", "repo_image_expiry",
}  # fmt: skip
_METHODS = {"quay_notification", "email", "webhook", "flowdock", "hipchat", "slack"}
_HERE = {"localhost", "127.0.0.1"}


def _view(item: Row) -> Row:
    return {"uuid": item["uuid"], "title": item["title"], "event": item["event"], "method": item["method"],
            "config": json.loads(item["config"]), "event_config": json.loads(item["event_config"]),
            "number_of_failures": item["failures"]}  # fmt: skip


def _repository(call: Call) -> Row:
    return require(call, "admin", "repo:admin")


def _item(call: Call) -> Row | None:
    text = "SELECT * FROM notification WHERE repository = ? AND uuid = ?"
    return call.database.one(text, _repository(call)["id"], call.parameters["uuid"])


def _missing(call: Call) -> answers.Refusal:
    parts = (call.parameters[name] for name in ("namespace", "name", "uuid"))
    return call.invalid(f"No repository notification found for: {', '.join(parts)}")


def _check(call: Call, method: str, config: Row) -> None:
    """Each method has settings of its own."""
    if method in ("webhook", "slack"):
        what = "webhook" if method == "webhook" else "Slack Callback"
        if not config.get("url"):
            raise call.invalid(f"Missing {what} URL")
        parts = urlsplit(config["url"])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.hostname in _HERE:
            raise call.invalid(f"Invalid {what} URL")
    if method == "email" and config.get("email") not in call.quay.authorized_addresses:
        text = "The specified e-mail address is not authorized to receive notifications for this repository"
        raise call.invalid(text)
    if method == "quay_notification":
        target = config.get("target") or {}
        kind, name = target.get("kind"), target.get("name", "")
        if kind == "team":
            text = (
                "SELECT team.id FROM team JOIN account ON account.id = team.organization"
                " WHERE account.name = ? AND team.name = ?"
            )
            if not call.database.one(text, call.parameters["namespace"], name):
                raise call.invalid(f"Unknown team {name}")
        elif call.database.account(name, {"user": "user", "org": "organization"}.get(str(kind), "")) is None:
            raise call.invalid(f"Unknown {'organization' if kind == 'org' else 'user'} {name}")


@routes("GET", _PATH, "listRepoNotifications")
def listed(call: Call) -> web.Response:
    rows = call.database.all("SELECT * FROM notification WHERE repository = ? ORDER BY rowid", _repository(call)["id"])
    return answers.answer({"notifications": [_view(row) for row in rows]})


@routes("POST", _PATH, "createRepoNotification")
def create(call: Call) -> web.Response:
    if call.full_access and find_repository(call) is None:
        raise answers.crash()
    repository = _repository(call)
    types = {"event": "string", "method": "string", "config": "object", "eventConfig": "object", "title": "string"}
    body = call.json(types, ("event", "method", "config", "eventConfig"))
    if body["method"] not in _METHODS:
        raise answers.crash()
    _check(call, body["method"], body["config"])
    if body["event"] not in _EVENTS:
        raise answers.crash()
    item = {"uuid": str(uuid.uuid4()), "repository": repository["id"], "title": body.get("title"),
            "event": body["event"], "method": body["method"], "config": json.dumps(body["config"]),
            "event_config": json.dumps(body["eventConfig"]), "failures": 0}  # fmt: skip
    call.database.insert("notification", **item)
    return answers.answer(_view(item), 201)


@routes("GET", f"{_PATH}{{uuid}}", "getRepoNotification")
def one(call: Call) -> web.Response:
    found = _item(call)
    if found is None:
        raise call.not_found()
    return answers.answer(_view(found))


@routes("POST", f"{_PATH}{{uuid}}", "resetRepositoryNotificationFailures")
def reset(call: Call) -> web.Response:
    found = _item(call)
    if found is None:
        raise _missing(call)
    call.database.update("notification", "uuid", found["uuid"], failures=0)
    return answers.answer(None, 204)


@routes("DELETE", f"{_PATH}{{uuid}}", "deleteRepoNotification")
def delete(call: Call) -> web.Response:
    found = _item(call)
    if found is None:
        raise _missing(call)
    call.database.delete("notification", "uuid", found["uuid"])
    return answers.answer(None, 204)


@routes("POST", f"{_PATH}{{uuid}}/test", "testRepoNotification")
def test(call: Call) -> web.Response:
    if _item(call) is None:
        raise _missing(call)
    return answers.answer({})
