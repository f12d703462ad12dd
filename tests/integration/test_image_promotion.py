"""Promotion between real registries, with the real skopeo: what is copied, what is not, and what is said when it can't be."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registries import PASSWORD, USER, Distribution, Hub, digest, free_port, skopeo

from support import run_module
from world.images import tiny_image
from world.pki import Authority

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Promotion CA")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Distribution]:
    with Distribution(tmp_path / "source") as registry:
        yield registry


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Distribution]:
    with Distribution(tmp_path / "target") as registry:
        yield registry


def push(
    registry: Distribution, tmp_path: Path, image: str, text: str = "", architectures: tuple[str, ...] = ()
) -> str:
    """Put a tiny image into a registry (plain HTTP, no password); its digest."""
    layout = tmp_path / "images" / (text or image).replace("/", "_").replace(":", "_")
    layout.mkdir(parents=True, exist_ok=True)
    local = tiny_image(layout, text=text or image, architectures=architectures or ("amd64",))
    skopeo("copy", "--all", "--dest-tls-verify=false", local, f"docker://{registry.host}/{image}")
    return digest(f"{registry.host}/{image}")


def promote(*images: dict[str, Any], plain: tuple[Distribution, ...] = (), **options: Any) -> dict[str, Any]:
    registries = [{"host": registry.host, "insecure": True} for registry in plain]
    registries += options.pop("registries", [])
    return run_module("image_promotion", images=list(images), registries=registries, **options)


def image(source: str, *destinations: str, **options: Any) -> dict[str, Any]:
    return {"source": source, "destinations": list(destinations), **options}


def changes(result: dict[str, Any]) -> list[tuple[str, str]]:
    assert not result.get("failed"), result["msg"]
    assert result["changed"] == bool(result["changes"])
    return [(change["action"], change["name"]) for change in result["changes"]]


def test_all_architectures_to_two_destinations_predicted_done_and_repeated(
    source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    pushed = push(source, tmp_path, "team/app:1.0", architectures=("amd64", "arm64"))
    wanted = image(f"{source.host}/team/app:1.0", f"{target.host}/live/app", f"{target.host}/live/app:stable")
    both = (source, target)
    predicted = promote(wanted, plain=both, check=True)
    assert not [line for line in target.requests() if line.startswith(("POST", "PUT", "PATCH"))]
    made = promote(wanted, plain=both)
    assert (
        changes(predicted)
        == changes(made)
        == [("create", f"{target.host}/live/app:1.0"), ("create", f"{target.host}/live/app:stable")]
    )
    assert predicted["diff"] == made["diff"]
    assert digest(f"{target.host}/live/app:1.0") == digest(f"{target.host}/live/app:stable") == pushed
    files = (tmp_path / "images").glob("*/blobs/sha256/*")
    # configurations and layers: all but the list and its two manifests
    blobs = sum(file.stat().st_size for file in files if b"schemaVersion" not in file.read_bytes())
    for entry, prophecy in zip(made["images"], predicted["images"], strict=True):
        assert entry["source_digest"] == entry["destination_digest"] == prophecy["destination_digest"] == pushed
        assert entry["changed"] and entry["previous_digest"] == ""
        assert entry["bytes"] == blobs and prophecy["bytes"] is None
    assert changes(promote(wanted, plain=both)) == []


def test_an_unchanged_image_costs_two_requests_and_no_process(
    source: Distribution, target: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"team/app-{number}:1" for number in range(20)]
    for name in names:
        push(source, tmp_path, name, text="the same")
    wanted = [image(f"{source.host}/{name}", f"{target.host}/{name}") for name in names]
    assert len(changes(promote(*wanted, plain=(source, target)))) == 20
    marks = source.mark(), target.mark()
    monkeypatch.setenv("PATH", str(tmp_path))  # no skopeo to be found
    assert changes(promote(*wanted, plain=(source, target))) == []
    for registry, mark in zip((source, target), marks, strict=True):
        requests = sorted(registry.requests(mark))
        assert requests == sorted(["GET /v2/"] + [f"HEAD /v2/team/app-{n}/manifests/1" for n in range(20)])
    failed = promote(image(f"{source.host}/{names[0]}", f"{target.host}/new:1"), plain=(source, target), check=True)
    assert "install the package skopeo" in failed["msg"]


def test_tags_of_a_repository(source: Distribution, target: Distribution, tmp_path: Path) -> None:
    tags = ["1.9.0", "1.10.0", "1.10.0-rc.1", "v2.0.0-beta", "latest", "2024"]
    for tag in tags:
        push(source, tmp_path, f"team/app:{tag}", text=tag)
    both = (source, target)

    def promoted(**options: Any) -> list[str]:
        result = promote(image(f"{source.host}/team/app", f"{target.host}/x", **options), plain=both, check=True)
        return [name.rpartition(":")[2] for _action, name in changes(result)]

    assert promoted(tags=["latest", "1.9.0"]) == ["latest", "1.9.0"]
    assert promoted(tag_filter={"glob": "1.*"}) == ["1.10.0", "1.10.0-rc.1", "1.9.0"]
    assert promoted(tag_filter={"regex": r"\d+\.\d+\.\d+", "newest": 1}) == ["1.10.0"]
    assert promoted(tag_filter={"glob": "*.*", "newest": 3}) == ["v2.0.0-beta", "1.10.0", "1.10.0-rc.1"]
    nothing = promote(
        image(f"{source.host}/team/app", f"{target.host}/x", tag_filter={"glob": "9.*"}), plain=both, check=True
    )
    assert nothing["msg"] == f"images[0]: none of the 6 tags of {source.host}/team/app matches glob '9.*'."


def test_a_tag_moves_only_where_it_may_and_nothing_is_copied_beside_a_refusal(
    source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    both = (source, target)
    old = push(target, tmp_path, "app:1.0", text="old")
    new = push(source, tmp_path, "app:1.0", text="new")
    push(source, tmp_path, "other:1.0")
    moving = image(f"{source.host}/app:1.0", f"{target.host}/app")
    refused = promote(image(f"{source.host}/other:1.0", f"{target.host}/other"), moving, plain=both)
    assert refused["msg"].startswith(
        f"Another image has the tag {target.host}/app:1.0 (it has {old}, {source.host}/app:1.0 has {new})."
    )
    assert "overwrite: true" in refused["msg"] and refused["changes"] == []
    assert not [line for line in target.requests() if "/other/" in line and not line.startswith("HEAD")]
    result = promote({**moving, "overwrite": True}, plain=both)
    assert changes(result) == [("update", f"{target.host}/app:1.0")]
    assert result["images"][0]["previous_digest"] == old
    assert digest(f"{target.host}/app:1.0") == new


def slow_skopeo(folder: Path, before: str) -> str:
    """A skopeo that runs a command first, once; the PATH with it."""
    folder.mkdir()
    real = subprocess.run(["which", "skopeo"], capture_output=True, text=True, check=True).stdout.strip()
    script = folder / "skopeo"
    script.write_text(f'#!/bin/sh\nmkdir {folder}/once 2>/dev/null && {{\n{before}\n}}\nexec {real} "$@"\n')
    script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_tag_that_moved_since_the_plan_is_not_replaced_unplanned(
    source: Distribution, target: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    for name in ("one:1", "two:1"):
        push(source, tmp_path, name)
    elsewhere = push(source, tmp_path, "somebody:1", text="somebody else's")
    # while the first image is copied, somebody pushes to the second one's tag
    theirs = f"skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://{source.host}/somebody:1"
    real = os.environ["PATH"]
    path = slow_skopeo(tmp_path / "bin", f"PATH={real} {theirs} docker://{target.host}/two:1 >/dev/null 2>&1")
    monkeypatch.setenv("PATH", path)
    wanted = [image(f"{source.host}/{n}:1", f"{target.host}/{n}:1", overwrite=overwrite) for n in ("one", "two")]
    result = promote(*wanted, plain=(source, target), parallel=1)
    monkeypatch.setenv("PATH", real)
    if overwrite:
        assert changes(result) == [("create", f"{target.host}/one:1"), ("update", f"{target.host}/two:1")]
        assert [entry["changed"] for entry in result["images"]] == [True, True]
        assert result["images"][1]["previous_digest"] == elsewhere
        assert digest(f"{target.host}/two:1") == digest(f"{source.host}/two:1")
    else:
        assert f"Another image has the tag {target.host}/two:1 (it has {elsewhere}" in result["msg"]
        assert digest(f"{target.host}/two:1") == elsewhere


SPY = """
for argument in "$@"; do echo "$argument"; done > {log}
for argument in "$@"; do case "$argument" in *authfile=*) stat -c '%a' "${{argument#*=}}" >> {log};; esac; done
"""


@pytest.mark.parametrize("given", ["options", "auth_file", "ca_in_certs_d"])
def test_passwords_and_tls(
    source: Distribution, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    pushed = push(source, tmp_path, "app:1")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.certificate)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    log = tmp_path / "argv"
    with Distribution(tmp_path / "secured", authority, password=True) as secured:
        entry: dict[str, Any] = {"host": secured.host, "username": USER, "password": PASSWORD, "ca_cert": str(ca)}
        options: dict[str, Any] = {"registries": [entry]}
        if given != "options":
            auth_file = tmp_path / "auth.json"
            auth_file.write_text(json.dumps({"auths": {secured.host: {"username": USER, "password": PASSWORD}}}))
            options = {"registries": [{"host": secured.host, "ca_cert": str(ca)}], "auth_file": str(auth_file)}
        if given == "ca_in_certs_d":
            folder = tmp_path / "home/.config/containers/certs.d" / secured.host
            folder.mkdir(parents=True)
            (folder / "ca.crt").write_bytes(authority.certificate)
            options["registries"] = []
        wanted = image(f"{source.host}/app:1", f"{secured.host}/team/app:1")
        monkeypatch.setenv("PATH", slow_skopeo(tmp_path / "bin", SPY.format(log=log)))
        result = promote(wanted, plain=(source,), **options)
        assert changes(result) == [("create", f"{secured.host}/team/app:1")]
        assert result["images"][0]["destination_digest"] == pushed
        assert PASSWORD not in json.dumps(result)
        assert PASSWORD not in log.read_text() and log.read_text().splitlines()[-1] == "600"
        assert not Path(
            next(line for line in log.read_text().splitlines() if "authfile=" in line).partition("=")[2]
        ).exists()
        mark = secured.mark()
        assert changes(promote(wanted, plain=(source,), **options)) == []
        assert sorted(secured.requests(mark)) == ["GET /v2/", "HEAD /v2/team/app/manifests/1"]


def test_tokens_are_asked_for_once_for_each_repository(
    source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    for tag in ("1", "2", "3"):
        push(source, tmp_path, f"team/app:{tag}", text=tag)
    with Hub(source, limit=100, users={USER: 200}) as hub:
        access = [{"host": hub.host, "insecure": True, "username": USER, "password": PASSWORD}]
        wanted = image(f"{hub.host}/team/app", f"{target.host}/app", tags=["1", "2", "3"])
        assert len(changes(promote(wanted, plain=(target,), registries=access))) == 3
        used = 200 - hub.remaining[USER]
        assert changes(promote(wanted, plain=(target,), registries=access)) == []
        assert used == 200 - hub.remaining[USER]  # looking costs no pull
        hub.remaining[USER] = 0
        push(source, tmp_path, "team/app:4")
        more = image(f"{hub.host}/team/app:4", f"{target.host}/app")
        failed = promote(more, plain=(target,), registries=access)
        assert failed["msg"].startswith(
            f"{hub.host} lets no more images be pulled for now (as {USER}) (toomanyrequests"
        )


def test_what_was_built_is_published(target: Distribution, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    local = tiny_image(layout, text="built", tag="1.0", architectures=("amd64", "arm64"))
    archive = tmp_path / "image.tar"
    single = tmp_path / "single"
    single.mkdir()
    skopeo("copy", tiny_image(single, text="single"), f"docker-archive:{archive}:localhost/app:1.0")
    wanted = [
        image(local, f"{target.host}/built:1.0"),
        image(f"docker-archive:{archive}", f"{target.host}/archived:1.0"),
    ]
    predicted = promote(*wanted, plain=(target,), check=True)
    made = promote(*wanted, plain=(target,))
    assert changes(predicted) == changes(made)
    assert predicted["diff"] == made["diff"] and len(changes(made)) == 2
    for entry in made["images"]:
        assert entry["destination_digest"] == digest(entry["destination"])
    assert made["images"][0]["source_digest"] == made["images"][0]["destination_digest"]
    assert changes(promote(*wanted, plain=(target,))) == []
    skopeo("copy", tiny_image(single, text="another"), f"docker-archive:{tmp_path / 'b.tar'}:localhost/app:1.0")
    other = image(f"docker-archive:{tmp_path / 'b.tar'}:localhost/app:1.0", f"{target.host}/archived:1.0")
    assert "overwrite: true" in promote(other, plain=(target,))["msg"]
    missing = promote(image(f"oci:{layout}:9.9", f"{target.host}/built:9.9"), plain=(target,))
    assert missing["msg"] == f"oci:{layout}:9.9: no such image there, or not clear which; there is: 1.0."
    nowhere = promote(image("oci:/no/such:1", f"{target.host}/built:9.9"), plain=(target,))
    assert "cannot be read: No such file or directory" in nowhere["msg"]


def test_in_two_runs_over_a_registry_or_a_folder_between(
    source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    pushed = push(source, tmp_path, "shop/web:1.0", architectures=("amd64", "arm64"))
    with Distribution(tmp_path / "between") as between:
        transfer = f"{between.host}/transfer/web:1.0"
        there = image(transfer, f"{target.host}/over/registry:1.0")
        assert promote(there, plain=(between, target))["msg"] == f"There is no image {transfer}. Nothing was copied."
        here = image(f"{source.host}/shop/web:1.0", transfer)
        assert changes(promote(here, plain=(source, between))) == [("create", transfer)]
        assert changes(promote(there, plain=(between, target))) == [("create", f"{target.host}/over/registry:1.0")]
        assert changes(promote(there, plain=(between, target))) == []
    folder = f"oci:{tmp_path}/carried:1.0"
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{source.host}/shop/web:1.0", folder)
    promote(image(folder, f"{target.host}/over/folder:1.0"), plain=(target,))
    assert digest(f"{target.host}/over/registry:1.0") == digest(f"{target.host}/over/folder:1.0") == pushed


def test_signatures_of_cosign_are_tags_like_others(source: Distribution, target: Distribution, tmp_path: Path) -> None:
    tag = push(source, tmp_path, "app:1").replace(":", "-") + ".sig"
    manifests, kind = f"{source.url}/v2/app/manifests", "application/vnd.oci.image.manifest.v1+json"
    with urllib.request.urlopen(urllib.request.Request(f"{manifests}/1", headers={"Accept": kind})) as answer:
        signature = json.load(answer)
    signature["layers"][0]["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
    body, headers = json.dumps(signature).encode(), {"Content-Type": kind}
    urllib.request.urlopen(urllib.request.Request(f"{manifests}/{tag}", body, headers, method="PUT")).close()
    wanted = image(f"{source.host}/app", f"{target.host}/app", tag_filter={"glob": "sha256-*.sig"})
    assert changes(promote(wanted, plain=(source, target))) == [("create", f"{target.host}/app:{tag}")]
    assert digest(f"{target.host}/app:{tag}") == digest(f"{source.host}/app:{tag}")


def test_a_policy_decides_what_is_copied(source: Distribution, target: Distribution, tmp_path: Path) -> None:
    push(source, tmp_path, "app:1")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
    wanted = image(f"{source.host}/app:1", f"{target.host}/app:1")
    refused = promote(wanted, plain=(source, target), policy=str(policy))
    assert "rejected by policy" in refused["msg"] and refused["changed"] is False
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    assert changes(promote(wanted, plain=(source, target), policy=str(policy)))
    missing = promote(wanted, plain=(source, target), policy="/no/such/policy.json")
    assert missing["msg"] == "policy: there is no file /no/such/policy.json on this host."


def test_registries_that_cannot_be_used_are_named(
    source: Distribution, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    push(source, tmp_path, "app:1")
    with Distribution(tmp_path / "secured", authority, password=True) as secured:
        wanted = image(f"{source.host}/app:1", f"{secured.host}/team/app:1")

        def message(**entry: Any) -> str:
            registries = [{"host": secured.host, **entry}]
            return str(promote(wanted, plain=(source,), registries=registries, check=True)["msg"])

        assert "x509" in message() and f"The certificate of {secured.host} is not trusted here" in message()
        ca = tmp_path / "ca.crt"
        ca.write_bytes(authority.certificate)
        guessed = message(ca_cert=str(ca), username="eve", password="guessed")
        assert guessed.startswith(f"{secured.host} does not let user eve read team/app:1")
        assert message(ca_cert=str(ca)).startswith(f"{secured.host} does not let anonymous users read team/app:1")
    with Hub(source) as hub:
        registries = [{"host": hub.host, "insecure": True, "username": "eve", "password": "guessed"}]
        failed = promote(image(f"{source.host}/app:1", f"{hub.host}/app:2"), plain=(source,), registries=registries)
        assert failed["msg"].startswith(f"{hub.host} does not let user eve read app:2")
    nobody = f"localhost:{free_port()}"
    failed = promote(image(f"{nobody}/app:1", f"{source.host}/app:2"), plain=(source,))
    assert failed["msg"] == f"{nobody} cannot be reached: Connection refused."
    failed = promote(image(f"{source.host}/app:1", f"{source.host}/app:2"))
    assert "does not speak TLS" in failed["msg"]
    failed = promote(image(f"{source.host}/nothing:1", f"{source.host}/app:2"), plain=(source,))
    assert failed["msg"] == f"There is no image {source.host}/nothing:1. Nothing was copied."
    failed = promote(image(f"{source.host}/nothing", f"{source.host}/app", tag_filter={"glob": "*"}), plain=(source,))
    assert failed["msg"].startswith(f"There is no {source.host}/nothing to promote from: {source.host} could not list")


KILLED = """
import json, sys
import conftest
from support import run_module
print(json.dumps(run_module("image_promotion", **json.loads(sys.argv[1]))))
"""


def test_killed_at_any_moment_the_next_run_completes(
    source: Distribution, target: Distribution, tmp_path: Path
) -> None:
    names = [f"app-{number}:1" for number in range(50)]
    digests = {name: push(source, tmp_path, name) for name in names}
    options = {
        "images": [image(f"{source.host}/{name}", f"{target.host}/{name}") for name in names],
        "registries": [{"host": registry.host, "insecure": True} for registry in (source, target)],
    }
    command = [sys.executable, "-c", KILLED, json.dumps(options)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    generator = random.Random(4)
    there: list[int] = []
    for _attempt in range(4):
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
        begin = target.mark()
        while not [line for line in target.requests(begin) if line.startswith("PUT")] and process.poll() is None:
            time.sleep(0.05)
        time.sleep(generator.uniform(0, 1.0))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        there.append(
            sum(1 for line in set(target.requests()) if line.startswith("PUT") and line.endswith("manifests/1"))
        )
    assert 0 < there[0] <= there[-1] < 50
    completed = run_module("image_promotion", **options)
    assert not completed.get("failed"), completed["msg"]
    assert {entry["destination"]: entry["destination_digest"] for entry in completed["images"]} == {
        f"{target.host}/{name}": expected for name, expected in digests.items()
    }
    assert all(digest(f"{target.host}/{name}") == expected for name, expected in digests.items())
    assert run_module("image_promotion", **options)["changed"] is False
