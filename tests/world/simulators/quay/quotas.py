"""Quotas of organizations and users, with limits of two types. A namespace has one quota; limits may be there twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import answers
from .call import Call, Routes
from .database import Row

routes = Routes("QUOTA_MANAGEMENT")
_UNITS = ["Byte", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
_PATTERN = (
    r"^(\d+\s?(B|KiB|MiB|GiB|TiB|PiB|EiB|ZiB|YiB|Ki|Mi|Gi|Ti|Pi|Ei|Zi|Yi|KB|MB|GB|TB|PB|EB|ZB|YB|K|M|G|T|P|E|Z|Y)?)$"
)
_TYPES = ("Warning", "Reject")
_ORGANIZATION = "/api/v1/organization/{orgname}/quota"


def _readable(size: float) -> str:
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.1f} {unit}"


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s?([A-Z]?)(i?)(B?)", text)
    if found is None:
        raise ValueError(text)
    base = 1000 if found[4] and found[2] and not found[3] else 1024
    return int(int(found[1]) * base ** " KMGTPEZY".index(found[2] or " "))


def _limits(call: Call, quota: int) -> list[Row]:
    rows = call.database.all("SELECT * FROM quota_limit WHERE quota = ? ORDER BY percent", quota)
    return [_limit_view(row) for row in rows]


def _limit_view(row: Row) -> Row:
    return {"id": row["id"], "type": row["type"], "limit_percent": row["percent"]}


def _view(call: Call, item: Row) -> Row:
    return {"id": item["id"], "limit_bytes": item["bytes"], "limit": _readable(item["bytes"]), "default_config": False,
            "limits": _limits(call, item["id"]), "default_config_exists": False}  # fmt: skip


def configured(call: Call, namespace: int) -> int | None:
    """The bytes of a namespace's quota."""
    found = call.database.one("SELECT bytes FROM quota WHERE namespace = ?", namespace)
    return found["bytes"] if found else None


def used(call: Call, namespace: int) -> dict[int, int]:
    """The bytes of the blobs in each repository of a namespace that has some."""
    rows = call.database.all(
        "SELECT manifest.* FROM manifest JOIN repository ON repository.id = manifest.repository"
        " WHERE repository.namespace = ?", namespace,
    )  # fmt: skip
    blobs: dict[int, dict[str, int]] = {}
    for row in rows:
        manifest = json.loads(row["content"])
        for blob in [manifest.get("config"), *manifest.get("layers", [])]:
            if blob:
                blobs.setdefault(row["repository"], {})[blob["digest"]] = blob["size"]
    return {repository: sum(sizes.values()) for repository, sizes in blobs.items()}


def shown(call: Call, namespace: Row) -> Row:
    """What an account shows of its quota; nothing where the feature is off."""
    if not call.quay.feature("QUOTA_MANAGEMENT"):
        return {}
    size = sum(used(call, namespace["id"]).values())
    done = "complete" if size else "waiting"
    report = {"quota_bytes": size, "configured_quota": configured(call, namespace["id"]), "running_backfill": done,
              "backfill_status": done}  # fmt: skip
    rows = call.database.all("SELECT * FROM quota WHERE namespace = ?", namespace["id"])
    quotas = [{"id": row["id"], "limit_bytes": row["bytes"], "limits": _limits(call, row["id"])} for row in rows]
    return {"quotas": quotas, "quota_report": report}


def _size(call: Call) -> int:
    """What a body says the size is."""
    body = call.json()
    if "limit" in body and "limit_bytes" in body:
        raise call.invalid_schema(f"{body!r} is valid under each of …", "oneOf")
    if "limit" in body:
        if not re.fullmatch(_PATTERN, str(body["limit"])):
            text = _PATTERN.replace("\\", "\\\\")
            raise call.invalid_schema(f"{body['limit']!r} does not match '{text}'", "pattern")
        return _bytes(body["limit"])
    body = call.json({"limit_bytes": "integer"}, ("limit_bytes",))
    if body.keys() - {"limit_bytes", "limits"}:
        raise call.invalid_schema(f"{{}} is not allowed for {body['limit_bytes']}", "not")
    return int(body["limit_bytes"])


def _organization(call: Call) -> Row:
    """The organization; its quota is changed with super:user and read by its members."""
    if call.request.method != "GET":
        call.allow(call.has("super:user"))
        return call.organization()
    found = call.database.account(call.parameters["orgname"], "organization")
    belongs = found is not None and call.user is not None and bool(call.quay.roles_in(call.user, found))
    call.allow(belongs or call.administers(found) or (found is None and call.full_access))
    if found is None:
        raise call.not_found()
    return found


def _of_superuser(kind: str) -> Callable[[Call], Row]:
    def find(call: Call) -> Row:
        call.allow(call.superuser)
        found = call.database.account(call.parameters["namespace"], kind)
        if found is None:
            raise call.not_found() if call.request.method == "GET" else answers.crash()
        return found

    return find


def _myself(call: Call) -> Row:
    user = call.login()
    call.allow(call.has("user:admin"))
    return user


