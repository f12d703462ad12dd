"""Image streams on a real API server, imported from real registries: open, private, unknown, moved and gone."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import new_project, summaries

from support import run_module
from world.controlplane import free_ports
from world.external import ExternalRegistry, auth_config
from world.images import tiny_image
from world.pki import Authority
from world.world import World

Run = Callable[..., dict[str, Any]]
PASSWORD = "pull-Pa55word"


@pytest.fixture
def run(world: World) -> Run:
    def run(*image_streams: dict[str, Any], **params: Any) -> dict[str, Any]:
        connection = {"kubeconfig": str(world.admin_kubeconfig)}
        return run_module("image_streams", image_streams=list(image_streams), **{**connection, **params})

    return run


@pytest.fixture
def project(world: World) -> Iterator[str]:
    with new_project(world) as name:
        yield name


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("A private CA")


@pytest.fixture(scope="module")
def plain() -> Iterator[ExternalRegistry]:
    with ExternalRegistry("plain.example.com:5005") as registry:
        yield registry


@pytest.fixture(scope="module")
def private(authority: Authority) -> Iterator[ExternalRegistry]:
    pair = authority.server(["private.example.com"])
    certificate = (pair.certificate.decode(), pair.key.decode())
    with ExternalRegistry("private.example.com:5006", certificate, {"puller": PASSWORD}) as registry:
        registry.push("secure/app", "v1")
        yield registry


def streams(project: str, name: str = "") -> str:
    return f"/apis/image.openshift.io/v1/namespaces/{project}/imagestreams" + (f"/{name}" if name else "")


def stream(world: World, project: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.plane.admin.request("GET", streams(project, name))
    return found


def names(world: World, project: str) -> set[str]:
    return {item["metadata"]["name"] for item in world.plane.admin.request("GET", streams(project))["items"]}


def digest(world: World, project: str, name: str, tag: str) -> str:
    entries = stream(world, project, name)["status"].get("tags") or []
    return next((str(entry["items"][0]["image"]) for entry in entries if entry["tag"] == tag and entry["items"]), "")


def pull_secret(world: World, project: str, config: str) -> None:
    """The project's only one, linked to nothing."""
    body = {
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{project}/secrets?fieldSelector=metadata.name%3Dpull")
    world.plane.admin.request("POST", f"/api/v1/namespaces/{project}/secrets", body)


def test_check_mode_predicts_the_run_and_a_second_run_changes_nothing(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    first = ghcr.push("team/app", "v1")
    wanted = {
        "name": "app",
        "labels": {"team": "a"},
        "annotations": {"example.com/owner": "tools"},
        "lookup_local": True,
        "tags": [
            {"name": "v1", "from": "ghcr.io/team/app:v1", "reference_policy": "Local"},
            {"name": "pinned", "from": f"ghcr.io/team/app@{first}"},
            {"name": "stable", "from": "app:v1", "from_kind": "ImageStreamTag"},
        ],
    }
    predicted = run(wanted, namespace=project, check=True)
    assert names(world, project) == set()
    done = run(wanted, namespace=project)
    assert summaries(predicted) == summaries(done) == ["create ImageStream app"]
    assert predicted["diff"] == done["diff"]
    (result,) = done["image_streams"]
    assert result["repository"].endswith(f"/{project}/app")
    assert [tag["digest"] for tag in result["tags"]] == [first] * 3
    assert result["tags"][0]["image"] == f"ghcr.io/team/app@{first}"
    there = stream(world, project, "app")
    assert there["spec"]["lookupPolicy"] == {"local": True}
    assert there["metadata"]["labels"] == {"team": "a", "app.kubernetes.io/managed-by": "quayside.registry"}
    assert {tag["name"]: tag["referencePolicy"]["type"] for tag in there["spec"]["tags"]}["v1"] == "Local"
    mark = world.mark()
    again = run(wanted, namespace=project)
    assert summaries(again) == []
    assert again["image_streams"] == done["image_streams"]
    assert [item.verb for item in world.requests(mark)] == ["list"]


def test_what_has_moved_is_shown_in_check_mode_and_imported_when_asked_for(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    for architectures in (["amd64"], ["arm64", "amd64"]):
        repository = f"moving/{'-'.join(architectures)}"
        wanted = {"name": "app", "tags": [{"name": "v1", "from": f"ghcr.io/{repository}:v1"}]}
        ghcr.push(repository, "v1", "old", architectures)
        run(wanted, namespace=project)
        first = digest(world, project, "app", "v1")
        assert summaries(run(wanted, namespace=project, **{"import": "when_changed"})) == []
        ghcr.push(repository, "v1", "new", architectures)
        assert summaries(run(wanted, namespace=project)) == []
        predicted = run(wanted, namespace=project, check=True, **{"import": "when_changed"})
        assert digest(world, project, "app", "v1") == first
        done = run(wanted, namespace=project, **{"import": "when_changed"})
        assert summaries(predicted) == summaries(done) == ["update ImageStream app"]
        assert predicted["diff"] == done["diff"]
        second = digest(world, project, "app", "v1")
        drift = {
            "namespace": project,
            "name": "app",
            "tag": "v1",
            "source": f"ghcr.io/{repository}:v1",
            "imported": first,
            "current": second,
        }
        assert predicted["drift"] == done["drift"] == [drift]
        assert done["image_streams"][0]["tags"][0]["digest"] == second != first
        again = run(wanted, namespace=project, **{"import": "when_changed"})
        assert (summaries(again), again["drift"]) == ([], [])


def test_import_now_and_of_all_architectures(run: Run, world: World, project: str, ghcr: ExternalRegistry) -> None:
    whole = ghcr.push("team/multi", "v1", architectures=("arm64", "amd64"))
    tag = {"name": "v1", "from": "ghcr.io/team/multi:v1"}
    run({"name": "app", "tags": [tag]}, namespace=project)
    assert digest(world, project, "app", "v1") != whole
    preserved = {**tag, "import_mode": "PreserveOriginal"}
    assert summaries(run({"name": "app", "tags": [preserved]}, namespace=project)) == ["update ImageStream app"]
    assert digest(world, project, "app", "v1") == whole
    assert summaries(run({"name": "app", "tags": [preserved]}, namespace=project)) == []
    assert summaries(run({"name": "app", "tags": [tag]}, namespace=project)) == []
    now = run({"name": "app", "tags": [tag]}, namespace=project, **{"import": "always"})
    assert summaries(now) == ["update ImageStream app"]


def test_the_cluster_keeps_a_scheduled_tag_up_to_date(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    ghcr.push("team/scheduled", "v1", "old")
    wanted = {"name": "app", "tags": [{"name": "v1", "from": "ghcr.io/team/scheduled:v1", "scheduled": True}]}
    run(wanted, namespace=project)
    moved = ghcr.push("team/scheduled", "v1", "new")
    world.wait_for(lambda: digest(world, project, "app", "v1") == moved, "the next look")
    assert summaries(run(wanted, namespace=project)) == []
    unscheduled = {"name": "app", "tags": [{"name": "v1", "from": "ghcr.io/team/scheduled:v1"}]}
    assert summaries(run(unscheduled, namespace=project)) == ["update ImageStream app"]
    assert "scheduled" not in stream(world, project, "app")["spec"]["tags"][0]["importPolicy"]


def test_tags_of_other_streams_come_after_those_and_are_brought_up_to_date(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    first = ghcr.push("team/base", "v1", "old")
    with new_project(world, "base-of-all"):
        wanted = [
            {"name": "last", "tags": [{"name": "a", "from": "app:live", "from_kind": "ImageStreamTag"}]},
            {
                "name": "app",
                "tags": [
                    {
                        "name": "live",
                        "from": "base:v1",
                        "from_kind": "ImageStreamTag",
                        "from_namespace": "base-of-all",
                    }
                ],
            },
            {
                "name": "base",
                "namespace": "base-of-all",
                "tags": [{"name": "v1", "from": "ghcr.io/team/base:v1"}],
            },
        ]
        predicted = run(*wanted, namespace=project, create_projects=True, check=True)
        made = run(*wanted, namespace=project, create_projects=True)
        assert summaries(predicted) == summaries(made)
        assert summaries(made)[1:] == ["create ImageStream base", "create ImageStream app", "create ImageStream last"]
        assert digest(world, project, "last", "a") == digest(world, project, "app", "live") == first
        assert summaries(run(*wanted, namespace=project)) == []
        second = ghcr.push("team/base", "v1", "new")
        predicted = run(*wanted, namespace=project, check=True, **{"import": "when_changed"})
        moved = run(*wanted, namespace=project, **{"import": "when_changed"})
        assert summaries(predicted) == summaries(moved)
        assert [item["tag"] for item in moved["drift"]] == ["v1", "live", "a"]
        assert digest(world, project, "last", "a") == digest(world, project, "app", "live") == second
        assert summaries(run(*wanted, namespace=project, **{"import": "when_changed"})) == []
        pinned = {"name": "pinned", "from": f"app@{second}", "from_kind": "ImageStreamImage"}
        assert summaries(run({"name": "last", "tags": [pinned]}, namespace=project)) == ["update ImageStream last"]
        assert digest(world, project, "last", "pinned") == second


def test_a_tag_that_points_at_nothing_fails_every_run_until_there_is_something(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    wanted = {"name": "app", "tags": [{"name": "live", "from": "other:v1", "from_kind": "ImageStreamTag"}]}
    assert 'Not found: "other:v1"' in run(wanted, namespace=project)["msg"]
    run({"name": "other"}, namespace=project)
    for changed in (True, False):
        result = run(wanted, namespace=project)
        assert result["changed"] is changed
        assert "(NoImage): ImageStreamTag other:v1 has no image. Import or push that one first" in result["msg"]
    made = ghcr.push("team/app", "v1")
    run({"name": "other", "tags": [{"name": "v1", "from": "ghcr.io/team/app:v1"}]}, namespace=project)
    assert summaries(run(wanted, namespace=project)) == ["update ImageStream app"]
    assert digest(world, project, "app", "live") == made


def test_a_tag_is_pointed_elsewhere_and_deleted_and_those_of_others_stay(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    ghcr.push("team/app", "v1", "one")
    second = ghcr.push("team/app", "v2", "two")
    theirs = {"name": "theirs", "from": {"kind": "DockerImage", "name": "ghcr.io/team/app:v1"}}
    world.plane.admin.request("POST", streams(project), {"metadata": {"name": "app"}, "spec": {"tags": [theirs]}})
    run({"name": "app", "tags": [{"name": "live", "from": "ghcr.io/team/app:v1"}]}, namespace=project)
    pointed = run({"name": "app", "tags": [{"name": "live", "from": "ghcr.io/team/app:v2"}]}, namespace=project)
    assert summaries(pointed) == ["update ImageStream app"]
    assert digest(world, project, "app", "live") == second
    gone = {"name": "app", "tags": [{"name": "live", "state": "absent"}, {"name": "never", "state": "absent"}]}
    assert summaries(run(gone, namespace=project, check=True)) == ["delete ImageStreamTag app:live"]
    assert summaries(run(gone, namespace=project)) == ["delete ImageStreamTag app:live"]
    assert [tag["name"] for tag in stream(world, project, "app")["spec"]["tags"]] == ["theirs"]
    assert [tag["tag"] for tag in stream(world, project, "app")["status"]["tags"]] == ["theirs"]
    assert summaries(run(gone, namespace=project)) == []


def test_purge_deletes_ours_that_are_not_listed_and_nothing_else(run: Run, world: World, project: str) -> None:
    run({"name": "kept"}, {"name": "gone"}, namespace=project)
    world.plane.admin.request("POST", streams(project), {"metadata": {"name": "theirs"}})
    assert summaries(run({"name": "kept"}, namespace=project)) == []
    assert summaries(run({"name": "kept"}, namespace=project, purge=True)) == ["delete ImageStream gone"]
    assert names(world, project) == {"kept", "theirs"}
    assert summaries(run({"name": "kept", "state": "absent"}, namespace=project)) == ["delete ImageStream kept"]
    assert summaries(run({"name": "kept", "state": "absent"}, namespace=project)) == []


def test_every_failure_is_told_with_the_clusters_words_and_a_remedy(
    run: Run, world: World, project: str, ghcr: ExternalRegistry, plain: ExternalRegistry, private: ExternalRegistry
) -> None:
    ghcr.push("team/app", "v1")
    (port,) = free_ports("127.0.0.1", 1)
    tags = [
        {"name": "good", "from": "ghcr.io/team/app:v1"},
        {"name": "no-repository", "from": "ghcr.io/team/nosuch:v1"},
        {"name": "no-tag", "from": "ghcr.io/team/app:nosuch"},
        {"name": "http", "from": f"{plain.host}/team/app:v1"},
        {"name": "x509", "from": f"{private.host}/secure/app:v1"},
        {"name": "refused", "from": f"localhost:{port}/x/y:v1"},
        {"name": "nowhere", "from": "registry.invalid/x/y:v1"},
    ]
    result = run({"name": "app", "tags": tags}, namespace=project)
    assert result["failed"] and result["changed"]
    assert [change["name"] for change in result["changes"]] == ["app"]
    lines = result["msg"].splitlines()
    for line, (tag, words, remedy) in zip(
        lines,
        [
            (
                "no-repository",
                '(NotFound): dockerimage.image.openshift.io "ghcr.io/team/nosuch:v1" not found.',
                "Check",
            ),
            ("no-tag", '(NotFound): dockerimage.image.openshift.io "ghcr.io/team/app:nosuch" not found.', "Check"),
            ("http", "http: server gave HTTP response to HTTPS client.", "set insecure: true at the tag"),
            ("x509", "x509: certificate signed by unknown authority.", "additionalTrustedCA"),
            ("refused", f"dial tcp 127.0.0.1:{port}: connect: connection refused.", "The cluster cannot reach"),
            ("nowhere", "no such host.", "The cluster cannot reach the registry"),
        ],
        strict=True,
    ):
        assert line.startswith(f"{project}/app:{tag} could not be imported from ")
        assert words in line and remedy in line
    assert [item["tag"] for item in result["failures"]] == [tag["name"] for tag in tags[1:]]
    assert digest(world, project, "app", "good")


def test_a_stream_annotated_as_insecure_imports_over_plain_http(
    run: Run, world: World, project: str, plain: ExternalRegistry
) -> None:
    made = plain.push("team/app", "v1")
    annotations = {"openshift.io/image.insecureRepository": True}
    wanted = {"name": "app", "annotations": annotations, "tags": [{"name": "v1", "from": f"{plain.host}/team/app:v1"}]}
    assert summaries(run(wanted, namespace=project)) == ["create ImageStream app"]
    assert digest(world, project, "app", "v1") == made
    assert summaries(run(wanted, namespace=project, **{"import": "when_changed"})) == []
    assert "insecure" not in stream(world, project, "app")["spec"]["tags"][0]["importPolicy"]


def test_a_failed_import_is_tried_again_and_an_image_that_was_there_stays(
    run: Run, world: World, project: str, ghcr: ExternalRegistry
) -> None:
    wanted = {"name": "app", "tags": [{"name": "v1", "from": "ghcr.io/team/late:v1"}]}
    assert "not found" in run(wanted, namespace=project)["msg"]
    assert summaries(run(wanted, namespace=project, check=True)) == ["update ImageStream app"]
    made = ghcr.push("team/late", "v1")
    assert summaries(run(wanted, namespace=project)) == ["update ImageStream app"]
    assert digest(world, project, "app", "v1") == made
    ghcr.delete("team/late", made)
    assert summaries(run(wanted, namespace=project)) == []
    asked = run(wanted, namespace=project, **{"import": "when_changed"})
    assert asked["failures"][0]["reason"] == "NotFound" and asked["changed"] is False
    predicted = run(wanted, namespace=project, check=True, **{"import": "when_changed"})
    assert summaries(predicted) == [] and "not found" in predicted["warnings"][0]
    assert "not found" in run(wanted, namespace=project, **{"import": "always"})["msg"]
    assert digest(world, project, "app", "v1") == made


def test_a_missing_and_a_wrong_pull_secret_are_told_apart_and_the_right_one_is_used_unlinked(
    run: Run, world: World, project: str, private: ExternalRegistry
) -> None:
    wanted = {"name": "app", "tags": [{"name": "v1", "from": f"{private.host}/secure/app:v1", "insecure": True}]}
    missing = run(wanted, namespace=project)
    assert f'you may not have access to the container image "{private.host}/secure/app:v1"' in missing["msg"]
    assert f"No Secret of type kubernetes.io/dockerconfigjson in project {project}" in missing["msg"]
    pull_secret(world, project, private.auth_config("puller", "wrong-Pa55word"))
    wrong = run(wanted, namespace=project)
    assert "asked as user puller of Secret pull: the password is wrong or has expired" in wrong["msg"]
    assert "wrong-Pa55word" not in str(wrong)
    pull_secret(world, project, private.auth_config("puller"))
    right = run(wanted, namespace=project)
    assert summaries(right) == ["update ImageStream app"]
    assert right["image_streams"][0]["tags"][0]["digest"]
    assert summaries(run(wanted, namespace=project, **{"import": "when_changed"})) == []
    assert PASSWORD not in str(right)


def test_an_image_is_imported_through_a_clusters_own_route_with_a_service_accounts_token(
    run: Run, world: World, project: str, tmp_path: Path
) -> None:
    """A bearer token instead of a password, and the CA of the router in additionalTrustedCA."""
    admin, host = world.plane.admin, world.registry_host
    config = "/apis/imageregistry.operator.openshift.io/v1/configs/cluster"
    images = "/apis/config.openshift.io/v1/images/cluster"
    admin.request("PATCH", config, {"spec": {"defaultRoute": True}})
    ca = {"metadata": {"name": "router-ca"}, "data": {host: world.ca_bundle.read_text()}}
    admin.request("POST", "/api/v1/namespaces/openshift-config/configmaps", ca)
    admin.request("PATCH", images, {"spec": {"additionalTrustedCA": {"name": "router-ca"}}})
    wanted = {"name": "imported", "tags": [{"name": "v1", "from": f"{host}/{project}/pushed:v1"}]}
    try:
        world.wait_for(
            lambda: host in (admin.request("GET", images)["status"].get("externalRegistryHostnames") or []), "the route"
        )
        token = world.service_account_token(project, "builder")
        source = tiny_image(tmp_path / "image", "pushed")
        push = ["skopeo", "copy", "--dest-tls-verify=false", "--dest-authfile", str(tmp_path / "auth.json")]
        (tmp_path / "auth.json").write_text(auth_config(host, "builder", token))
        subprocess.run([*push, source, f"docker://{host}/{project}/pushed:v1"], check=True, capture_output=True)
        refused = run(wanted, namespace=project)
        assert refused["failures"][0]["reason"] == "Unauthorized"
        pull_secret(world, project, auth_config(host, "builder", token))
        assert summaries(run(wanted, namespace=project)) == ["update ImageStream imported"]
        assert digest(world, project, "imported", "v1") == digest(world, project, "pushed", "v1") != ""
    finally:
        admin.request("PATCH", images, {"spec": {"additionalTrustedCA": None}})
        admin.request("DELETE", "/api/v1/namespaces/openshift-config/configmaps/router-ca")
        admin.request("PATCH", config, {"spec": {"defaultRoute": False}})


def test_a_stream_survives_somebody_who_writes_at_the_same_time(
    run: Run, world: World, project: str, ghcr: ExternalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    ghcr.push("team/app", "v1")
    run({"name": "app"}, namespace=project)
    write = Cluster.write
    interfered: list[str] = []

    def late(self: Cluster, change: Any) -> Any:
        if not interfered:
            interfered.append("once")
            world.plane.admin.request("PATCH", streams(project, "app"), {"metadata": {"labels": {"theirs": "1"}}})
        return write(self, change)

    monkeypatch.setattr(Cluster, "write", late)
    wanted = {"name": "app", "labels": {"ours": "1"}, "tags": [{"name": "v1", "from": "ghcr.io/team/app:v1"}]}
    assert summaries(run(wanted, namespace=project)) == ["update ImageStream app"]
    labels = stream(world, project, "app")["metadata"]["labels"]
    assert {"ours", "theirs"} <= set(labels)
    assert digest(world, project, "app", "v1")


def test_an_ordinary_user_manages_his_own_project(run: Run, world: World, ghcr: ExternalRegistry) -> None:
    ghcr.push("team/app", "v1")
    connection = {"kubeconfig": str(world.kubeconfig("developer"))}
    wanted = {
        "name": "app",
        "namespace": "streams-of-developer",
        "tags": [{"name": "v1", "from": "ghcr.io/team/app:v1"}],
    }
    with new_project(world, "streams-of-developer"):
        refused = run(wanted, **connection)
        assert "Set create_projects to true" in refused["msg"]
        made = run(wanted, **connection, create_projects=True)
        assert summaries(made) == ["create ProjectRequest streams-of-developer", "create ImageStream app"]
        assert summaries(run(wanted, **connection, **{"import": "when_changed"})) == []


def test_many_streams_in_many_projects_cost_one_request_when_they_are_there(
    run: Run, world: World, ghcr: ExternalRegistry
) -> None:
    ghcr.push("team/app", "v1")
    projects = [f"many-streams-{number}" for number in range(10)]
    wanted = [
        {"name": f"app-{number}", "namespace": name, "tags": [{"name": "v1", "from": "ghcr.io/team/app:v1"}]}
        for name in projects
        for number in range(3)
    ]
    with new_project(world, *projects):
        made = run(*wanted, create_projects=True)
        assert all(item["tags"][0]["digest"] for item in made["image_streams"])
        mark = world.mark()
        assert summaries(run(*wanted)) == []
        assert [f"{item.verb} {item.uri}" for item in world.requests(mark)] == [
            "list /apis/image.openshift.io/v1/imagestreams"
        ]


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ({"name": "v1", "from": "Docker.io/UPPER:1"}, "must be in lower case"),
        ({"name": "v1", "from": "ghcr.io/acme/app"}, "has neither tag nor digest"),
        ({"name": "v1"}, "image_streams[0].tags[0].from is missing"),
        ({"name": "v1", "from": "https://ghcr.io/acme/app:1"}, "is a URL"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    run: Run, world: World, project: str, tag: dict[str, Any], words: str
) -> None:
    result = run({"name": "app", "tags": [tag]}, namespace=project)
    assert result["failed"] and words in result["msg"]
    assert names(world, project) == set()
