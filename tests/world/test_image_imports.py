"""Imports are held to what was recorded of a real cluster (openshift-apiserver and openshift-controller-manager of 2026)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from .apiclient import ApiError
from .controlplane import free_ports
from .external import ExternalRegistry
from .pki import Authority
from .world import World

IMAGE = "/apis/image.openshift.io/v1/namespaces"
UNKNOWN_AUTHORITY = "tls: failed to verify certificate: x509: certificate signed by unknown authority"


@pytest.fixture(scope="module")
def plain() -> Iterator[ExternalRegistry]:
    """Plain HTTP, open to all."""
    with ExternalRegistry("plain.example.com:5005") as registry:
        yield registry


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("A private CA")


@pytest.fixture(scope="module")
def private(authority: Authority) -> Iterator[ExternalRegistry]:
    """TLS by a CA that nobody knows, and a password."""
    pair = authority.server(["private.example.com"])
    certificate = (pair.certificate.decode(), pair.key.decode())
    with ExternalRegistry("private.example.com:5006", certificate, {"puller": "pull-Pa55word"}) as registry:
        yield registry


@pytest.fixture
def project(world: World) -> Iterator[str]:
    name = "imports"
    world.plane.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{name}")
    world.wait_for(lambda: not exists(world, f"/api/v1/namespaces/{name}"), "the namespace's end")


def exists(world: World, path: str) -> bool:
    try:
        world.plane.admin.request("GET", path)
    except ApiError as error:
        assert error.status == 404
        return False
    return True


def stream(world: World, project: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.plane.admin.request("GET", f"{IMAGE}/{project}/imagestreams/{name}")
    return found


def spec_tag(name: str, source: str, **policy: Any) -> dict[str, Any]:
    return {"name": name, "from": {"kind": "DockerImage", "name": source}, "importPolicy": policy}


def status_of(item: dict[str, Any], tag: str) -> dict[str, Any]:
    return next((entry for entry in item["status"].get("tags") or [] if entry["tag"] == tag), {})


def do_import(world: World, project: str, name: str, source: str, tag: str = "v1", **policy: Any) -> dict[str, Any]:
    """What `oc import-image NAME:TAG --from SOURCE --confirm` sends; the answer's status."""
    image = {"from": {"kind": "DockerImage", "name": source}, "to": {"name": tag}, "importPolicy": policy}
    body = {"metadata": {"name": name}, "spec": {"import": True, "images": [image]}}
    answer = world.plane.admin.request("POST", f"{IMAGE}/{project}/imagestreamimports", body)
    status: dict[str, Any] = answer["status"]
    return status


def test_an_import_makes_stream_tag_and_image(world: World, project: str, plain: ExternalRegistry) -> None:
    digest = plain.push("team/app", "v1")
    source = f"{plain.host}/team/app:v1"
    answer = do_import(world, project, "ext", source, "latest", insecure=True)
    (image,) = answer["images"]
    assert (image["status"], image["tag"]) == ({"metadata": {}, "status": "Success"}, "v1")
    assert image["image"]["metadata"]["name"] == digest
    made = answer["import"]
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["annotations"]["openshift.io/image.dockerRepositoryCheck"]
    assert made["spec"]["tags"] == [
        {
            "name": "latest",
            "annotations": None,
            "from": {"kind": "DockerImage", "name": source},
            "generation": 1,
            "importPolicy": {"insecure": True, "importMode": "Legacy"},
            "referencePolicy": {"type": "Source"},
        }
    ]
    (item,) = status_of(made, "latest")["items"]
    assert (item["image"], item["generation"]) == (digest, 1)
    assert item["dockerImageReference"] == f"{plain.host}/team/app@{digest}"


