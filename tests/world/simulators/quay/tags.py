"""Tags of repositories and the labels of what they point at.

Real: a tag that was moved or deleted stays in the list with its end, until the time machine forgets it; an end in the future is
an expiration. What is pushed comes from the registry, or from ``Quay.push``. Labels that came with an image stay, and a tag
that ends is not made immutable, unless FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE is on (not recorded).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import answers
from .access import require
from .call import Call, Routes
from .database import Row
from .policies import makes_immutable

if TYPE_CHECKING:
    from .server import Quay

routes = Routes()
_PATH = "/api/v1/repository/{repository}"
_TAG = f"{_PATH}/tag/{{tag}}"
_MANIFEST = f"{_PATH}/manifest/{{manifestref}}"
_LABELS = f"{_MANIFEST}/labels"
_RESERVED = ("com.docker.", "io.docker.", "org.dockerproject.", "io.quay.", "quay.")
_BAD = "The browser (or proxy) sent a request that this server could not understand."


def alive(quay: Quay, repository: Row) -> dict[str, Row]:
    """The tags of now by name, newest first."""
    text = "SELECT * FROM tag WHERE repository = ? AND (ends IS NULL OR ends > ?) ORDER BY id DESC"
    return {row["name"]: row for row in quay.database.all(text, repository["id"], quay.now())}


def point(quay: Quay, repository: Row, name: str, digest: str, reversion: bool = False) -> None:
    """The tag is this manifest from now on."""
    now, old = quay.now(), alive(quay, repository).get(name)
    if old:
        quay.database.update("tag", "id", old["id"], ends=now)
    immutable = makes_immutable(quay, repository, name)
    quay.database.insert(
        "tag", repository=repository["id"], name=name, digest=digest, begins=now, reversion=int(reversion),
        immutable=int(immutable),
    )  # fmt: skip


def keep_manifest(quay: Quay, repository: Row, content: bytes, labels: Mapping[str, str]) -> str:
    """A manifest of the repository and the labels of its image; its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    text = "SELECT digest FROM manifest WHERE repository = ? AND digest = ?"
    if not quay.database.one(text, repository["id"], digest):
        quay.database.insert("manifest", repository=repository["id"], digest=digest, content=content.decode())
        for key, value in labels.items():
            add_label(quay, repository, digest, key, value)
    return digest


def _require(call: Call, role: str) -> Row:
    """The repository; one that is read-only or a mirror is not written to."""
    repository = require(call, role, f"repo:{role}")
    if role == "write" and repository["state"] != "NORMAL":
        raise answers.message(503, f"Repository is in read only or mirror mode: {repository['state']}")
    return repository


def _manifest(call: Call, repository: Row, digest: Any) -> Row:
    text = "SELECT * FROM manifest WHERE repository = ? AND digest = ?"
    found = call.database.one(text, repository["id"], str(digest))
    if found is None:
        raise call.not_found()
    return {**found, "parsed": json.loads(found["content"])}


def _alive_manifest(call: Call, repository: Row) -> Row:
    """What tags of now point at, or at a list with it."""
    found = _manifest(call, repository, call.parameters["manifestref"])
    for row in alive(call.quay, repository).values():
        if found["digest"] in (row["digest"], *_manifest(call, repository, row["digest"])["content"].split('"')):
            return found
    raise call.not_found()


def _tag(call: Call, repository: Row) -> Row:
    found = alive(call.quay, repository).get(call.parameters["tag"])
    if found is None:
        raise call.not_found()
    return found


def layers_size(manifest: Row) -> int:
    """The compressed size of an image."""
    return sum(layer["size"] for layer in manifest.get("layers", []))


def _view(call: Call, repository: Row, item: Row) -> Row:
    manifest = _manifest(call, repository, item["digest"])["parsed"]
    shown = {
        "name": item["name"], "reversion": bool(item["reversion"]),
        **({"immutable": bool(item["immutable"])} if call.quay.feature("IMMUTABLE_TAGS") else {}),
        "start_ts": int(item["begins"]), "manifest_digest": item["digest"], "is_manifest_list": "manifests" in manifest,
        "size": layers_size(manifest), "last_modified": formatdate(item["begins"]),
    }  # fmt: skip
    if item["ends"]:
        shown.update(end_ts=int(item["ends"]), expiration=formatdate(item["ends"]))
    return shown


def short_views(call: Call, repository: Row) -> dict[str, Row]:
    """The tags of now, as the repository itself shows them."""
    names = ("name", "size", "last_modified", "manifest_digest", "expiration")
    views = [_view(call, repository, row) for row in alive(call.quay, repository).values()]
    return {view["name"]: {key: view[key] for key in names if key in view} for view in views}


@routes("GET", f"{_PATH}/tag/", "listRepoTags")
def tags(call: Call) -> web.Response:
    repository = _require(call, "read")
    rows = call.database.all("SELECT * FROM tag WHERE repository = ? ORDER BY id DESC", repository["id"])
    if call.flag("onlyActiveTags"):
        rows = [row for row in rows if not row["ends"] or row["ends"] > call.quay.now()]
    if "specificTag" in call.query:
        rows = [row for row in rows if row["name"] == call.query["specificTag"]]
    how, _colon, part = call.query.get("filter_tag_name", "").partition(":")
    if part:
        rows = [row for row in rows if (part in row["name"] if how == "like" else part == row["name"])]
    number, limit = int(call.query.get("page", 1)), min(100, int(call.query.get("limit", 50)))
    shown = rows[(number - 1) * limit : number * limit]
    more = len(rows) > number * limit
    views = [_view(call, repository, row) for row in shown]
    return answers.answer({"tags": views, "page": number, "has_additional": more})


