"""The connection to Quay: sessions, retries, pages, and errors that say what to do."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from quays import RunningQuay
from registries import free_port

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import (
    MissingApi,
    Quay,
    QuayError,
    Server,
    SignInRefused,
    connect,
    explain,
)
from world.pki import Authority

PASSWORD = "quaypass12345"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningQuay]:
    with RunningQuay(tmp_path / "quay") as quay:
        yield quay


def first_user(running: RunningQuay, **options: Any) -> str:
    """A user, and a token of two and a half hours."""
    body = {"username": "quayadmin", "password": PASSWORD, "access_token": True}
    return str(requests.post(f"{running.url}/api/v1/user/initialize", json=body, **options).json()["access_token"])


def options(url: str, **more: Any) -> dict[str, Any]:
    nothing = {"quay_token": None, "quay_username": None, "quay_password": None, "quay_ca_cert": None}
    return {"quay_host": url, "quay_validate_certs": True, **nothing, **more}


@contextmanager
def answering(
    status: int, body: str, headers: Mapping[str, str] | None = None, first: int = 1
) -> Iterator[tuple[str, list[str]]]:
    """A server that gives this answer ``first`` times, and ``{}`` after that; its URL, and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            early = len(asked) <= first
            content = (body if early else "{}").encode()
            self.send_response(status if early else 200)
            for name, value in {**(headers or {} if early else {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_a_session_is_signed_in_once_and_repeats_the_csrf_token(running: RunningQuay) -> None:
    first_user(running)
    with connect(options(running.url, quay_username="quayadmin", quay_password=PASSWORD)) as quay:
        quay.request("POST", "/api/v1/organization/", {"name": "acme"})
        quay.request("DELETE", "/api/v1/organization/acme")
        assert quay.request("GET", "/api/v1/user/")["username"] == "quayadmin"
    assert running.quay.requests[1:3] == ["GET /csrf_token", "POST /api/v1/signin"]
    assert len(running.quay.requests) == 6


def test_a_token_is_enough(running: RunningQuay) -> None:
    with connect(options(running.url, quay_token=first_user(running))) as quay:
        quay.request("POST", "/api/v1/organization/", {"name": "acme"})
    assert running.names("organization") == ["acme"]


def test_every_option_has_an_environment_variable(running: RunningQuay) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.quay.client import CONNECTION

    assert all(spec["fallback"][1] == [name.upper()] for name, spec in CONNECTION.items())
    with pytest.raises(InputError, match="quay_token, or quay_username and quay_password"):
        connect(options(running.url))


def test_a_wrong_password_and_throttling(running: RunningQuay) -> None:
    first_user(running)
    quay = Quay(Server(running.url))
    with pytest.raises(SignInRefused, match=r"sign in as quayadmin at http://localhost.*does not accept"):
        quay.sign_in("quayadmin", "wrong")
    quay.sign_in("quayadmin", PASSWORD)  # Quay refuses it for half a second after the wrong one: tried again
    assert quay.user == "quayadmin"


def test_pages_are_followed_until_there_is_no_next(running: RunningQuay) -> None:
    token = first_user(running)
    database = running.quay.database
    owner = (database.account("quayadmin") or {})["id"]
    for number in range(205):
        database.insert("repository", namespace=owner, name=f"r{number}", is_public=0, status_token="x")
    quay = Quay(Server(running.url))
    quay.use_token(token)
    before = len(running.quay.requests)
    found = quay.pages("/api/v1/repository?namespace=quayadmin", "repositories")
    assert [item["name"] for item in found] == [f"r{number}" for number in range(205)]
    assert len(running.quay.requests) - before == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        (
            "GET",
            "/api/v1/user/",
            None,
            "Requires authentication. Quay does not accept the token: it is wrong, has expired",
        ),
        (
            "POST",
            "/api/v1/organization/",
            {"name": "x"},
            "CSRF token.*does not accept the token: it is wrong, has expired",
        ),
    ],
)
def test_a_bad_token_is_called_that_also_where_quay_speaks_of_csrf(
    running: RunningQuay, method: str, path: str, body: Any, says: str
) -> None:
    quay = Quay(Server(running.url))
    quay.use_token("NOSUCH")
    with pytest.raises(QuayError, match=says):
        quay.request(method, path, body, about="do it")


def test_a_feature_that_is_off_is_called_that(running: RunningQuay) -> None:
    running.quay.config["FEATURE_QUOTA_MANAGEMENT"] = False
    quay = Quay(Server(running.url))
    quay.use_token(first_user(running))
    for method in ("GET", "POST"):
        with pytest.raises(MissingApi, match=r"there is no /api/v1/organization/x/quota.*feature is switched off"):
            quay.request(method, "/api/v1/organization/x/quota", {} if method == "POST" else None)


def test_a_quay_that_is_read_only_and_one_that_crashes(running: RunningQuay) -> None:
    quay = Quay(Server(running.url))
    quay.use_token(first_user(running))
    with pytest.raises(QuayError, match=r"Internal Server Error\. See Quay's log\."):
        quay.request("DELETE", "/api/v1/repository/nosuch/nosuch")
    running.quay.config["REGISTRY_STATE"] = "readonly"
    with pytest.raises(QuayError, match=r"currently read-only.*REGISTRY_STATE: normal"):
        quay.request("POST", "/api/v1/organization/", {"name": "acme"})


def test_browser_api_calls_xhr_only_does_not_matter(running: RunningQuay) -> None:
    running.quay.config["BROWSER_API_CALLS_XHR_ONLY"] = True
    quay = Quay(Server(running.url))
    quay._session.headers["User-Agent"] = "Mozilla/5.0 Chrome"
    quay.use_token(first_user(running))
    assert quay.request("GET", "/api/v1/user/")["username"] == "quayadmin"
    del quay._session.headers["X-Requested-With"]
    with pytest.raises(QuayError, match="BROWSER_API_CALLS_XHR_ONLY: false"):
        quay.request("GET", "/api/v1/user/")


@pytest.mark.parametrize(
    ("body", "says", "kind"),
    [
        (
            '{"detail": "Not Found", "error_message": "Not Found", "error_type": "not_found", "status": 404}',
            "Not Found",
            "not_found",
        ),
        ('{"message": "Invalid tag expiration option."}', "Invalid tag expiration option", ""),
        ('{"message": {"limit": "Max 100."}}', "limit: Max 100", ""),
        ('{"error": "CSRF token was invalid or missing."}', "CSRF token was invalid or missing", ""),
        ('{"detail": "Mirror exists"}', "Mirror exists", ""),
        ("<html><head><title>429 Too Many Requests</title></head></html>", "429 Too Many Requests", ""),
        ("Too many login attempts. \nPlease reset", "Too many login attempts. Please reset", ""),
        (
            '{"detail": "\'name\' is a required property\\n\\nFailed validating in schema:\\n  {}"}',
            "'name' is a required property",
            "",
        ),
        ('"Created"', "Created", ""),
        ("", "HTTP status 400", ""),
    ],
)
def test_each_form_of_an_error_body_becomes_one_line(body: str, says: str, kind: str) -> None:
    assert explain(body, 400) == (says, kind)


def test_a_web_page_is_no_quay() -> None:
    page = "<!DOCTYPE html><html>Log in with OpenShift</html>"
    says = r"answered a web page\. Check that quay_host"
    with answering(200, page) as (url, _asked), pytest.raises(QuayError, match=says):
        Quay(Server(url)).request("GET", "/api/v1/discovery")


@pytest.mark.parametrize(
    ("status", "method", "times"),
    [(429, "POST", 2), (429, "GET", 2), (503, "GET", 2), (503, "POST", 1), (500, "GET", 1)],
)
def test_only_what_is_safe_is_tried_again(status: int, method: str, times: int) -> None:
    with answering(status, json.dumps({"message": "no"}), {"Retry-After": "0"}) as (url, asked):
        try:
            Quay(Server(url)).request(method, "/api/v1/x")
        except QuayError as error:
            assert error.status == status
        assert len(asked) == times


def test_nobody_there() -> None:
    port = free_port()
    says = rf"^Quay at http://localhost:{port} cannot be reached: .*refused\. Check quay_host"
    with pytest.raises(RegistryError, match=says) as caught:
        Quay(Server(f"http://localhost:{port}")).request("GET", "/csrf_token")
    assert "object at" not in str(caught.value)


def test_the_certificate_is_verified_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, other = Authority.create("Right"), Authority.create("Wrong")
    right, _key = authority.write(tmp_path, "right")
    wrong, _key = other.write(tmp_path, "wrong")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wrong))
    with RunningQuay(tmp_path / "quay", authority=authority) as running:
        first_user(running, verify=str(right))
        verified = options(running.host, quay_ca_cert=str(right))
        assert Quay(Server.of(verified)).request("GET", "/csrf_token")
        assert Quay(Server.of({**verified, "quay_ca_cert": right.read_text()})).request("GET", "/csrf_token")
        assert Quay(Server.of({**verified, "quay_validate_certs": False})).request("GET", "/csrf_token")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(right))
        with pytest.raises(RegistryError, match=r"could not be verified: .*Set quay_ca_cert"):
            Quay(Server.of({**verified, "quay_ca_cert": str(wrong)})).request("GET", "/csrf_token")
    with RunningQuay(tmp_path / "plain") as running, pytest.raises(RegistryError, match="No TLS connection with Quay"):
        Quay(Server.of(options(running.host))).request("GET", "/csrf_token")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"quay_host": "ftp://quay.example.com"}, "neither a host nor a URL"),
        ({"quay_host": "https://quay.example.com/api"}, "quay_host"),
        ({"quay_host": "quay example"}, "quay_host"),
        (
            {"quay_ca_cert": "/nonexistent"},
            "neither certificates .PEM. nor a file where this module runs: /nonexistent",
        ),
    ],
)
def test_a_server_that_cannot_be_meant(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Server.of({**options("quay.example.com"), **given})


def test_a_host_may_be_a_url() -> None:
    assert Server.of(options("https://quay.example.com/")).host == "quay.example.com"
    assert Server.of(options("quay.example.com:8443")).url == "https://quay.example.com:8443"