def test_refusals_are_inside_a_201_and_worded_as_recorded(
    world: World, project: str, plain: ExternalRegistry, private: ExternalRegistry
) -> None:
    plain.push("team/app", "v1")
    (port,) = free_ports("127.0.0.1", 1)
    for source, reason, text in [
        (f"{plain.host}/team/app:v1", "InternalError", "http: server gave HTTP response to HTTPS client"),
        (f"{private.host}/team/app:v1", "InternalError", UNKNOWN_AUTHORITY),
        (f"localhost:{port}/x/y:v1", "InternalError", f"dial tcp 127.0.0.1:{port}: connect: connection refused"),
    ]:
        why = f'{source}: Get "https://{source.partition("/")[0]}/v2/": {text}'
        (image,) = do_import(world, project, "bad", source)["images"]
        assert image["status"] == {
            "metadata": {},
            "status": "Failure",
            "message": f"Internal error occurred: {why}",
            "reason": reason,
            "details": {"causes": [{"message": why}]},
            "code": 500,
        }
    missing = f"{plain.host}/team/app:nosuchtag"
    answer = do_import(world, project, "bad", missing, "tag", insecure=True)
    message = f'dockerimage.image.openshift.io "{missing}" not found'
    assert answer["images"][0]["status"]["reason"] == "NotFound"
    assert answer["images"][0]["status"]["message"] == message
    generation = answer["import"]["metadata"]["generation"]
    entry = status_of(answer["import"], "tag")
    assert entry["items"] is None
    (condition,) = entry["conditions"]
    assert {key: condition[key] for key in ("type", "status", "reason", "message", "generation")} == {
        "type": "ImportSuccess",
        "status": "False",
        "reason": "NotFound",
        "message": message,
        "generation": generation,
    }
    with pytest.raises(ApiError) as refused:
        do_import(world, project, "inv", "::bad::")
    assert refused.value.status == 422
    text = 'spec.images[0].from.name: Invalid value: "::bad::": invalid reference format'
    assert text in refused.value.body["message"]
    assert not exists(world, f"{IMAGE}/{project}/imagestreams/inv")


def test_any_pull_secret_of_the_namespace_is_used_and_a_failure_keeps_what_was_imported(
    world: World, project: str, private: ExternalRegistry
) -> None:
    admin, source = world.plane.admin, f"{private.host}/secure/app:v1"
    digest = private.push("secure/app", "v1")
    refused = do_import(world, project, "sec", source, insecure=True)["images"][0]["status"]
    message = f'you may not have access to the container image "{source}"'
    assert refused == {
        "metadata": {}, "status": "Failure", "message": message, "reason": "Unauthorized", "code": 401
    }  # fmt: skip
    data = base64.b64encode(private.auth_config("puller").encode()).decode()
    secret = {"metadata": {"name": "unlinked"}, "type": "kubernetes.io/dockerconfigjson"}
    admin.request("POST", f"/api/v1/namespaces/{project}/secrets", {**secret, "data": {".dockerconfigjson": data}})
    imported = do_import(world, project, "sec", source, insecure=True)["import"]
    assert status_of(imported, "v1")["items"][0]["image"] == digest
    assert "conditions" not in status_of(imported, "v1")
    admin.request("DELETE", f"/api/v1/namespaces/{project}/secrets/unlinked")
    kept = status_of(do_import(world, project, "sec", source, insecure=True)["import"], "v1")
    assert kept["items"][0]["image"] == digest
    assert kept["conditions"][0]["message"] == message
    assert kept["conditions"][0]["generation"] == kept["items"][0]["generation"] + 1


def test_a_trusted_ca_is_taken_from_the_clusters_image_configuration(
    world: World, project: str, private: ExternalRegistry, authority: Authority
) -> None:
    admin, config = world.plane.admin, "/apis/config.openshift.io/v1/images/cluster"
    ca = {
        "metadata": {"name": "registry-ca"},
        "data": {private.host.replace(":", ".."): authority.certificate.decode()},
    }
    admin.request("POST", "/api/v1/namespaces/openshift-config/configmaps", ca)
    admin.request("PATCH", config, {"spec": {"additionalTrustedCA": {"name": "registry-ca"}}})
    try:
        status = do_import(world, project, "sec", f"{private.host}/secure/app:v1")["images"][0]["status"]
        assert status["reason"] == "Unauthorized"
    finally:
        admin.request("PATCH", config, {"spec": {"additionalTrustedCA": None}})
        admin.request("DELETE", "/api/v1/namespaces/openshift-config/configmaps/registry-ca")


def test_a_list_becomes_its_linux_amd64_image_or_is_preserved(
    world: World, project: str, plain: ExternalRegistry
) -> None:
    digest = plain.push("team/multi", "latest", architectures=("arm64", "amd64"))
    source = f"{plain.host}/team/multi:latest"
    legacy = do_import(world, project, "multi", source, "legacy", insecure=True)["images"][0]["image"]
    assert legacy["metadata"]["name"] != digest
    assert legacy["dockerImageMetadata"]["Architecture"] == "amd64"
    policy = {"insecure": True, "importMode": "PreserveOriginal"}
    preserved = do_import(world, project, "multi", source, "list", **policy)["images"][0]["image"]
    assert preserved["metadata"]["name"] == digest
    assert {part["architecture"] for part in preserved["dockerImageManifests"]} == {"arm64", "amd64"}
    assert legacy["metadata"]["name"] in {part["digest"] for part in preserved["dockerImageManifests"]}