@routes("PUT", _TAG, "changeTag")
def change(call: Call) -> web.Response:
    repository = _require(call, "write")
    name = call.parameters["tag"]
    found = alive(call.quay, repository).get(name)
    body = call.json({"manifest_digest": "string", "expiration": "number", "immutable": "boolean"})
    if body.get("immutable") is not None:
        call.allow(body["immutable"] or call.full_access or call.quay.may(call.user, repository, "admin"))
        if body["immutable"] and found and found["ends"] and not call.quay.feature("IMMUTABLE_TAGS_CAN_EXPIRE"):
            raise answers.message(400, f"Cannot make tag '{name}' immutable: it has expiration set")
        call.database.update("tag", "id", _tag(call, repository)["id"], immutable=int(body["immutable"]))
        found = alive(call.quay, repository).get(name)
    if found and found["immutable"] and ("expiration" in body or "manifest_digest" in body):
        raise answers.problem(call.host, 409, "tag_immutable", f"Cannot update immutable tag '{name}'")
    if "expiration" in body:
        if body["expiration"] is not None and body["expiration"] <= call.quay.now():
            raise answers.message(400, _BAD)
        call.database.update("tag", "id", _tag(call, repository)["id"], ends=body["expiration"])
    if body.get("manifest_digest") is not None:
        point(call.quay, repository, name, _manifest(call, repository, body["manifest_digest"])["digest"])
    return answers.answer("Updated", 201)


@routes("DELETE", _TAG, "deleteFullTag")
def delete(call: Call) -> web.Response:
    repository = _require(call, "write")
    found = _tag(call, repository)
    if found["immutable"]:
        raise answers.problem(call.host, 409, "tag_immutable", f"Cannot delete immutable tag '{found['name']}'")
    call.database.update("tag", "id", found["id"], ends=call.quay.now())
    return answers.answer(None, 204)


@routes("POST", f"{_TAG}/restore", "restoreTag")
def restore(call: Call) -> web.Response:
    repository = _require(call, "write")
    body = call.json({"manifest_digest": "string"}, ("manifest_digest",))
    manifest = _manifest(call, repository, body["manifest_digest"])
    name = call.parameters["tag"]
    found = alive(call.quay, repository).get(name)
    if found and found["immutable"]:
        raise answers.problem(call.host, 409, "tag_immutable", f"Cannot update immutable tag '{name}'")
    point(call.quay, repository, name, manifest["digest"], reversion=True)
    return answers.answer({})


@routes("GET", _MANIFEST, "getRepoManifest")
def manifest(call: Call) -> web.Response:
    """Without what Quay tells of the layers."""
    found = _alive_manifest(call, _require(call, "read"))
    parsed = found["parsed"]
    return answers.answer({
        "digest": found["digest"], "is_manifest_list": "manifests" in parsed, "manifest_data": found["content"],
        "config_media_type": parsed.get("config", {}).get("mediaType"), "layers": None,
    })  # fmt: skip


# Labels


def _label_view(item: Row) -> Row:
    return {"id": item["id"], "key": item["key"], "value": item["value"], "source_type": item["source"],
            "media_type": item["media_type"]}  # fmt: skip


def _label(call: Call, repository: Row) -> Row:
    manifest = _alive_manifest(call, repository)
    text = "SELECT * FROM label WHERE repository = ? AND digest = ? AND id = ?"
    found = call.database.one(text, repository["id"], manifest["digest"], call.parameters["labelid"])
    if found is None:
        raise call.not_found()
    return found


def add_label(quay: Quay, repository: Row, digest: str, key: str, value: str, **how: str) -> Row:
    """A label of a manifest."""
    item = {"id": str(uuid.uuid4()), "repository": repository["id"], "digest": digest, "key": key, "value": value,
            "source": "manifest", "media_type": "text/plain", **how}  # fmt: skip
    quay.database.insert("label", **item)
    return item


@routes("GET", _LABELS, "listManifestLabels")
def labels(call: Call) -> web.Response:
    repository = _require(call, "read")
    manifest = _alive_manifest(call, repository)
    text = "SELECT * FROM label WHERE repository = ? AND digest = ? ORDER BY rowid"
    rows = call.database.all(text, repository["id"], manifest["digest"])
    part = call.query.get("filter", "")
    return answers.answer({"labels": [_label_view(row) for row in rows if part in row["key"]]})


@routes("POST", _LABELS, "addManifestLabel")
def label(call: Call) -> web.Response:
    repository = _require(call, "write")
    manifest = _alive_manifest(call, repository)
    body = call.json({"key": "string", "value": "string"}, ("key", "value", "media_type"))
    call.one_of("media_type", body["media_type"], ["text/plain", "application/json", None])
    if body["key"].startswith(_RESERVED):
        raise answers.message(400, "Label has a reserved prefix")
    kind = body["media_type"] or "text/plain"
    item = add_label(
        call.quay, repository, manifest["digest"], body["key"], body["value"], source="api", media_type=kind
    )
    return answers.answer({"label": _label_view(item)}, 201)


@routes("GET", f"{_LABELS}/{{labelid}}", "getManifestLabel")
def one_label(call: Call) -> web.Response:
    return answers.answer(_label_view(_label(call, _require(call, "read"))))


@routes("DELETE", f"{_LABELS}/{{labelid}}", "deleteManifestLabel")
def delete_label(call: Call) -> web.Response:
    found = _label(call, _require(call, "write"))
    if found["source"] == "manifest":
        raise answers.message(400, "Cannot delete immutable label")
    call.database.delete("label", "id", found["id"])
    return answers.answer(None, 204)
