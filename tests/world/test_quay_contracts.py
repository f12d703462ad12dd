"""The simulated Quay answers as Project Quay 3.18.0 was recorded to (``recordings/quay.jsonl``; its secrets are thrown away).

A sitting is a Quay from nothing and a sequence of calls. What differs every time (identifiers, secrets, hashes, times) is
compared by its presence; identifiers that later calls speak of are replaced by ours.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from clusters import new_project
from quays import RunningQuay, quay_in
from registries import skopeo

from world.images import tiny_image
from world.simulators.quay import Quay
from world.world import World

RECORDINGS = Path(__file__).with_name("recordings")
CALLS = [json.loads(line) for line in (RECORDINGS / "quay.jsonl").read_text().splitlines()]
SITTINGS = {name: list(calls) for name, calls in itertools.groupby(CALLS, lambda call: call["sitting"])}
CONFIGS: dict[str, dict[str, Any]] = {
    "initialize off": {"FEATURE_USER_INITIALIZE": False},
    "another authentication": {"AUTHENTICATION_TYPE": "AppToken"},
    "mailing": {"FEATURE_MAILING": True},
    "organization mirror": {"SSRF_ALLOWED_HOSTS": ["127.0.0.1"]},
    "browser": {"BROWSER_API_CALLS_XHR_ONLY": True},
    "no anonymous access": {"FEATURE_ANONYMOUS_ACCESS": False},
}
#: What was changed in the configuration before a call.
CHANGES: dict[int, dict[str, Any]] = {
    328: {"SSRF_ALLOWED_HOSTS": ["127.0.0.1"]},
    578: {"FEATURE_SUPERUSERS_FULL_ACCESS": False},
    590: {"REGISTRY_STATE": "readonly"},
    596: dict.fromkeys([f"FEATURE_{name}" for name in (
        "QUOTA_MANAGEMENT", "PROXY_CACHE", "AUTO_PRUNE", "IMMUTABLE_TAGS", "REPO_MIRROR",
    )], False),
}  # fmt: skip
#: Told apart from run to run by nothing but chance.
CHANCE = {
    "access_token", "client_id", "client_secret", "color", "created", "creation_date", "csrf_token", "encrypted_password",
    "expires_at", "hash", "last_modified", "manifest_digest", "next_page", "password", "start_ts", "status_token", "token",
    "token_code", "uuid",
}  # fmt: skip
LATER = {"client_id", "id", "manifest_digest", "password", "uuid"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


class Sitting:
    """A client that makes recorded calls again."""

    def __init__(self, running: RunningQuay) -> None:
        self.running = running
        self.token = self.scoped = self.csrf = self.old_csrf = ""
        self.robot: dict[str, str] = {}
        self.ours: dict[str, str] = {}
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, recorded: dict[str, Any]) -> requests.Response:
        headers: dict[str, str] = {}
        how = recorded["as"]
        bearer = {"token": self.token, "bad": "NOSUCHTOKEN", "lower": self.token, "scoped": self.scoped}.get(how)
        if bearer is not None:
            headers["Authorization"] = f"{'bearer' if how == 'lower' else 'Bearer'} {bearer}"
        if how.startswith("chrome"):
            headers.update({"Authorization": f"Bearer {self.token}", "User-Agent": CHROME})
            if how == "chrome xhr":
                headers["X-Requested-With"] = "XMLHttpRequest"
        logins = {"basic": ("quayadmin", "quaypass12345"), "malformed": ("", ""), "user": ("quayadmin", "quaypass12345"),
                  "robot": (self.robot.get("name"), self.robot.get("token")), "robot wrong": (self.robot.get("name"), "x"),
                  "oauth": ("$oauthtoken", self.token)}  # fmt: skip
        if how in logins:
            basic = base64.b64encode(":".join(map(str, logins[how])).encode()).decode()
            headers["Authorization"] = "Bearer" if how == "malformed" else f"Basic {basic}"
        csrf = {"session": self.csrf, "old csrf": self.old_csrf, "wrong csrf": "wrong"}.get(how)
        if csrf:
            headers["X-CSRF-Token"] = csrf
        request = recorded["request"]
        body = json.dumps(request) if isinstance(request, (dict, list)) else request
        if body is not None and recorded["status"] != 415:
            form = recorded["path"].startswith("/oauth/")
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        if how in ("none", "nobody"):
            self.session.cookies.clear()
        client = self.session if how in ("session", "no csrf", "old csrf", "wrong csrf", "none") else requests
        answer = client.request(
            recorded["method"], self.running.url + self._put_ours(recorded["path"]), data=self._put_ours(body),
            headers=headers, allow_redirects=False,
        )  # fmt: skip
        self._learn(recorded, answer)
        return answer

    def _put_ours(self, text: str | None) -> Any:
        for theirs, ours in self.ours.items():
            text = text and text.replace(theirs, ours)
        return text

    def _learn(self, recorded: dict[str, Any], answer: requests.Response) -> None:
        if "X-Next-CSRF-Token" in answer.headers:
            self._new_csrf(answer.headers["X-Next-CSRF-Token"])
        if not (answer.headers.get("Content-Type", "").startswith("application/json") and answer.content):
            location = answer.headers.get("Location", "")
            if "#access_token=" in location:
                self.token = location.partition("#access_token=")[2].partition("&")[0]
            return
        content = answer.json()
        if isinstance(content, dict):
            self.token = content.get("access_token", self.token)
            if "csrf_token" in content:
                self._new_csrf(content["csrf_token"])
            if "+" in str(content.get("name")) and "token" in content:
                self.robot = content
            if content.get("scope") == "repo:read" and "token" in content:
                self.scoped = content["token"]
        pair(recorded["response"], content, self.ours)

    def _new_csrf(self, value: str) -> None:
        self.old_csrf, self.csrf = self.csrf, value
        recorded = "4puwD-DOmxe-ANerEU743fPCRcO2_XEXiIdStab69oj1I2adCi-5821GJn914rGT"
        self.ours.update({recorded: value, "q9u96_z0Ys0sNDl6QxgGU3NlfdzniDAML0tFs4vPJeRLGJRlmhIVZ_tSmpAaEK2q": value})


def pair(theirs: Any, ours: Any, found: dict[str, str]) -> None:
    """Which of our identifiers stands for which recorded one."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() & ours.keys():
            if key in LATER and isinstance(theirs[key], str):
                found.setdefault(theirs[key], ours[key])
            pair(theirs[key], ours[key], found)
    elif isinstance(theirs, list) and isinstance(ours, list):
        for one, other in zip(theirs, ours, strict=False):
            pair(one, other, found)


