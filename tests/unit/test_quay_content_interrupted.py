"""Killed at any write: the next run finishes, and no robot's token is lost."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from quays import RunningQuay
from test_quay_content import EVERYTHING, Site

from ansible_collections.quayside.registry.plugins.module_utils import quay_content
from ansible_collections.quayside.registry.plugins.module_utils.credentials import timestamp
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay
from support import Killed

#: Long ago, so that whatever is stored with it is due for a new token.
LONG_AGO = "2020-01-01T00:00:00Z"


class Secrets:
    """The Secrets of a cluster."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Secrets:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def list_in(self, _kind: Any, namespaces: set[str]) -> list[Any]:
        return [item for (namespace, _name), item in self.items.items() if namespace in namespaces]

    def write(self, change: Any) -> None:
        key = change.namespace, change.name
        there, body = self.items.get(key, {}), change.request.body
        self.items[key] = {**there, **body, "data": {**there.get("data", {}), **body["data"]}}

    def content(self, name: str) -> dict[str, str]:
        data = self.items["builds", name]["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def age(self) -> None:
        """All tokens were stored long ago."""
        for item in self.items.values():
            item["data"]["token_issued"] = base64.b64encode(LONG_AGO.encode()).decode()


class Interruptions:
    """Kills a run at its n-th write to Quay, a Secret or a file: it is carried out, and nobody hears of it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count, self._at = 0, 0
        self._wrap(patch, Quay, "_send", lambda _quay, method, path, *_rest: method != "GET" and "signin" not in path)
        self._wrap(patch, Secrets, "write", lambda *_arguments: True)
        self._wrap(patch, quay_content.KeptFile, "save", lambda *_arguments: True)

    def at(self, number: int) -> None:
        """The next run is killed there; by 0 not at all."""
        self.count, self._at = 0, number

    def _wrap(self, patch: pytest.MonkeyPatch, where: type, name: str, writes: Callable[..., bool]) -> None:
        original = getattr(where, name)

        def call(*arguments: Any, **more: Any) -> Any:
            if not writes(*arguments, **more):
                return original(*arguments, **more)
            self.count += 1
            if self._at and self.count >= self._at:
                if self.count == self._at:
                    original(*arguments, **more)
                raise Killed
            return original(*arguments, **more)

        patch.setattr(where, name, call)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    cluster = Secrets()
    monkeypatch.setattr(quay_content, "connect_cluster", lambda _params: cluster)
    return cluster


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with RunningQuay(tmp_path / "quay") as running:
        yield Site(running)


def document(folder: Path, **more: Any) -> dict[str, Any]:
    ci = {
        "name": "ci",
        "store": {"secret": {"name": "ci", "namespace": "builds"}, "file": str(folder / "ci.json")},
        "rotate": {"after": "30d"},
        "federation": [{"issuer": "https://idp.example.com", "subject": "builder"}],
    }
    return {
        "name": "acme",
        "email": "acme@example.com",
        "teams": [{"name": "developers", "role": "creator", "members": [{"robot": "ci"}, {"user": "alice"}]}],
        "robots": [ci, {"name": "pull", "store": {"file": str(folder / "pull.json")}}],
        "repositories": [
            {
                "name": "web",
                "permissions": [{"team": "developers", "role": "write"}, {"robot": "pull", "role": "read"}],
                "auto_prune": [{"method": "creation_date", "value": "30d"}],
            },
            {"name": "api", "mode": "read_only", "permissions": []},
        ],
        "default_permissions": [{"robot": "ci", "role": "write"}],
        "quota": {"size": "20GiB", "limits": [{"type": "warning", "percent": 80}]},
        **more,
    }


def nothing(_site: Site, _secrets: Secrets, _folder: Path) -> None:
    """As it begins."""


def with_others(site: Site, _secrets: Secrets, _folder: Path) -> None:
    """Things that are to be purged."""
    others = {
        "name": "acme",
        "teams": [{"name": "leavers", "members": [{"user": "bob"}]}],
        "robots": [{"name": "old"}],
        "repositories": [
            {"name": "web", "permissions": [{"user": "bob", "role": "admin"}]},
            {"name": "gone", "permissions": [{"robot": "old", "role": "write"}]},
        ],
        "default_permissions": [{"team": "leavers", "role": "read"}],
    }
    assert site.run(others)["changed"]


def with_old_tokens(site: Site, secrets: Secrets, folder: Path) -> None:
    """All is there, and its tokens are old."""
    assert site.run(document(folder), purge=EVERYTHING)["changed"]
    secrets.age()
    file = folder / "ci.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "token_issued": LONG_AGO}))


@pytest.mark.parametrize("begin", [nothing, with_others, with_old_tokens])
def test_a_run_that_is_killed_at_any_write_is_finished_by_the_next_one(
    site: Site,
    secrets: Secrets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Site, Secrets, Path], None],
) -> None:
    interruptions = Interruptions(monkeypatch)
    wanted = document(tmp_path)

    def start() -> None:
        if site.running.names("organization"):
            site.call("DELETE", "/api/v1/organization/acme")
        secrets.items.clear()
        for name in ("ci", "pull"):
            (tmp_path / f"{name}.json").unlink(missing_ok=True)
        interruptions.at(0)
        begin(site, secrets, tmp_path)
        interruptions.at(0)

    def run() -> dict[str, Any]:
        return site.run(wanted, purge=EVERYTHING, purge_repositories=True)

    start()
    run()
    writes, expected = interruptions.count, site.export()
    for number in range(1, writes + 1):
        start()
        first = token(site, "ci") if begin is with_old_tokens else ""
        interruptions.at(number)
        with pytest.raises(Killed):
            run()
        interruptions.at(0)
        result = run()
        assert "failed" not in result, (number, result["msg"])
        assert run()["changes"] == [], number
        assert site.export() == expected, number
        ci, pull = token(site, "ci"), token(site, "pull")
        files = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("ci", "pull")]
        assert [item["password"] for item in files] == [ci, pull], number
        assert secrets.content("ci")["password"] == ci, number
        assert ci != first


def test_a_token_that_one_of_two_places_got_is_the_one_that_stays(site: Site, secrets: Secrets, tmp_path: Path) -> None:
    site.run(document(tmp_path))
    database = site.running.quay.database
    database.update("account", "id", database.account("acme+ci", "robot")["id"], created=0)
    secrets.age()
    new = {"host": site.running.host, "username": "acme+ci", "password": token(site, "ci")}
    (tmp_path / "ci.json").write_text(json.dumps({**new, "token_issued": timestamp(int(time.time()))}))
    secrets.items["builds", "ci"]["data"]["password"] = base64.b64encode(b"the one before").decode()
    assert [item["kind"] for item in site.run(document(tmp_path))["changes"]] == ["Secret"]
    assert secrets.content("ci")["password"] == token(site, "ci") == new["password"]


def token(site: Site, name: str) -> str:
    return str(site.call("GET", f"/api/v1/organization/acme/robots/{name}")["token"])