def test_asking_without_import_writes_nothing(world: World, project: str, plain: ExternalRegistry) -> None:
    digest = plain.push("team/app", "v1")
    image = {"from": {"kind": "DockerImage", "name": f"{plain.host}/team/app:v1"}, "importPolicy": {"insecure": True}}
    body = {"metadata": {"name": "dry"}, "spec": {"import": False, "images": [image]}}
    answer = world.plane.admin.request("POST", f"{IMAGE}/{project}/imagestreamimports", body)
    assert answer["status"]["images"][0]["image"]["metadata"]["name"] == digest
    assert answer["spec"]["images"][0]["to"] == {"name": "v1"}
    assert not exists(world, f"{IMAGE}/{project}/imagestreams/dry")


def test_the_controller_imports_spec_tags_and_looks_again_at_scheduled_ones(
    world: World, project: str, plain: ExternalRegistry
) -> None:
    first, path = plain.push("team/moving", "v1"), f"{IMAGE}/{project}/imagestreams"
    source = f"{plain.host}/team/moving:v1"
    tags = [
        spec_tag("v1", source, insecure=True, scheduled=True),
        spec_tag("gone", f"{plain.host}/team/moving:gone", insecure=True),
        spec_tag("still", source, insecure=True),
    ]
    made = world.plane.admin.request("POST", path, {"metadata": {"name": "auto"}, "spec": {"tags": tags}})
    assert [tag["generation"] for tag in made["spec"]["tags"]] == [1, 1, 1]
    world.wait_for(lambda: bool(status_of(stream(world, project, "auto"), "v1")), "the import")
    found = stream(world, project, "auto")
    assert [(tag["name"], tag["generation"]) for tag in found["spec"]["tags"]] == [("gone", 2), ("still", 2), ("v1", 2)]
    assert status_of(found, "v1")["items"][0]["generation"] == 2
    assert status_of(found, "gone")["conditions"][0]["reason"] == "NotFound"
    second = plain.push("team/moving", "v1", "changed")
    world.wait_for(
        lambda: status_of(stream(world, project, "auto"), "v1")["items"][0]["image"] == second, "the next look"
    )
    found = stream(world, project, "auto")
    assert [item["image"] for item in status_of(found, "v1")["items"]] == [second, first]
    assert [item["image"] for item in status_of(found, "still")["items"]] == [first]
    # generation 0 asks for a new import
    tags = [{**tag, "generation": 0} if tag["name"] == "still" else tag for tag in found["spec"]["tags"]]
    world.plane.admin.request("PATCH", f"{path}/auto", {"spec": {"tags": tags}})
    world.wait_for(
        lambda: status_of(stream(world, project, "auto"), "still")["items"][0]["image"] == second, "the new import"
    )


def test_tags_of_tags_are_resolved_when_written_and_follow_within_their_stream(
    world: World, project: str, plain: ExternalRegistry
) -> None:
    admin, path = world.plane.admin, f"{IMAGE}/{project}/imagestreams"
    digest = plain.push("team/followed", "v1")
    do_import(world, project, "base", f"{plain.host}/team/followed:v1", insecure=True)
    alias = {"name": "stable", "from": {"kind": "ImageStreamTag", "name": "base:v1"}}
    base = stream(world, project, "base")
    admin.request("PATCH", f"{path}/base", {"spec": {"tags": [*base["spec"]["tags"], alias]}})
    pinned = {"name": "pinned", "from": {"kind": "ImageStreamImage", "name": f"base@{digest}"}}
    admin.request("POST", path, {"metadata": {"name": "other"}, "spec": {"tags": [alias, pinned]}})
    for name, tag in (("base", "stable"), ("other", "stable"), ("other", "pinned")):
        assert status_of(stream(world, project, name), tag)["items"][0]["image"] == digest
    moved = plain.push("team/followed", "v1", "moved")
    do_import(world, project, "base", f"{plain.host}/team/followed:v1", insecure=True)
    assert status_of(stream(world, project, "base"), "stable")["items"][0]["image"] == moved
    assert status_of(stream(world, project, "other"), "stable")["items"][0]["image"] == digest
    nowhere = {"name": "x", "from": {"kind": "ImageStreamTag", "name": "nosuch:v1"}}
    with pytest.raises(ApiError, match="422"):
        admin.request("POST", path, {"metadata": {"name": "bad"}, "spec": {"tags": [nowhere]}})
