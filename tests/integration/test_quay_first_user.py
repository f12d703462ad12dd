"""The first user: made, kept, renewed; and found again after every interruption."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from clusters import names, new_project, path, summaries
from quays import RunningQuay, quay_in
from registries import free_port, skopeo

from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.openshift import kept_secret
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay
from staging import ROOT
from support import run_module
from world.images import tiny_image
from world.simulators.quay.database import hashed
from world.world import World

DAY = 24 * 3600
PLACES = ("secret", "file", "both")
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


class Place:
    """One Quay, and what keeps its first user's credentials."""

    def __init__(
        self, world: World, running: RunningQuay, kinds: str, project: str, folder: Path, number: int = 0
    ) -> None:
        self.world, self.running, self.project, self.name = world, running, project, f"first-user-{number}"
        self.options: dict[str, Any] = {}
        self.file = folder / f"kept-{number}" / "quay.json"
        if kinds in ("secret", "both"):
            self.options["secret"] = {"name": self.name, "namespace": project}
            self.options["kubeconfig"] = str(world.admin_kubeconfig)
        if kinds in ("file", "both"):
            self.options["file"] = str(self.file)

    def run(self, **params: Any) -> dict[str, Any]:
        return run_module("quay_first_user", **{"quay_host": self.running.url, **self.options, **params})

    def kept(self) -> dict[str, str]:
        """What is stored; the same in both places."""
        found = []
        if "secret" in self.options:
            data = self.secret()["data"]
            found.append({key: base64.b64decode(value).decode() for key, value in data.items()})
        if "file" in self.options:
            found.append(json.loads(self.file.read_text()))
            assert stat.S_IMODE(self.file.stat().st_mode) == 0o600
            assert [entry.name for entry in self.file.parent.iterdir()] == ["quay.json"]
        assert all(one == found[0] for one in found)
        return found[0]

    def secret(self) -> dict[str, Any]:
        item: dict[str, Any] = self.world.plane.admin.request("GET", path("secrets", self.project, self.name))
        return item

    def tokens(self) -> list[str]:
        """The secrets of all tokens that are good now."""
        rows = self.running.quay.database.all("SELECT secret, expires FROM token")
        return [row["secret"] for row in rows if row["expires"] > self.running.quay.now()]

    def check(self) -> dict[str, str]:
        """The one state that every story ends in."""
        kept = self.kept()
        assert self.running.names() == ["quayadmin"]
        assert self.running.names("organization") == ["automation"]
        assert self.tokens() == [kept["token"]]
        assert len(self.running.quay.database.all("SELECT client_id FROM application")) == 1
        headers = {"Authorization": f"Bearer {kept['token']}"}
        answer = requests.get(f"{self.running.url}/api/v1/superuser/users/", headers=headers)
        assert [user["username"] for user in answer.json()["users"]] == ["quayadmin"]
        assert "unfinished" not in kept
        if "secret" in self.options:
            assert kept_secret.CLAIM not in (self.secret()["metadata"].get("annotations") or {})
        return kept


