"""What the report takes for a problem, and how a Quay is reached."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.report import PROBLEMS, Report, problems
from support import run_module

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)


def quay(host: str = "quay.example.com", **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("token", "username", "password", "secret", "ca_cert"))
    return {**nothing, "host": host, "validate_certs": True, **more}


def report(**parts: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"drift": None, "read_at": "2026-11-21T00:00:00Z", "warn_before": 30}
    lists = ("expiry", "failing_imports", "failing_pulls", "quays", "quay_organizations", "quay_mirrors")
    return {**nothing, **{name: [] for name in lists}, **parts}


TAG = {"namespace": "shop", "stream": "app", "tag": "1", "source": "ghcr.io/acme/app:1", "message": "denied"}
SHOWN = {"host": "q", "registry": "quay/quay", "available": True, "message": "", "error": ""}


@pytest.mark.parametrize(
    ("parts", "kind", "text"),
    [
        ({"drift": [{**TAG, "current": "sha256:1"}]}, "drift", "shop/app:1: its source ghcr.io/acme/app:1 has another image by now"),
        ({"drift": [{**TAG, "current": ""}]}, "drift", "shop/app:1: its source ghcr.io/acme/app:1 is gone"),
        ({"failing_imports": [TAG]}, "failing_imports", "shop/app:1 cannot be imported from ghcr.io/acme/app:1: denied"),
        (
            {"quays": [{**SHOWN, "available": False, "message": "No database"}]},
            "failing_quays",
            "Quay quay/quay is not available: No database",
        ),
        ({"quays": [{**SHOWN, "error": "It is away."}]}, "failing_quays", "Quay q cannot be read: It is away."),
        (
            {"quay_organizations": [{"quay": "q", "organization": "acme", "used": 11, "quota": 10, "state": "exceeded"}]},
            "quota_exceeded",
            "Quay q: organization acme uses 11 of 10 bytes",
        ),
        (
            {"quay_mirrors": [{"quay": "q", "organization": "acme", "repository": "base", "source": "ghcr.io/b", "failing": True}]},
            "failing_mirrors",
            "Quay q: acme/base could not be mirrored from ghcr.io/b",
        ),
    ],
)  # fmt: skip
def test_what_is_a_problem(parts: dict[str, Any], kind: str, text: str) -> None:
    assert problems(report(**parts), NOW) == [{"kind": kind, "text": text}]


def test_what_is_none() -> None:
    organization = {"quay": "q", "organization": "acme", "used": 9, "quota": 10, "state": "warning"}
    mirror = {"quay": "q", "organization": "acme", "repository": "base", "source": "ghcr.io/b", "failing": False}
    well = report(drift=[], quays=[SHOWN, {**SHOWN, "available": None}], quay_organizations=[organization])
    assert problems({**well, "quay_mirrors": [mirror]}, NOW) == []


def test_problems_are_in_the_order_of_the_page() -> None:
    everything = report(
        expiry=[
            {"kind": "token", "name": "a", "not_after": "2026-12-01T00:00:00Z"},
            {"kind": "token", "name": "b", "not_after": "2026-11-01T00:00:00Z"},
        ],
        drift=[{**TAG, "current": ""}],
        failing_imports=[TAG],
        failing_pulls=[{"pods": 1, "image": "x", "summary": "y"}],
        quays=[{**SHOWN, "error": "z"}],
        quay_organizations=[{"quay": "q", "organization": "a", "used": 2, "quota": 1, "state": "exceeded"}],
        quay_mirrors=[{"quay": "q", "organization": "a", "repository": "b", "source": "c", "failing": True}],
    )
    assert [item["kind"] for item in problems(everything, NOW)] == list(PROBLEMS)


@pytest.mark.parametrize(
    ("quays", "message"),
    [
        ([quay()], "quays[0]: give username and password, token, or the secret that keeps them."),
        ([quay(username="ann")], "quays[0]: give username and password, token, or the secret that keeps them."),
        (
            [quay("ftp://quay", token="t")],
            "quays[0]: quay_host: 'ftp://quay' is neither a host nor a URL of https or http.",
        ),
        (
            [quay(token="t"), quay("https://quay.example.com/", token="t")],
            "quays[1]: quay.example.com is listed before. List each Quay once.",
        ),
        (
            [quay(secret={"name": "Kept!", "namespace": "quay"})],
            "quays[0].secret.name: 'Kept!'",
        ),
    ],
)
def test_a_quay_that_cannot_be_meant(quays: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Report({"warn_before": 30, "drift": False, "quays": quays})
    assert str(caught.value).startswith(message)


def test_passwords_are_in_no_failure() -> None:
    given = {"host": "quay.example.com", "username": "ann", "password": "s3cr3t-Pa55word", "surprise": True}
    result = run_module("registry_report_info", quays=[given])
    assert result["failed"] and "surprise" in result["msg"]
    assert "s3cr3t-Pa55word" not in str(result)
