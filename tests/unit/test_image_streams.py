"""Image streams are merged with what others wrote; what is imported, and when again, follows from their generations."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.oci import auth
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_imports import Failure, refuse, remedy
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_streams import ImageStreams, State
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.openshift.projects import Projects

APP = "ghcr.io/acme/app:1"
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def subject(*entries: dict[str, Any], **options: Any) -> ImageStreams:
    defaults = {
        "namespace": "demo",
        "import": "never",
        "create_projects": False,
        "purge": False,
        "wait": True,
        "wait_timeout": 1,
    }
    return ImageStreams({**defaults, "image_streams": list(entries), **options})


def app(**tag: Any) -> dict[str, Any]:
    return {"name": "app", "tags": [{"name": "v1", "from": APP, **tag}]}


def there(name: str = "app", ours: bool = True, **tags: dict[str, Any]) -> dict[str, Any]:
    """A stream as the cluster shows it. A tag is given as what differs from a good one, imported from APP."""
    metadata: dict[str, Any] = {"name": name, "namespace": "demo", "uid": f"uid-{name}", "resourceVersion": "7"}
    if ours:
        metadata["labels"] = dict(MANAGED_BY)
    spec, status = [], []
    for tag, given in tags.items():
        source = given.get("source", {"kind": "DockerImage", "name": APP})
        policy = given.get("policy", {"importMode": "Legacy"})
        spec.append(
            {
                "name": tag,
                "annotations": None,
                "from": source,
                "generation": 3,
                "importPolicy": policy,
                "referencePolicy": {"type": "Source"},
            }
        )
        image = given.get("image", OLD)
        entry: dict[str, Any] = {"tag": tag, "items": None}
        if image:
            entry["items"] = [
                {"image": image, "dockerImageReference": f"x@{image}", "generation": given.get("seen", 3)}
            ]
        if "failed" in given:
            condition = {"type": "ImportSuccess", "status": "False", "reason": given["failed"], "message": "words"}
            entry["conditions"] = [{**condition, "generation": 3}]
        status.append(entry)
    return {
        "metadata": metadata,
        "spec": {"lookupPolicy": {"local": False}, **({"tags": spec} if spec else {})},
        "status": {"dockerImageRepository": "internal/demo/app", "tags": status},
    }


def state(*items: dict[str, Any], sources: dict[str, Any] | None = None, projects: Projects | None = None) -> State:
    streams = {("demo", item["metadata"]["name"]): item for item in items}
    return State(
        streams,
        projects or Projects(),
        {(("demo", "app"), tag): answer for tag, answer in (sources or {}).items()},
    )


def planned(wanted: ImageStreams, *items: dict[str, Any], **options: Any) -> list[str]:
    return [f"{change.stage} {change}" for change in wanted.plan(state(*items, **options)).changes]


def written(wanted: ImageStreams, *items: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The patch's spec tags, by name."""
    (change,) = wanted.plan(state(*items, **options)).changes
    return {tag["name"]: tag for tag in change.request.body["spec"]["tags"]}