def _numbered(call: Call, name: str) -> int:
    if not call.parameters[name].isdigit():
        raise answers.crash()
    return int(call.parameters[name])


def _quota(call: Call, find: Callable[[Call], Row]) -> Row:
    namespace = find(call)
    text = "SELECT * FROM quota WHERE namespace = ? AND id = ?"
    found = call.database.one(text, namespace["id"], _numbered(call, "quota_id"))
    if found is None:
        raise call.not_found()
    return found


def _limit(call: Call, find: Callable[[Call], Row]) -> Row:
    text = "SELECT * FROM quota_limit WHERE quota = ? AND id = ?"
    found = call.database.one(text, _quota(call, find)["id"], _numbered(call, "limit_id"))
    if found is None:
        raise call.not_found()
    return found


def _check_limit(kind: Any, percent: Any) -> None:
    if kind not in _TYPES:
        raise answers.message(400, f"Quota type must be one of [{', '.join(_TYPES)}]")
    if not 1 <= percent <= 100:
        raise answers.message(400, "Quota limit threshold must be between 1 and 100")


def _register(path: str, find: Callable[[Call], Row], names: str, reads: bool, writes: bool) -> None:
    """Quotas below a path; ``names`` tells their operations in the discovery document."""

    def listed(call: Call) -> web.Response:
        rows = call.database.all("SELECT * FROM quota WHERE namespace = ?", find(call)["id"])
        return answers.answer([_view(call, row) for row in rows])

    def create(call: Call) -> web.Response:
        namespace, size = find(call), _size(call)
        if call.database.one("SELECT id FROM quota WHERE namespace = ?", namespace["id"]):
            raise call.invalid(f"Organization quota for '{namespace['name']}' already exists")
        call.database.insert("quota", namespace=namespace["id"], bytes=size)
        return answers.answer("Created", 201)

    def one(call: Call) -> web.Response:
        return answers.answer(_view(call, _quota(call, find)))

    def change(call: Call) -> web.Response:
        item = _quota(call, find)
        item["bytes"] = _size(call)
        call.database.update("quota", "id", item["id"], bytes=item["bytes"])
        return answers.answer(_view(call, item))

    def delete(call: Call) -> web.Response:
        call.database.delete("quota", "id", _quota(call, find)["id"])
        return answers.answer(None, 204)

    routes("GET", path, f"list{names}")(listed)
    if reads:
        routes("GET", f"{path}/{{quota_id}}", f"get{names}")(one)
    if writes:
        routes("POST", path, f"create{names}")(create)
        routes("PUT", f"{path}/{{quota_id}}", f"change{names}")(change)
        routes("DELETE", f"{path}/{{quota_id}}", f"delete{names}")(delete)


def _register_limits(path: str, find: Callable[[Call], Row], names: str, writes: bool) -> None:
    item = f"{path}/{{limit_id}}"

    def listed(call: Call) -> web.Response:
        return answers.answer(_limits(call, _quota(call, find)["id"]))

    def one(call: Call) -> web.Response:
        return answers.answer(_limit_view(_limit(call, find)))

    def create(call: Call) -> web.Response:
        quota = _quota(call, find)
        body = call.json({"type": "string", "threshold_percent": "integer"}, ("type", "threshold_percent"))
        _check_limit(body["type"], body["threshold_percent"])
        call.database.insert("quota_limit", quota=quota["id"], type=body["type"], percent=body["threshold_percent"])
        return answers.answer("Created", 201)

    def change(call: Call) -> web.Response:
        quota, found = _quota(call, find), _limit(call, find)
        body = call.json({"type": "string", "threshold_percent": "integer"})
        kind, percent = body.get("type", found["type"]), body.get("threshold_percent", found["percent"])
        _check_limit(kind, percent)
        call.database.update("quota_limit", "id", found["id"], type=kind, percent=percent)
        return answers.answer(_view(call, quota))

    def delete(call: Call) -> web.Response:
        call.database.delete("quota_limit", "id", _limit(call, find)["id"])
        return answers.answer(None, 204)

    routes("GET", path, f"list{names}")(listed)
    routes("GET", item, f"get{names}")(one)
    if writes:
        routes("POST", path, f"create{names}")(create)
        routes("PUT", item, f"change{names}")(change)
        routes("DELETE", item, f"delete{names}")(delete)


_register(_ORGANIZATION, _organization, "OrganizationQuota", reads=True, writes=True)
_register_limits(f"{_ORGANIZATION}/{{quota_id}}/limit", _organization, "OrganizationQuotaLimit", writes=True)
_register("/api/v1/user/quota", _myself, "UserQuota", reads=True, writes=False)
_register_limits("/api/v1/user/quota/{quota_id}/limit", _myself, "UserQuotaLimit", writes=False)
for _kind, _part, _name in (("organization", "organization", "Organization"), ("user", "users", "User")):
    _path = f"/api/v1/superuser/{_part}/{{namespace}}/quota"
    _register(_path, _of_superuser(_kind), f"{_name}QuotaSuperUser", reads=False, writes=True)