def comparable(value: Any, key: str = "") -> Any:
    """An answer without what is chance, and lists in an order of their own."""
    if isinstance(value, dict):
        return {name: comparable(item, name) for name, item in value.items() if name != "_truncated"}
    if isinstance(value, list):
        return sorted((comparable(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if key in CHANCE and value is not None:
        return "…"
    if isinstance(value, str):
        if key in ("detail", "error_message"):
            value = value.partition("\n")[0].partition(" under each of ")[0]
        if "<html" in value:
            return re.findall(r"<title>(.*?)</title>", value.replace("\n", " "))[:1]
        return UUID.sub("…", re.sub(r"(127\.0\.0\.1|localhost):\d+", "HOST", value)).strip()
    return value


def content_of(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text


@pytest.mark.parametrize("name", SITTINGS)
def test_sitting(name: str, tmp_path: Path) -> None:
    with RunningQuay(tmp_path, CONFIGS.get(name)) as running:
        running.quay.upstreams["127.0.0.1:18082"] = {("", "")}
        sitting, wrong = Sitting(running), list[str]()
        for recorded in SITTINGS[name]:
            running.quay.config.update(CHANGES.get(recorded["n"], {}))
            if recorded["n"] == 635:
                for number in range(3):
                    running.quay.push("imgs", "app", f"v{number}", {"n": str(number)})
            if recorded["n"] == 645:
                sitting.ours["1797811707"] = str(int(time.time()) + 86400)
            if recorded["n"] == 491:
                running.quay.skew += 1  # what the real one took to say no
            answer = sitting.call(recorded)
            what = f"{recorded['n']} {recorded['case']}: {recorded['method']} {recorded['path']}"
            wrong += [f"{what}: {text}" for text in differences(recorded, answer)]
    assert not wrong, "\n".join(wrong)


def differences(recorded: dict[str, Any], answer: requests.Response) -> Iterator[str]:
    """What is not as it was recorded."""
    wanted = {"status": recorded["status"], **recorded["headers"]}
    location = wanted.pop("location", None)
    if recorded["status"] == 204:
        wanted.pop("content-type")
    shown = {"status": answer.status_code, **{key: answer.headers.get(key) for key in wanted if key != "status"}}
    if comparable(shown) != comparable(wanted):
        yield f"{shown} {answer.text[:300]}, not {wanted}"
    if location and recorded["status"] == 302:
        theirs, ours = urlsplit(location), urlsplit(answer.headers["Location"])
        if (theirs.path, theirs.query) != (ours.path, ours.query):
            yield f"{ours}, not {theirs}"
        if not ours.fragment.endswith("&token_type=Bearer&expires_in=315576000"):
            yield ours.fragment
    if recorded["response"] is not None or not answer.content:
        expected, found = comparable(_or_nothing(recorded["response"])), comparable(content_of(answer))
        if found != expected:
            yield f"{found}, not {expected}"


def _or_nothing(response: Any) -> Any:
    return "" if response is None else response


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningQuay]:
    with RunningQuay(tmp_path / "quay", images=True) as quay:
        yield quay


def initialize(running: RunningQuay, name: str = "quayadmin") -> requests.Response:
    body = {"username": name, "password": "quaypass12345", "access_token": True}
    return requests.post(f"{running.url}/api/v1/user/initialize", json=body)


def test_calls_to_initialize_at_the_same_time_make_several_users(running: RunningQuay) -> None:
    running.quay.initialize_takes = 0.3
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda number: initialize(running, f"user{number}").status_code, range(6)))
    assert statuses.count(200) > 1
    assert len(running.names()) == statuses.count(200)


def test_wrong_passwords_are_throttled(running: RunningQuay) -> None:
    initialize(running)
    session = requests.Session()
    csrf = session.get(f"{running.url}/csrf_token").json()["csrf_token"]

    def sign_in(password: str) -> requests.Response:
        body = {"username": "quayadmin", "password": password}
        return session.post(f"{running.url}/api/v1/signin", json=body, headers={"X-CSRF-Token": csrf})

    assert sign_in("wrong").status_code == 403
    refused = sign_in("quaypass12345")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "0")
    assert refused.text.startswith("Too many login attempts.")
    running.quay.skew += 1
    assert sign_in("quaypass12345").json() == {"success": True}


