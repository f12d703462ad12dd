"""What a Quay's components, configuration and bundle come to, by tables."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
import yaml
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import quay_components, quay_config
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    MANAGED_BY,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.projects import Projects
from ansible_collections.quayside.registry.plugins.module_utils.openshift.quay_registry import QuayRegistry, State
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

OWNER = {"kind": "QuayRegistry", "name": "q", "uid": "r"}
OURS = {**MANAGED_BY, "quayside.registry/quayregistry": "q"}


def subject(**params: Any) -> QuayRegistry:
    nothing = dict.fromkeys(
        ("components", "config", "initial_config", "secret_config", "extra_ca_certs", "tls_certificate", "tls_key")
    )
    defaults = {
        "name": "q",
        "namespace": "ns",
        "state": "present",
        "purge_data": False,
        "create_projects": False,
        "earlier_changes": [],
    }
    return QuayRegistry({**nothing, **defaults, "wait": True, "wait_timeout": 1, **params})


def secret(name: str, labels: Any = None, **files: str) -> Any:
    data = {key.replace("_", "."): base64.b64encode(text.encode()).decode() for key, text in files.items()}
    return {"metadata": {"name": name, "namespace": "ns", "uid": "u", "labels": labels or {}}, "data": data}


def registry(bundle: str = "mine", *components: Any) -> Any:
    spec = {"configBundleSecret": bundle, "components": list(components)}
    return {"metadata": {"name": "q", "namespace": "ns", "uid": "r", "generation": 3}, "spec": spec}


def planned(quay: QuayRegistry, there: Any = None, bundle: Any = None, *bundles: Any, **more: Any) -> Plan:
    state = State(there, bundle, list(bundles), Projects(), **more)
    untouched = copy.deepcopy(state)
    plan = quay.plan(state)
    assert state == untouched
    return plan


def lines(plan: Plan) -> list[str]:
    return [str(change).replace(plan.result.get("config_bundle_secret", "no bundle"), "NEW") for change in plan.changes]


def config_of(plan: Plan) -> Any:
    return yaml.safe_load(base64.b64decode(plan.changes[0].request.body["data"]["config.yaml"]))


def test_from_nothing_there_is_a_bundle_and_then_a_registry() -> None:
    plan = planned(subject(config={"FEATURE_MAILING": False}, components=[{"kind": "monitoring", "managed": False}]))
    assert lines(plan) == ["create Secret ns/NEW", "create QuayRegistry ns/q"]
    assert [change.stage for change in plan.changes] == [1, 2]
    assert plan.changes[0].request.body["metadata"]["labels"] == OURS
    assert plan.changes[1].request.body["spec"] == {
        "configBundleSecret": plan.result["config_bundle_secret"],
        "components": [{"kind": "monitoring", "managed": False}],
    }
    again = planned(subject(config={"FEATURE_MAILING": False}))
    assert again.result["config_bundle_secret"] == plan.result["config_bundle_secret"]


@pytest.mark.parametrize(
    ("stored", "params", "config"),
    [
        (
            "A: 1\nSECRET_KEY: s\n",
            {"config": {"FEATURE_MAILING": True}},
            {"A": 1, "SECRET_KEY": "s", "FEATURE_MAILING": True},
        ),
        ("A: 1\nFEATURE_MAILING: true\n", {"config": {"FEATURE_MAILING": None}}, {"A": 1}),
        ("SUPER_USERS: [a]\n", {"config": {"SUPER_USERS": ["b"]}}, {"SUPER_USERS": ["b"]}),
        ("DB_URI: old\n", {"secret_config": {"DB_URI": "new"}}, {"DB_URI": "new"}),
    ],
)
def test_a_changed_key_makes_a_new_bundle_with_all_that_was_there(stored: str, params: Any, config: Any) -> None:
    plan = planned(subject(**params), registry(), secret("mine", config_yaml=stored, extra="kept"))
    assert lines(plan) == ["create Secret ns/NEW", "update QuayRegistry ns/q"]
    assert config_of(plan) == config
    assert plan.changes[0].request.body["data"]["extra"] == base64.b64encode(b"kept").decode()
    assert "old" not in str(plan.changes[0].after)


@pytest.mark.parametrize(
    ("stored", "params"),
    [
        ("# of mine\nFEATURE_MAILING:   false\n", {"config": {"FEATURE_MAILING": False}}),
        ("A: 1\n", {"config": {"FEATURE_MAILING": None}}),
        ("A: 1\n", {"components": [{"kind": "quay", "managed": True}]}),
        ("A: 1\n", {"components": [{"kind": "redis", "managed": True, "overrides": {}}]}),
    ],
)
def test_what_is_as_wanted_changes_nothing(stored: str, params: Any) -> None:
    there = registry(
        "mine", {"kind": "quay", "managed": True, "overrides": {"env": []}}, {"kind": "redis", "managed": True}
    )
    assert lines(planned(subject(**params), there, secret("mine", config_yaml=stored))) == []


def test_bundles_that_are_no_longer_used_go_and_one_of_an_interrupted_run_is_used() -> None:
    quay = {"config": {"FEATURE_MAILING": True}}
    old, theirs = secret("old", OURS, config_yaml="A: 1\n"), secret("x", {"quayside.registry/quayregistry": "q"})
    first = planned(subject(**quay), registry("old"), old, old, theirs)
    assert lines(first) == ["create Secret ns/NEW", "update QuayRegistry ns/q", "delete Secret ns/old"]
    made = secret(first.result["config_bundle_secret"], OURS)
    second = planned(subject(**quay), registry("old"), old, old, made)
    assert lines(second) == ["update QuayRegistry ns/q", "delete Secret ns/old"]


@pytest.mark.parametrize(
    ("stored", "wanted", "merged"),
    [
        ([], [{"kind": "tls", "managed": False}], [{"kind": "tls", "managed": False}]),
        ([{"kind": "quay", "managed": True, "overrides": {"env": [1]}}], [{"kind": "quay", "managed": True}],
         [{"kind": "quay", "managed": True, "overrides": {"env": [1]}}]),
        ([{"kind": "quay", "managed": True, "overrides": {"env": [1]}}],
         [{"kind": "quay", "managed": True, "overrides": {}}], [{"kind": "quay", "managed": True}]),
        ([{"kind": "redis", "managed": True, "overrides": {"env": [1]}}, {"kind": "clair", "managed": True}],
         [{"kind": "redis", "managed": False}], [{"kind": "redis", "managed": False}, {"kind": "clair", "managed": True}]),
        ([], [{"kind": "postgres", "managed": True, "overrides": {"volume_size": "9Gi", "env": None}}],
         [{"kind": "postgres", "managed": True, "overrides": {"volumeSize": "9Gi"}}]),
    ],
)  # fmt: skip
def test_components_are_merged_by_kind(stored: Any, wanted: Any, merged: Any) -> None:
    assert quay_components.merge(stored, quay_components.parse(wanted)) == merged


def component(kind: str, managed: bool = True, **overrides: Any) -> Any:
    return {"kind": kind, "managed": managed, "overrides": overrides or None}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"components": [component("postgres", False)]}, "postgres is unmanaged, and DB_URI missing. Set DB_URI in secret_c"),
        ({"components": [component("redis", False)], "secret_config": {"BUILDLOGS_REDIS": {"host": "r"}}},
         "redis is unmanaged, and USER_EVENTS_REDIS missing"),
        ({"components": [component("objectstorage", False)]}, "and DISTRIBUTED_STORAGE_CONFIG missing"),
        ({"components": [component("route", False)]}, "route is unmanaged, and SERVER_HOSTNAME missing"),
        ({"components": [component("tls", False)]}, "tls is unmanaged, and ssl.cert and ssl.key missing. Set tls_certificate"),
        ({"components": [component("quay", replicas=2)]}, "replicas of quay cannot be set while horizontalpodautoscaler"),
        ({"components": [component("redis", volume_size="1Gi")]}, r"components\[0\]\.overrides: redis takes no volumeSize"),
        ({"components": [component("postgres", volume_size="big")]}, "'big' is not a quantity such as 50Gi"),
        ({"components": [component("clair", replicas=-1)]}, "replicas: must be 0 or more"),
        ({"components": [component("clair", False, env=[{"name": "A"}])]}, "clair is unmanaged, so there is nothing to over"),
        ({"components": [component("clair"), component("clair")]}, r"components\[1\]: clair is listed before"),
        ({"config": {"FEATURE_MAILNG": True}}, "Quay has no key FEATURE_MAILNG. Did you mean FEATURE_MAILING?"),
        ({"config": {"feature_mailing": True}}, "Quay has no key feature_mailing. Did you mean FEATURE_MAILING?"),
        ({"config": {"FEATURE_MAILING": "yes"}}, "config.FEATURE_MAILING: the value must be true or false"),
        ({"config": {"SUPER_USERS": "admin"}}, "config.SUPER_USERS: the value must be a list"),
        ({"config": {"REPO_MIRROR_INTERVAL": True}}, "the value must be a whole number"),
        ({"config": {"AUTHENTICATION_TYPE": "Ldap"}}, "'Ldap' is none of AppToken, Database"),
        ({"config": {"MAIL_PASSWORD": "p"}}, "MAIL_PASSWORD holds a secret. Move it to secret_config"),
        ({"config": {"A": 1}, "secret_config": {"A": 2}}, "A cannot be in config, too"),
        ({"extra_ca_certs": {"a": "no"}}, "extra_ca_certs.a holds no certificate"),
        ({"tls_certificate": "x"}, "tls_certificate and tls_key belong together"),
        ({"name": "Q"}, "name: 'Q' cannot be"),
        ({"purge_data": True}, "purge_data needs state: absent"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(params: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(subject(**params))


def test_a_certificate_needs_its_key_and_the_component_unmanaged() -> None:
    one, other = issue("quay", hosts=["quay.example.com"]), issue("other")
    with pytest.raises(InputError, match="tls_key is not the key"):
        subject(tls_certificate=one.certificate, tls_key=other.key)
    given = {"tls_certificate": one.certificate, "tls_key": one.key}
    with pytest.raises(InputError, match="component tls is managed"):
        planned(subject(components=[component("tls")], **given))
    plan = planned(subject(components=[component("tls", False)], **given))
    assert set(plan.changes[0].request.body["data"]) == {"config.yaml", "ssl.cert", "ssl.key"}
    assert one.key not in str(plan.changes[0].after)


@pytest.mark.parametrize("text", ["a: [b", "- a"])
def test_a_stored_bundle_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(RegistryError, match=r"config\.yaml of the bundle mine is not"):
        planned(subject(config={"FEATURE_MAILING": True}), registry(), secret("mine", config_yaml=text))


def test_keys_that_nobody_knows_pass_with_a_warning_once() -> None:
    plan = planned(subject(config={"MY_OWN": 1}))
    assert plan.warnings == ["config: MY_OWN is not a key that this collection knows. It is passed on as it is."]
    assert planned(subject(config={"MY_OWN": 1}), registry(), secret("mine", config_yaml="MY_OWN: 1")).warnings == []


def test_the_configuration_is_shown_without_its_secrets() -> None:
    shown = quay_config.masked({"DB_URI": "u", "SECRET_KEY": "s", "OIDC_LOGIN_CONFIG": {}, "FEATURE_MAILING": True})
    hidden = dict.fromkeys(("DB_URI", "SECRET_KEY", "OIDC_LOGIN_CONFIG"), "VALUE_HIDDEN")
    assert shown == {**hidden, "FEATURE_MAILING": True}


def test_only_what_is_secret_is_hidden_everywhere() -> None:
    storage = {"default": ["RadosGWStorage", {"bucket_name": "quay", "secret_key": "s3cr3t", "port": 443}]}
    redis = {"host": "redis", "password": "pass", "username": "pass"}
    given = {"DISTRIBUTED_STORAGE_CONFIG": storage, "USER_EVENTS_REDIS": redis, "DB_URI": "postgresql://quay:p@h/quay"}
    assert quay_config.harmless(given) == {"RadosGWStorage", "quay", "443", "redis"}


def claim(*owners: Any) -> Any:
    return {"metadata": {"name": "q-quay-postgres-13", "namespace": "ns", "uid": "c", "ownerReferences": list(owners)}}


def test_absent_takes_the_data_from_the_registry_before_that_goes() -> None:
    other = {"kind": "Other", "name": "o"}
    data = [(PERSISTENT_VOLUME_CLAIM, claim(OWNER, other)), (SECRET, secret("q-quay-registry-managed-secret-keys"))]
    plan = planned(subject(state="absent"), registry(), None, data=data)
    assert lines(plan) == ["update PersistentVolumeClaim ns/q-quay-postgres-13", "delete QuayRegistry ns/q"]
    assert [change.stage for change in plan.changes] == [0, 1]
    assert plan.changes[0].request.body["metadata"]["ownerReferences"] == [other]
    assert plan.result["kept"] == [
        "PersistentVolumeClaim q-quay-postgres-13",
        "Secret q-quay-registry-managed-secret-keys",
    ]
    gone = planned(subject(state="absent"), None, None, data=[(PERSISTENT_VOLUME_CLAIM, claim())])
    assert lines(gone) == []


def test_purge_data_removes_everything_of_the_registry() -> None:
    bundles = (secret("old", OURS), secret("theirs", {"quayside.registry/quayregistry": "q"}))
    quay = subject(state="absent", purge_data=True)
    plan = planned(quay, registry("old"), bundles[0], *bundles, data=[(PERSISTENT_VOLUME_CLAIM, claim(OWNER))])
    assert sorted(lines(plan)) == [
        "delete PersistentVolumeClaim ns/q-quay-postgres-13",
        "delete QuayRegistry ns/q",
        "delete Secret ns/old",
    ]


def test_initial_config_counts_when_the_registry_is_created_and_never_again() -> None:
    initial = {"FEATURE_USER_INITIALIZE": True}
    created = planned(subject(initial_config=initial))
    assert created.result["config"] == initial
    made = next(change.request.body for change in created.changes if change.kind == "Secret")
    lock = subject(config={"FEATURE_USER_INITIALIZE": False}, initial_config=initial)
    locked = planned(lock, registry(made["metadata"]["name"]), made, made)
    assert [str(change) for change in locked.changes if change.action != "create"] == [
        "update QuayRegistry ns/q",
        f"delete Secret ns/{made['metadata']['name']}",
    ]
    assert locked.result["config"] == {"FEATURE_USER_INITIALIZE": False}
