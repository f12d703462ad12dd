"""``/api/v1/discovery``: which paths and methods there are. What the web interface uses for itself is not in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from .call import Route


def document(routes: Iterable[Route], request: web.BaseRequest) -> dict[str, Any]:
    """Swagger 2.0, as far as clients read it."""
    paths: dict[str, Any] = {}
    for route in routes:
        if route.documented:
            entry = paths.setdefault(route.path, {"x-path": route.path})
            entry[route.method.lower()] = {"operationId": route.documented}
    return {
        "swagger": "2.0", "host": request.headers.get("Host", ""), "basePath": "/", "schemes": [request.scheme],
        "info": {"version": "v1", "title": "Quay Frontend"}, "paths": paths,
    }  # fmt: skip
