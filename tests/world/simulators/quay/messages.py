"""Messages to everybody, shown by the web interface. Deleting one that is not there succeeds."""

from __future__ import annotations

import uuid

from aiohttp import web

from . import answers
from .call import Call, Routes

routes = Routes()


@routes("GET", "/api/v1/messages", "getGlobalMessages")
def messages(call: Call) -> web.Response:
    return answers.answer({"messages": call.database.all("SELECT * FROM message ORDER BY rowid")})


@routes("POST", "/api/v1/messages", "createGlobalMessage")
def create(call: Call) -> web.Response:
    call.allow(call.superuser)
    body = call.json({"message": "object"}, ("message",))["message"]
    for name in ("content", "media_type", "severity"):
        if name not in body:
            raise call.invalid_schema(f"{name!r} is a required property", "required")
    call.one_of("media_type", body["media_type"], ["text/plain", "text/markdown"])
    call.one_of("severity", body["severity"], ["info", "warning", "error"])
    values = {key: body[key] for key in ("content", "severity", "media_type")}
    call.database.insert("message", uuid=str(uuid.uuid4()), **values)
    return web.Response(status=201, headers={"Content-Type": answers.HTML})


@routes("DELETE", "/api/v1/message/{uuid}", "deleteGlobalMessage")
def delete(call: Call) -> web.Response:
    call.allow(call.superuser)
    call.database.delete("message", "uuid", call.parameters["uuid"])
    return web.Response(status=204, headers={"Content-Type": answers.HTML})
