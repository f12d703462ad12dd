"""Pull secrets: what is merged, what is asked for, what is refused. No cluster, no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from test_credentials import jwt

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import docker_config
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_secrets import GLOBAL, PullSecrets, State
from ansible_collections.quayside.registry.plugins.modules.pull_secrets import ARGUMENT_SPEC

GHCR = {"registry": "ghcr.io", "username": "ann", "password": "secret-value"}
ECR = {"registry": "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr": {}}
NOW = 1_800_000_000


def subject(*entries: dict[str, Any], **options: Any) -> PullSecrets:
    given = {"namespace": "demo", "pull_secrets": list(entries), **options}
    validation = ArgumentSpecValidator(ARGUMENT_SPEC).validate(given)
    assert not validation.error_messages, validation.error_messages
    wanted = PullSecrets(validation.validated_parameters)
    wanted._now = NOW
    return wanted


def auths(**registries: str) -> dict[str, Any]:
    return {name: {"auth": base64.b64encode(value.encode()).decode()} for name, value in registries.items()}


def secret(
    name: str,
    entries: Mapping[str, Any],
    ours: bool = True,
    recorded: Mapping[str, str] | None = None,
    namespace: str = "demo",
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": "7"}
    metadata["labels"] = dict(MANAGED_BY) if ours else {}
    if recorded is not None:
        metadata["annotations"] = {docker_config.ANNOTATION: json.dumps(recorded)}
    data = base64.b64encode(json.dumps({"auths": entries}).encode()).decode()
    return {"metadata": metadata, "type": docker_config.TYPE, "data": {docker_config.FIELD: data}}


def account(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "demo", "resourceVersion": "3"}, **fields}


def state(wanted: PullSecrets, *items: dict[str, Any], global_: dict[str, Any] | None = None) -> State:
    targets = {(namespace, entry.name): entry for entry in wanted.entries for namespace in entry.namespaces}
    secrets = {("demo", item["metadata"]["name"]): item for item in items if "type" in item}
    accounts = {("demo", item["metadata"]["name"]): item for item in items if "type" not in item}
    if wanted._global:
        targets[GLOBAL] = wanted._global
        secrets.update({GLOBAL: global_} if global_ else {})
    return State(targets, secrets, accounts, [], cast(Cluster, None))


def content(change: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(base64.b64decode(change.request.body["data"][docker_config.FIELD]))
    return config


def test_a_new_secret_is_labelled_records_what_is_ours_and_shows_no_password() -> None:
    wanted = subject({"name": "pull", "registries": [GHCR, {**GHCR, "registry": "docker.io"}]})
    (change,) = wanted.plan(state(wanted)).changes
    assert change.request.body["metadata"]["labels"] == MANAGED_BY
    assert change.request.body["type"] == docker_config.TYPE
    assert set(content(change)["auths"]) == {"ghcr.io", "https://index.docker.io/v1/"}
    recorded = change.request.body["metadata"]["annotations"][docker_config.ANNOTATION]
    assert json.loads(recorded) == {"ghcr.io": "", "https://index.docker.io/v1/": ""}
    assert change.after is not None
    shown = change.after["data"][docker_config.FIELD]["auths"]["ghcr.io"]
    assert shown == {"username": "ann", "password": "VALUE_HIDDEN_NEW"}
    assert "secret-value" not in str(change) + str(change.before) + str(change.after) + repr(wanted.entries)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (secret("pull", auths(**{"ghcr.io": "ann:secret-value"}), ours=False), []),
        (secret("pull", auths(**{"ghcr.io": "ann:secret-value"}), recorded={"ghcr.io": ""}), []),
        (secret("pull", auths(**{"ghcr.io": "ann:older"}), recorded={"ghcr.io": ""}), ["update Secret demo/pull"]),
        (secret("pull", auths(**{"ghcr.io": "bob:secret-value"})), ["update Secret demo/pull"]),
        (secret("pull", auths(**{"theirs.io": "x:y"})), ["update Secret demo/pull"]),
        (secret("other", {}), ["create Secret demo/pull"]),
    ],
)
def test_what_is_stored_is_looked_at_first(there: dict[str, Any], expected: list[str]) -> None:
    wanted = subject({"name": "pull", "registries": [GHCR]})
    assert [str(change) for change in wanted.plan(state(wanted, there)).changes] == expected


def test_entries_of_others_stay() -> None:
    there = secret("pull", auths(**{"theirs.io": "x:y"}), ours=False)
    wanted = subject({"name": "pull", "registries": [GHCR]})
    (change,) = wanted.plan(state(wanted, there)).changes
    assert set(content(change)["auths"]) == {"theirs.io", "ghcr.io"}
    assert change.request.body["metadata"]["resourceVersion"] == "7"
    assert "labels" not in change.request.body["metadata"]  # it stays theirs, so that purge leaves it alone


def test_links_come_after_their_secret_and_go_before_it() -> None:
    wanted = subject({"name": "pull", "registries": [GHCR], "pull": ["default"], "mount": ["default"]})
    there = account("default", imagePullSecrets=[{"name": "theirs"}])
    secret_change, link = wanted.plan(state(wanted, there)).changes
    assert (secret_change.stage, link.stage) == (1, 2)
    assert link.request.body == {
        "metadata": {"resourceVersion": "3"},
        "imagePullSecrets": [{"name": "theirs"}, {"name": "pull"}],
        "secrets": [{"name": "pull"}],
    }
    gone = subject({"name": "pull", "state": "absent"})
    linked = account("ci", imagePullSecrets=[{"name": "pull"}, {"name": "theirs"}])
    changes = gone.plan(state(gone, secret("pull", {}), linked, account("default"))).changes
    assert sorted((change.stage, str(change)) for change in changes) == [
        (1, "update ServiceAccount demo/ci"),
        (2, "delete Secret demo/pull"),
    ]


def test_a_token_is_asked_for_only_in_the_run() -> None:
    login = {"registry": "r.example.com", "service_account": {"name": "ci", "namespace": "demo"}}
    wanted = subject({"name": "pull", "registries": [login]})
    plan = wanted.plan(state(wanted))
    (change,) = plan.changes
    assert content(change)["auths"]["r.example.com"]["auth"] == base64.b64encode(b"ci:").decode()
    assert plan.prepare is not None
    assert plan.result["pull_secrets"][0]["registries"][0]["reason"] == "none is stored"
    good = jwt(sub="system:serviceaccount:demo:ci", exp=NOW + 50_000)
    assert wanted.plan(state(wanted, secret("pull", auths(**{"r.example.com": f"ci:{good}"})))).changes == []


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ({ECR["registry"]: "2027-01-15T16:00:00Z"}, None),
        ({ECR["registry"]: "2027-01-15T13:00:00Z"}, "the token expires at 2027-01-15T13:00:00Z"),
        ({ECR["registry"]: "2027-01-15T07:00:00Z"}, "the token has expired at 2027-01-15T07:00:00Z"),
        ({}, "what is stored does not say when it expires"),
    ],
)
def test_the_end_of_a_token_of_ecr_is_recorded_beside_it(recorded: dict[str, str], reason: str | None) -> None:
    wanted = subject({"name": "pull", "registries": [ECR]})
    there = secret("pull", auths(**{str(ECR["registry"]): "AWS:opaque"}), recorded=recorded)
    plan = wanted.plan(state(wanted, there))
    assert len(plan.changes) == (reason is not None)
    assert plan.result["pull_secrets"][0]["registries"][0]["reason"] == (reason or "")


def test_purge_takes_what_is_ours_and_not_listed() -> None:
    wanted = subject({"name": "pull", "registries": [GHCR]}, purge=True)
    there = [
        secret(
            "pull",
            auths(**{"ghcr.io": "ann:secret-value", "old.io": "a:b", "theirs.io": "a:b"}),
            recorded={"old.io": ""},
        ),
        secret("gone", auths(**{"ghcr.io": "a:b"}), recorded={"ghcr.io": ""}),
        secret("theirs", auths(**{"ghcr.io": "a:b"}), ours=False, recorded={"ghcr.io": ""}),
        secret("another-modules", {}),
        account("default", imagePullSecrets=[{"name": "gone"}]),
    ]
    changes = {str(change): change for change in wanted.plan(state(wanted, *there)).changes}
    assert set(changes) == {
        "update Secret demo/pull",
        "delete Secret demo/gone",
        "update ServiceAccount demo/default",
    }
    assert set(content(changes["update Secret demo/pull"])["auths"]) == {"ghcr.io", "theirs.io"}


def test_the_global_pull_secret_keeps_what_it_has() -> None:
    theirs = auths(**{"cloud.openshift.com": "a:b", "ghcr.io": "a:b"})
    there = secret(GLOBAL[1], theirs, ours=False, recorded={"ghcr.io": ""}, namespace=GLOBAL[0])
    wanted = subject(global_registries=[GHCR])
    (change,) = wanted.plan(state(wanted, global_=there)).changes
    assert set(content(change)["auths"]) == {"cloud.openshift.com", "ghcr.io"}
    gone = subject(global_registries=[{"registry": "ghcr.io", "state": "absent"}])
    (change,) = gone.plan(state(gone, global_=there)).changes
    assert set(content(change)["auths"]) == {"cloud.openshift.com"}
    for login, adopt in [({"state": "absent"}, False), ({"state": "absent"}, True), (GHCR, False)]:
        refused = subject(global_registries=[{**login, "registry": "cloud.openshift.com"}], adopt=adopt)
        with pytest.raises(InputError, match=r"global_registries\[0\] \(cloud.openshift.com\)"):
            refused.plan(state(refused, global_=there))
    adopted = subject(global_registries=[{**GHCR, "registry": "cloud.openshift.com"}], adopt=True)
    assert len(adopted.plan(state(adopted, global_=there)).changes) == 1


def test_passwords_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "of-the-environment")
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    file.chmod(0o640)
    base = {"username": "ann"}
    wanted = subject(
        {
            "name": "pull",
            "registries": [
                {**base, "registry": "a.example.com", "password_env": "TOKEN"},
                {**base, "registry": "b.example.com", "password_file": str(file)},
            ],
        }
    )
    (change,) = wanted.plan(state(wanted)).changes
    assert content(change)["auths"] == auths(
        **{"a.example.com": "ann:of-the-environment", "b.example.com": "ann:of-the-file"}
    )
    assert wanted._warnings == [f"{file} holds a password and others may read it (mode 0640): chmod 600 it."]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"name": "Pull", "registries": [GHCR]}], r"pull_secrets\[0\]\.name: 'Pull' cannot be such a name"),
        ([{"name": "pull"}], r"pull_secrets\[0\]: registries is empty"),
        ([{"name": "pull", "namespaces": ["A"], "registries": [GHCR]}], r"namespaces: 'A' cannot be the name"),
        ([{"name": "pull", "registries": [GHCR], "pull": ["_"]}], r"pull_secrets\[0\]\.pull: '_'"),
        ([{"name": "pull", "registries": [GHCR, GHCR]}], r"registries\[1\] \(ghcr.io\): the registry is listed before"),
        ([{"name": "pull", "registries": [{**GHCR, "registry": "https://ghcr.io"}]}], "is a URL. Write the host alone"),
        ([{"name": "pull", "registries": [{**GHCR, "username": None}]}], "username is missing"),
        (
            [{"name": "pull", "registries": [{"registry": "x.io", "username": "a", "password_env": "NO"}]}],
            "no variable NO",
        ),
        (
            [{"name": "pull", "registries": [{"registry": "x.io", "ecr": {}}]}],
            "is not the name of a private registry of ECR",
        ),
        (
            [{"name": "pull", "registries": [{**ECR, "ecr": {"region": "eu-north-1"}}]}],
            "the registry's name says eu-west-1",
        ),
        ([{"name": "pull", "registries": [{**ECR, "renew_before": 43200}]}], "less than the 43200 seconds"),
        ([{"name": "pull", "registries": [{**ECR, "username": "ann"}]}], "username is always AWS"),
        ([{"name": "pull", "registries": [GHCR]}, {"name": "pull", "state": "absent"}], "is wanted by pull_secrets"),
        ([{"name": GLOBAL[1], "namespaces": GLOBAL[0], "state": "absent"}], "Give its registries as global_registries"),
    ],
)
def test_what_cannot_be_meant_is_refused(entries: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        subject(*entries)


def test_a_namespace_is_needed() -> None:
    with pytest.raises(InputError, match=r"pull_secrets\[0\]: namespaces is missing"):
        subject({"name": "pull", "registries": [GHCR]}, namespace=None)


def test_a_given_token_that_has_expired_is_refused() -> None:
    with pytest.raises(InputError, match="the token of user ann has expired at 2017-07-14T02:40:00Z"):
        subject({"name": "pull", "registries": [{**GHCR, "password": jwt(sub="x", exp=1_500_000_000)}]})


def test_a_given_token_of_ecr_that_has_expired_is_refused() -> None:
    said = {"payload": "x", "datakey": "x", "version": "2", "type": "DATA_KEY", "expiration": 1_500_000_000}
    login = {
        "registry": ECR["registry"],
        "username": "AWS",
        "password": base64.b64encode(json.dumps(said).encode()).decode(),
    }
    with pytest.raises(InputError, match="the token of user AWS has expired at 2017-07-14T02:40:00Z") as refusal:
        subject({"name": "pull", "registries": [login]})
    assert str(refusal.value).startswith(f"pull_secrets[0].registries[0] ({ECR['registry']}): ")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({**secret("pull", {}), "type": "Opaque"}, "exists and is of type Opaque"),
        ({**secret("pull", {}), "data": {docker_config.FIELD: "bm90IGpzb24="}}, "Secret demo/pull is not JSON"),
        (secret("pull", {}, recorded=cast(Any, ["x"])), "the annotation quayside.registry/registries is broken"),
    ],
)
def test_a_secret_that_cannot_be_merged_is_explained(there: dict[str, Any], said: str) -> None:
    wanted = subject({"name": "pull", "registries": [GHCR]})
    with pytest.raises(InputError, match=said):
        wanted.plan(state(wanted, there))


def test_a_missing_account_is_named() -> None:
    wanted = subject({"name": "pull", "registries": [GHCR], "pull": ["ghost"]})
    with pytest.raises(InputError, match=r"pull_secrets\[0\]\.pull: there is no service account ghost in demo\."):
        wanted.plan(state(wanted, account("default")))


def test_an_ecr_token_that_says_when_it_ends() -> None:
    said = {"payload": "x", "datakey": "x", "version": "2", "type": "DATA_KEY", "expiration": NOW}
    token = base64.b64encode(json.dumps(said).encode()).decode()
    assert credentials.expiry(token) == NOW
    for other in ("", "opaque", "bnVsbA==", "e30="):
        assert credentials.expiry(other) is None