def test_a_new_stream_has_our_label_and_leaves_to_the_cluster_what_is_not_said() -> None:
    wanted = subject({**app(scheduled=True), "labels": {"team": "a"}, "annotations": {"on": True}})
    (change,) = wanted.plan(state()).changes
    assert change.request.body == {
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStream",
        "metadata": {
            "name": "app",
            "namespace": "demo",
            "labels": {**MANAGED_BY, "team": "a"},
            "annotations": {"on": "true"},
        },
        "spec": {
            "lookupPolicy": {"local": False},
            "tags": [
                {
                    "name": "v1",
                    "from": {"kind": "DockerImage", "name": APP},
                    "importPolicy": {"scheduled": True},
                    "referencePolicy": {"type": "Source"},
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("entry", "item"),
    [
        (app(), there(v1={})),
        (app(), there(ours=False, v1={})),
        ({"name": "app"}, there(v1={}, theirs={})),
        (app(import_mode="Legacy"), there(v1={"policy": {}})),
        (app(), there(v1={"policy": {"importMode": "PreserveOriginal"}})),
        (app(), there(v1={"image": "", "seen": 3})),
        ({"name": "app", "tags": [{"name": "never", "state": "absent"}]}, there(v1={})),
        ({"name": "app", "state": "absent"}, there("other")),
        (
            {"name": "app", "tags": [{"name": "v1", "from": "app:v0", "from_kind": "ImageStreamTag"}]},
            there(v1={"source": {"kind": "ImageStreamTag", "name": "app:v0", "namespace": "demo"}}),
        ),
    ],
)
def test_what_is_as_wanted_changes_nothing(entry: dict[str, Any], item: dict[str, Any]) -> None:
    assert planned(subject(entry), item) == []


def test_what_others_wrote_stays() -> None:
    item = there(theirs={}, v1={"policy": {"importMode": "Legacy", "insecure": True}})
    untouched = copy.deepcopy(item)
    tags = written(subject(app(scheduled=True)), item)
    assert item == untouched
    assert tags["theirs"] == item["spec"]["tags"][0]
    assert tags["v1"]["importPolicy"] == {"importMode": "Legacy", "scheduled": True}
    assert tags["v1"]["generation"] == 3


@pytest.mark.parametrize(
    ("tag", "item", "options", "again"),
    [
        ({}, {"failed": "NotFound"}, {}, True),
        ({"import_mode": "PreserveOriginal"}, {}, {}, True),
        ({"scheduled": True}, {}, {}, False),
        ({}, {}, {"import": "always"}, True),
        ({"from": "ghcr.io/acme/app:2"}, {}, {}, False),
    ],
)
def test_generation_zero_asks_for_another_import(
    tag: dict[str, Any], item: dict[str, Any], options: dict[str, Any], again: bool
) -> None:
    assert (written(subject(app(**tag), **options), there(v1=item))["v1"]["generation"] == 0) is again


def test_what_has_moved_is_imported_and_told() -> None:
    wanted = subject(app(), **{"import": "when_changed"})
    assert planned(wanted, there(v1={}), sources={"v1": OLD}) == []
    plan = wanted.plan(state(there(v1={}), sources={"v1": NEW}))
    assert [str(change) for change in plan.changes] == ["update ImageStream demo/app"]
    drift = {"namespace": "demo", "name": "app", "tag": "v1", "source": APP, "imported": OLD, "current": NEW}
    assert plan.result["drift"] == [drift]


def test_a_source_that_cannot_be_read_changes_nothing_and_is_told() -> None:
    failure = Failure("demo", "app", "v1", APP, "NotFound", "words")
    plan = subject(app(), **{"import": "when_changed"}).plan(state(there(v1={}), sources={"v1": failure}))
    assert plan.changes == []
    assert plan.warnings == [f"demo/app:v1 could not be imported from {APP} (NotFound): words."]


def test_a_tag_that_was_renewed_before_a_conflict_is_not_renewed_twice() -> None:
    wanted = subject(app(), **{"import": "always"})
    assert planned(wanted, there(v1={})) == ["1 update ImageStream demo/app"]
    renewed = there(v1={})
    renewed["spec"]["tags"][0]["generation"] = 4
    assert planned(wanted, renewed) == []


def test_what_is_not_imported_in_time_is_named() -> None:
    wanted, pending = subject(app()), there(v1={"seen": 2}, theirs={"seen": 2})

    class Stuck:
        def list_in(self, *_arguments: Any) -> list[Any]:
            return [pending]

        def map(self, function: Any, items: Any) -> list[Any]:
            return [function(item) for item in items]

        def wait(self, _kind: Any, _name: str, _namespace: str, until: Any, _deadline: float, describe: Any) -> None:
            assert not until(pending)
            raise RegistryError(describe(pending))

    with pytest.raises(RegistryError, match=r"demo/app: not imported after 1 seconds: v1\. The image"):
        wanted.wait(Stuck(), wanted.plan(state(pending)))  # type: ignore[arg-type]
    assert subject(app(), wait=False).wait(Stuck(), wanted.plan(state(pending))) == {}  # type: ignore[arg-type]


def test_streams_come_after_those_that_their_tags_point_into_and_deletions_at_last() -> None:
    follows = {"from": "app:v1", "from_kind": "ImageStreamTag"}
    wanted = subject(
        {"name": "b", "tags": [{"name": "x", **follows}]},
        {"name": "c", "tags": [{"name": "x", "from": "b:x", "from_kind": "ImageStreamTag"}]},
        app(),
        {"name": "gone", "state": "absent"},
    )
    assert planned(wanted, there("gone")) == [
        "1 create ImageStream demo/app",
        "2 create ImageStream demo/b",
        "3 create ImageStream demo/c",
        "4 delete ImageStream demo/gone",
    ]


def test_streams_that_point_into_each_other_do_not_go_round_in_circles() -> None:
    wanted = subject(
        {"name": "a", "tags": [{"name": "x", "from": "b:y", "from_kind": "ImageStreamTag"}]},
        {"name": "b", "tags": [{"name": "z", "from": "a:w", "from_kind": "ImageStreamTag"}]},
    )
    assert len(planned(wanted)) == 2


def test_a_tag_is_deleted_by_itself_so_that_its_history_goes_too() -> None:
    wanted = subject({"name": "app", "tags": [{"name": "v1", "state": "absent"}]})
    (change,) = wanted.plan(state(there(v1={}))).changes
    assert (change.action, change.kind, change.name) == ("delete", "ImageStreamTag", "app:v1")
    assert change.request.path == "/apis/image.openshift.io/v1/namespaces/demo/imagestreamtags/app:v1"
    pushed = there()
    pushed["status"]["tags"] = [{"tag": "v1", "items": [{"image": OLD, "generation": 1}]}]
    assert len(planned(wanted, pushed)) == 1


def test_purge_deletes_what_is_ours_and_not_listed() -> None:
    items = there(v1={}), there("gone"), there("theirs", ours=False)
    assert planned(subject(app()), *items) == []
    assert planned(subject(app(), purge=True), *items) == ["2 delete ImageStream demo/gone"]


def test_a_missing_project_is_created_first() -> None:
    changes = subject(app()).plan(state(projects=Projects(("demo",)))).changes
    assert [(change.stage, change.kind) for change in changes] == [(0, "Namespace"), (1, "ImageStream")]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "App"}], r"image_streams\[0\]\.name: 'App' cannot be the name of an image stream"),
        (
            [{"name": "app", "namespace": "a.b"}],
            r"image_streams\[0\]\.namespace: 'a\.b' cannot be the name of a project",
        ),
        ([{"name": "app"}, {"name": "app"}], r"image_streams\[1\]: demo/app is listed before"),
        ([{"name": "app", "tags": app()["tags"] * 2}], r"tags\[1\]: v1 is listed before"),
        ([app(name="a:b")], r"tags\[0\]\.name: 'a:b' is not a tag"),
        ([app(**{"from": ""})], r"tags\[0\]\.from is missing"),
        ([app(**{"from": "Docker.io/UPPER:1"})], r"tags\[0\]\.from: 'UPPER' must be in lower case: 'upper'"),
        ([app(**{"from": "ghcr.io/acme/app"})], r"neither tag nor digest\. Write 'ghcr\.io/acme/app:latest'"),
        ([app(**{"from": "ghcr.io/acme/app:a b"})], "is not a tag"),
        ([app(from_kind="ImageStreamTag", **{"from": "app"})], r"'app' is no ImageStreamTag: write STREAM:TAG"),
        ([app(from_kind="ImageStreamImage", **{"from": "app@v1"})], "is not a digest"),
        ([app(from_namespace="other")], r"from_namespace is for from_kind ImageStreamTag"),
        (
            [app(from_kind="ImageStreamTag", scheduled=True, **{"from": "a:b"})],
            r"scheduled is for from_kind DockerImage",
        ),
        ([app(scheduled=True, **{"from": f"ghcr.io/acme/app@{OLD}"})], "names a digest"),
        ([{"name": "app", "labels": {"a": []}}], r"labels\.a: the value must be text"),
    ],
)
def test_what_cannot_be_meant_is_refused(entries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(*entries)


def test_an_entry_without_a_project_is_refused() -> None:
    with pytest.raises(InputError, match=r"image_streams\[0\]: namespace is missing"):
        subject({"name": "app"}, namespace=None)


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        ("NotFound", "x", "Check the name and the tag"),
        ("NoImage", "x", "Import or push that one first"),
        ("InternalError", "tls: x509: certificate signed by unknown authority", "additionalTrustedCA"),
        ("InternalError", "tls: x509: certificate has expired or is not yet valid", "must be renewed"),
        ("InternalError", "tls: x509: certificate is valid for a, not b", "Use a name"),
        ("InternalError", "http: server gave HTTP response to HTTPS client", "insecure: true"),
        ("InternalError", "toomanyrequests: You have reached your pull rate limit", "pull secret in project demo"),
        ("InternalError", "dial tcp: i/o timeout", "cannot reach the registry"),
        ("InternalError", "anything else", "told by the registry"),
    ],
)
def test_every_kind_of_failure_has_a_remedy(reason: str, message: str, words: str) -> None:
    assert words in remedy(Failure("demo", "app", "v1", APP, reason, message), {})


def test_a_refused_credential_is_named_and_its_password_is_not() -> None:
    failure = Failure("demo", "app", "v1", APP, "Unauthorized", "no access")
    config = auth.parse(json.dumps({"auths": {"ghcr.io": {"auth": "bWU6c2VjcmV0"}}}), "pull")
    assert remedy(failure, {"pull": config, "empty": {}}).startswith(
        "The registry was asked as user me of Secret pull:"
    )
    assert "secret is missing" in remedy(failure, {"empty": {}})
    assert "which you may not read" in remedy(failure, None)


def test_many_failures_are_counted_and_all_returned() -> None:
    failures = [Failure("demo", "app", f"v{number}", APP, "NotFound", "gone") for number in range(13)]

    class Nobody:
        def list_in(self, *_arguments: Any, **_options: Any) -> list[Any]:
            return []

    error = refuse(Nobody(), failures, {"drift": []})  # type: ignore[arg-type]
    assert isinstance(error, RegistryError)
    lines = str(error).splitlines()
    assert (len(lines), lines[-1]) == (11, "And 3 more.")
    assert len(error.details["failures"]) == 13
