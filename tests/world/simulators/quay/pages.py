"""Lists in pages: ``next_page`` until it is absent."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from . import answers
from .call import Call
from .database import Row


def paged(call: Call, name: str, items: list[Any], size: int | None = None) -> Row:
    """A page of the items. Without ``size`` the caller's ``limit`` decides, and without that everything is one page."""
    limit = size
    if limit is None and "limit" in call.query:
        if not call.query["limit"].isdigit():
            raise answers.message(400, {"limit": "Limit to the number of results to return per page. Max 100."})
        limit = int(call.query["limit"])
        if limit > 100:
            raise call.invalid("Page limit cannot be above 100")
    begin = _position(call.query.get("next_page", ""))
    if limit is None:
        return {name: items}
    page: Row = {name: items[begin : begin + limit]}
    if begin + limit < len(items):
        page["next_page"] = base64.urlsafe_b64encode(f"from {begin + limit}".encode()).decode()
    return page


def _position(token: str) -> int:
    """Where the page begins; garbage is silently page 1."""
    try:
        text = base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError):
        return 0
    return int(text[5:]) if text.startswith("from ") and text[5:].isdigit() else 0