def test_a_token_ends(running: RunningQuay) -> None:
    token = initialize(running).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    def who() -> int:
        return requests.get(f"{running.url}/api/v1/user/", headers=headers).status_code

    running.quay.skew = 8990
    assert who() == 200
    running.quay.skew = 9010
    assert who() == 401


def test_every_route_is_a_recorded_one(tmp_path: Path) -> None:
    recorded = json.loads((RECORDINGS / "quay_discovery.json").read_text())
    was_off = {"MAILING", "TEAM_SYNCING"}
    for route in Quay(tmp_path).routes:
        if route.documented and route.feature not in was_off:
            assert recorded[route.path][route.method.lower()] == route.documented


def test_an_older_quay_has_no_tokens_by_name(tmp_path: Path) -> None:
    path = "/api/v1/organization/{orgname}/applications/{client_id}/tokens"
    for named in (True, False):
        with RunningQuay(tmp_path / str(named), named_tokens=named) as running:
            paths = requests.get(f"{running.url}/api/v1/discovery").json()["paths"]
            assert (path in paths) == named
            answer = requests.post(f"{running.url}/api/v1/organization/acme/applications/X/tokens", json={})
            assert answer.status_code == (403 if named else 405)


def test_robots_and_users_push_with_real_clients(running: RunningQuay, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {initialize(running).json()['access_token']}"}
    requests.post(f"{running.url}/api/v1/organization/", json={"name": "acme"}, headers=headers)
    robots = f"{running.url}/api/v1/organization/acme/robots"
    robot = requests.put(f"{robots}/pusher", json={}, headers=headers).json()
    image = tiny_image(tmp_path / "image")
    target = f"docker://{running.host}/acme/app:1"

    def push(credentials: str, where: str) -> None:
        skopeo("copy", "--dest-tls-verify=false", f"--dest-creds={credentials}", image, where)

    with pytest.raises(AssertionError, match=r"unauthorized|denied|authentication"):
        push(f"{robot['name']}:{robot['token']}", target)
    push("quayadmin:quaypass12345", target)
    permission = f"{running.url}/api/v1/repository/acme/app/permissions/user/{robot['name']}"
    requests.put(permission, json={"role": "write"}, headers=headers).raise_for_status()
    push(f"{robot['name']}:{robot['token']}", target)
    push("quayadmin:quaypass12345", f"docker://{running.host}/quayadmin/first:1")
    with pytest.raises(AssertionError, match=r"Could not find robot|unauthorized|authentication"):
        push(f"{robot['name']}:wrong", target)
    login = ["--src-tls-verify=false", f"--src-creds={robot['name']}:{robot['token']}"]
    skopeo("copy", *login, target, f"dir:{tmp_path / 'pulled'}")


def test_a_quay_behind_the_router_is_reached_over_verified_tls(world: World, tmp_path: Path) -> None:
    with new_project(world) as namespace, quay_in(world, namespace) as (host, quay):
        body = {"username": "quayadmin", "password": "quaypass12345"}
        made = requests.post(f"https://{host}/api/v1/user/initialize", json=body, verify=str(world.ca_bundle))
        assert made.status_code == 200
        auth_file, certificates = tmp_path / "auth.json", tmp_path / "certs.d"
        (certificates / host).mkdir(parents=True)
        (certificates / host / "ca.crt").write_bytes(world.ca_bundle.read_bytes())
        podman = ["podman", "login", "--cert-dir", certificates / host, "--authfile", auth_file, host]
        login = subprocess.run([*podman, "-u", "quayadmin", "--password-stdin"], input=b"quaypass12345", check=False)
        assert login.returncode == 0
        image = tiny_image(tmp_path / "image")
        arguments = ["--dest-cert-dir", certificates / host, "--dest-authfile", auth_file]
        skopeo("copy", *arguments, image, f"docker://{host}/quayadmin/app:1")
        owner = quay.database.account("quayadmin") or {}
        assert quay.repository(owner, "app")