@pytest.fixture(params=[True, False], ids=["current", "older"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningQuay]:
    with RunningQuay(tmp_path / "quay", named_tokens=request.param) as quay:
        yield quay


@pytest.fixture
def current(tmp_path: Path) -> Iterator[RunningQuay]:
    with RunningQuay(tmp_path / "quay") as quay:
        yield quay


@pytest.fixture
def place(world: World, current: RunningQuay, project: str, tmp_path: Path) -> Place:
    return Place(world, current, "both", project, tmp_path)


MADE = ["create User quayadmin", "create Organization automation", "create OAuthApplication quayside.registry",
        "create OAuthToken quayadmin"]  # fmt: skip


@pytest.mark.parametrize("kinds", PLACES)
def test_from_nothing_check_mode_predicts_and_the_second_run_asks_once(
    world: World, running: RunningQuay, project: str, tmp_path: Path, kinds: str
) -> None:
    place = Place(world, running, kinds, project, tmp_path)
    stores = [f"Secret {place.name}"] * (kinds != "file") + [f"File {place.file}"] * (kinds != "secret")
    predicted = place.run(check=True)
    assert summaries(predicted) == [f"create {store}" for store in stores] + MADE + [
        f"update {store}" for store in stores
    ]
    assert not running.names()
    assert place.name not in names(world, "secrets", project)
    assert not place.file.parent.exists()
    made = place.run()
    assert (made["changes"], made["diff"]) == (predicted["changes"], predicted["diff"])
    assert made["reason"] == "Quay has no user yet"
    kept = place.check()
    assert all(kept[key] not in json.dumps(made) for key in ("password", "token", "token_id"))
    assert len(kept["password"]) == 32
    before, mark = len(running.quay.requests), world.mark()
    for check in (False, True):
        again = place.run(check=check)
        assert summaries(again) == []
        assert again["token_expires"] == kept["token_expires"] == made["token_expires"]
    assert running.quay.requests[before:] == ["GET /api/v1/superuser/users/"] * 2
    assert [request.verb for request in world.requests(mark)] == ["get", "get"] * (kinds != "file")
    assert place.kept() == kept


# Interruption


class Killed(BaseException):
    """The process is gone: nothing is cleaned up."""


class Killer:
    """Ends a run after so many writes, to Quay, the cluster and files; a dead process says nothing more to anybody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.dead = 10**6, False
        self.written: list[str] = []
        ours = self

        def wrap(owner: Any, name: str, describe: Callable[..., str | None]) -> None:
            real = getattr(owner, name)

            def call(*args: Any, **kwargs: Any) -> Any:
                if ours.dead:
                    raise Killed
                result = real(*args, **kwargs)
                what = describe(*args)
                if what:
                    ours.written.append(what)
                    ours.left -= 1
                    if not ours.left:
                        ours.dead = True
                        raise Killed
                return result

            monkeypatch.setattr(owner, name, call)

        wrap(Quay, "_send", lambda _self, method, path, *_rest: None if method == "GET" else f"{method} {path}")
        wrap(Cluster, "_send", lambda _self, method, path, *_rest: None if method == "GET" else f"{method} {path}")
        wrap(Files, "write", lambda _self, change: f"write {change.path}")
        monkeypatch.setattr(kept_secret, "is_alive", lambda _holder: False)

    def kill(self, after: int, run: Callable[[], Any]) -> bool:
        """Whether the run was ended by it."""
        self.left, self.dead, self.written = after, False, []
        try:
            run()
        except Killed:
            return True
        finally:
            self.left, self.dead = 10**6, False
        return False


@pytest.mark.parametrize("kinds", PLACES)
@pytest.mark.parametrize("named", [True, False], ids=["current", "older"])
def test_killed_after_each_write_of_the_first_run(
    world: World, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool, kinds: str
) -> None:
    killer = Killer(monkeypatch)
    writes = 0
    while True:
        writes += 1
        with RunningQuay(tmp_path / f"quay-{writes}", named_tokens=named) as running:
            place = Place(world, running, kinds, project, tmp_path, writes)
            killed = killer.kill(writes, place.run)
            finished = place.run()
            assert not finished.get("failed"), (writes, killer.written, finished["msg"])
            place.check()
            assert summaries(place.run()) == []
            if not killed:
                break
    # look for users, initialize, sign in, organization, application, token, and the stores twice
    assert writes - 1 == 6 + {"secret": 2, "file": 2, "both": 4}[kinds] + (kinds != "file"), killer.written


@pytest.mark.parametrize("kinds", PLACES)
@pytest.mark.parametrize("named", [True, False], ids=["current", "older"])
def test_killed_after_each_write_of_a_renewal(
    world: World, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool, kinds: str
) -> None:
    killer = Killer(monkeypatch)
    writes = 0
    while True:
        writes += 1
        with RunningQuay(tmp_path / f"quay-{writes}", named_tokens=named) as running:
            place = Place(world, running, kinds, project, tmp_path, writes)
            place.run()
            password, token = (place.kept()[key] for key in ("password", "token"))
            killed = killer.kill(writes, lambda place=place: place.run(force_renew=True))
            finished = place.run()
            assert not finished.get("failed"), (writes, killer.written, finished["msg"])
            assert place.check()["password"] == password
            assert summaries(place.run()) == []
            if not killed:
                break
            place.run(force_renew=True)
            assert place.check()["token"] != token
    # sign in, the new token, the old one's end, and the stores three times
    assert writes - 1 == 3 + 3 * {"secret": 1, "file": 1, "both": 2}[kinds], killer.written


# Renewal


def test_a_token_is_renewed_before_it_ends_and_not_earlier(
    running: RunningQuay, world: World, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.quay.token_life = 10 * DAY
    place = Place(world, running, "both", project, tmp_path)
    options = {"expires_in": 10 * DAY, "renew_before": 3 * DAY}
    place.run(**options)
    first = place.check()
    real = time.time

    def days_later(days: float) -> None:
        """For the module and for Quay."""
        monkeypatch.setattr(time, "time", lambda: real() + days * DAY)

    days_later(6.99)
    assert summaries(place.run(**options)) == []
    days_later(7.01)
    predicted = place.run(check=True, **options)
    renewed = place.run(**options)
    assert renewed["changes"] == predicted["changes"]
    assert renewed["diff"] == predicted["diff"]
    assert renewed["reason"] == f"the token expires at {first['token_expires']}"
    actions = "update update create update update delete update update"
    assert [line.partition(" ")[0] for line in summaries(renewed)] == actions.split()
    second = place.check()
    assert second["token"] != first["token"]
    assert second["password"] == first["password"]
    days_later(30)
    assert place.run(**options)["reason"].startswith("the token has expired at")
    place.check()


def test_a_revoked_token_is_replaced_and_nothing_else_is_lost(
    running: RunningQuay, world: World, project: str, tmp_path: Path
) -> None:
    place = Place(world, running, "secret", project, tmp_path)
    place.run()
    before = place.check()
    running.quay.database.delete("token", "secret", before["token"])
    result = place.run()
    assert result["reason"] == "Quay does not accept the stored token any more"
    assert [line for line in summaries(result) if "Token" in line] == ["create OAuthToken quayadmin"]
    after = place.check()
    assert after["password"] == before["password"]
    assert after["token"] != before["token"]


def test_what_one_place_lost_comes_back_from_the_other(place: Place, project: str) -> None:
    place.run()
    kept = place.check()
    place.file.chmod(0o644)
    assert summaries(place.run()) == [f"update File {place.file}"]
    assert place.check() == kept
    place.file.unlink()
    assert summaries(place.run()) == [f"create File {place.file}"]
    assert place.check() == kept
    place.world.plane.admin.request("DELETE", path("secrets", project, place.name))
    assert summaries(place.run()) == [f"create Secret {place.name}"]
    assert place.check() == kept


def test_keys_of_others_in_the_secret_stay(world: World, current: RunningQuay, project: str, tmp_path: Path) -> None:
    place = Place(world, current, "secret", project, tmp_path)
    ours = {
        "metadata": {"name": place.name},
        "stringData": {"username": "quayadmin", "password": "their-Pa55word", "note": "x"},
    }
    world.plane.admin.request("POST", path("secrets", project), ours)
    assert summaries(place.run())[0] == f"update Secret {place.name}"
    kept = place.check()
    assert (kept["password"], kept["note"]) == ("their-Pa55word", "x")
    place.run(force_renew=True)
    assert place.check()["note"] == "x"


# A Quay that is there already


def take(running: RunningQuay, name: str = "quayadmin", password: str = "their-Pa55word") -> None:
    body = {"username": name, "password": password}
    assert requests.post(f"{running.url}/api/v1/user/initialize", json=body).ok


def test_a_quay_with_users_and_nothing_stored_names_the_choices(place: Place) -> None:
    take(place.running)
    for check in (True, False):
        result = place.run(check=check)
        assert result["failed"]
        assert "keeps no credentials of user quayadmin" in result["msg"]
        assert "has users already. Either set initial_password to the present password of quayadmin" in result["msg"]
        assert not result["changed"]
    assert not place.file.exists()
    assert place.name not in names(place.world, "secrets", place.project)
    assert not place.run(initial_password="their-Pa55word").get("failed")
    assert place.check()["password"] == "their-Pa55word"


def test_a_password_changed_by_hand(place: Place) -> None:
    place.run()
    account = place.running.quay.database.account("quayadmin") or {}
    place.running.quay.database.update("account", "id", account["id"], password=hashed("new-Pa55word"))
    result = place.run(force_renew=True)
    assert "does not accept the password of user quayadmin that Secret" in result["msg"]
    assert not result["changed"]
    time.sleep(0.6)
    assert not place.run(force_renew=True, initial_password="new-Pa55word").get("failed")
    assert place.check()["password"] == "new-Pa55word"


def test_a_new_database_gets_its_first_user_with_the_password_that_is_kept(place: Place) -> None:
    place.run()
    before = place.kept()
    for account in place.running.quay.database.all("SELECT id FROM account"):
        place.running.quay.database.delete("account", "id", account["id"])
    assert place.run()["reason"] == "Quay has no user yet"
    after = place.check()
    assert after["password"] == before["password"]
    assert after["token"] != before["token"]


# What Quay's configuration forbids


def test_initialize_is_off(place: Place) -> None:
    place.running.quay.config["FEATURE_USER_INITIALIZE"] = False
    result = place.run()
    assert "lets nobody create the first user" in result["msg"]
    assert "set FEATURE_USER_INITIALIZE: true in its config.yaml" in result["msg"]
    assert place.name not in names(place.world, "secrets", place.project)


def test_initialize_turned_off_afterwards_does_not_matter(place: Place) -> None:
    place.run()
    place.running.quay.config["FEATURE_USER_INITIALIZE"] = False
    assert summaries(place.run()) == []
    place.run(force_renew=True)
    place.check()


def test_another_authentication_has_no_first_user(place: Place) -> None:
    place.running.quay.config["AUTHENTICATION_TYPE"] = "LDAP"
    assert "AUTHENTICATION_TYPE in its config.yaml is not Database" in place.run()["msg"]


def test_a_user_outside_super_users_is_kept_and_good_as_soon_as_he_is_one(place: Place) -> None:
    place.running.quay.config["SUPER_USERS"] = ["somebody"]
    for changed in (True, False):
        result = place.run()
        assert result["changed"] == changed
        assert "Add quayadmin to SUPER_USERS in its config.yaml" in result["msg"]
    place.running.quay.config["SUPER_USERS"] = ["quayadmin"]
    assert summaries(place.run()) == []
    place.check()


def test_browser_api_calls_xhr_only_is_no_obstacle(place: Place) -> None:
    place.running.quay.config["BROWSER_API_CALLS_XHR_ONLY"] = True
    assert not place.run().get("failed")
    place.check()


def test_a_quay_that_sends_mails_wants_an_address(place: Place) -> None:
    place.running.quay.config["FEATURE_MAILING"] = True
    assert "Set the option email" in place.run()["msg"]
    assert not place.run(email="quay@example.com").get("failed")
    assert place.check()["email"] == "quay@example.com"


# Bad input


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"name": "Quay Admin"}, "name: 'Quay Admin' cannot be the name of a user"),
        ({"name": "q"}, "2 to 255 lower case letters"),
        ({"name": "a" * 256}, "2 to 255 lower case letters"),
        ({"email": "nope"}, "email: 'nope' is not an e-mail address"),
        ({"initial_password": "short"}, "initial_password is too weak for Quay: at least 8 characters"),
        ({"initial_password": ""}, "initial_password is too weak"),
        ({"initial_password": "with a blank"}, "initial_password is too weak"),
        ({"organization": "quayadmin"}, "users and organizations share their names"),
        ({"organization": "A"}, "organization: 'A' cannot be the name of an organization"),
        ({"application": " "}, "application is empty"),
        ({"expires_in": 10}, "expires_in must be at least 600 seconds"),
        ({"expires_in": 1000, "renew_before": 1000}, "renew_before must be less than expires_in (1000 seconds)"),
        ({"secret": {"name": "Upper", "namespace": "x"}}, "secret.name: 'Upper' cannot be such a name"),
        ({"quay_host": "https://quay.example.com/x"}, "quay_host"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
    place: Place, params: dict[str, Any], says: str
) -> None:
    given = {"quay_host": place.running.url, **place.options, **params}
    result = run_module("quay_first_user", **given)
    assert says in result["msg"]
    assert not place.running.quay.requests


def test_a_place_is_needed(place: Place) -> None:
    result = run_module("quay_first_user", quay_host=place.running.url)
    assert result["msg"].startswith("Set secret, file or both")


def test_places_that_do_not_work(world: World, current: RunningQuay, place: Place, tmp_path: Path) -> None:
    nowhere = {"name": "x", "namespace": "no-such-project"}
    assert "there is no project no-such-project" in place.run(secret=nowhere)["msg"]
    assert not current.names()
    other = tmp_path / "other.json"
    other.write_text("not ours")
    assert "holds no credentials of this module" in place.run(file=str(other))["msg"]
    assert other.read_text() == "not ours"
    other.write_text('{"username": "ann", "password": "x"}')
    assert "keeps the credentials of user ann, not of quayadmin" in place.run(file=str(other))["msg"]
    developer = {"kubeconfig": str(world.kubeconfig("developer"))}
    result = place.run(**developer)
    assert "forbidden" in result["msg"] or "no right" in result["msg"]
    assert not current.names()


def test_quay_unreachable_or_something_else(place: Place, world: World) -> None:
    assert "cannot be reached" in place.run(quay_host=f"http://localhost:{free_port()}")["msg"]
    oauth = f"oauth-openshift.{world.domain}"
    result = place.run(quay_host=f"nothing.{world.domain}", quay_ca_cert=str(world.ca_bundle))
    assert "cannot be reached" in result["msg"]
    result = place.run(quay_host=oauth, quay_ca_cert=str(world.ca_bundle))
    assert result["msg"].startswith(f"Could not see whether Quay has users at https://{oauth}: forbidden")


# Two runs at once


@pytest.mark.parametrize("kinds", PLACES)
def test_two_runs_at_once_make_one_user_and_one_token(
    world: World, current: RunningQuay, project: str, tmp_path: Path, kinds: str
) -> None:
    place = Place(world, current, kinds, project, tmp_path)
    current.quay.initialize_takes = 0.5
    results = in_processes(3, "quay_first_user", {"quay_host": current.url, **place.options})
    assert not [result["msg"] for result in results if result.get("failed")]
    assert sum("create User quayadmin" in summaries(result) for result in results) == 1
    place.check()


def in_processes(count: int, module: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of so many processes of a module at the same time."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import conftest; from support import run_module;"
        " print(json.dumps(run_module(sys.argv[2], **json.load(sys.stdin))))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(ROOT / "tests"), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _number in range(count)
    ]
    with ThreadPoolExecutor(count) as pool:
        outputs = pool.map(lambda process: process.communicate(json.dumps(params))[0], processes)
    return [json.loads(output) for output in outputs]


def test_a_claim_of_another_host_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run()
    monkeypatch.setattr(kept_secret, "is_alive", lambda _holder: True)
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    claim = {"metadata": {"annotations": {kept_secret.CLAIM: f"elsewhere/1/x until {end}"}}}
    secret = path("secrets", place.project, place.name)
    place.world.plane.admin.request("PATCH", secret, claim)
    began = time.monotonic()
    assert summaries(place.run(force_renew=True))
    assert time.monotonic() - began > 1.5
    place.check()


# Behind a router, with real clients


def test_behind_a_route_with_a_verified_certificate(world: World, project: str, tmp_path: Path) -> None:
    with quay_in(world, project) as (host, _quay):
        connection = {"quay_host": host, "kubeconfig": str(world.admin_kubeconfig)}
        secret = {"name": "first-user", "namespace": project}
        refused = run_module("quay_first_user", secret=secret, **connection)
        assert "could not be verified" in refused["msg"]
        assert "Set quay_ca_cert" in refused["msg"]
        connection["quay_ca_cert"] = str(world.ca_bundle)
        result = run_module("quay_first_user", secret=secret, return_credentials=True, **connection)
        password = result["credentials"]["password"]
        (tmp_path / "certs").mkdir()
        (tmp_path / "certs/ca.crt").write_bytes(world.ca_bundle.read_bytes())
        login = ["--dest-cert-dir", tmp_path / "certs", f"--dest-creds=quayadmin:{password}"]
        skopeo("copy", *login, tiny_image(tmp_path / "image"), f"docker://{host}/quayadmin/app:1")
