"""A Quay that a simulated Quay operator runs: rollouts, what stays, what is refused and why."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from certs import issue
from clusters import summaries

from ansible_collections.quayside.registry.plugins.module_utils.openshift import quay_registry
from support import Killed, killed_after, run_module
from world.world import CORE, World

Run = Callable[..., dict[str, Any]]
REGISTRIES = "/apis/quay.redhat.com/v1/namespaces"
STORAGE = {
    "DISTRIBUTED_STORAGE_CONFIG": {"default": ["RadosGWStorage", {"secret_key": "s3cr3t-k3y", "bucket_name": "quay"}]}
}
UNMANAGED = [{"kind": "objectstorage", "managed": False}]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def namespace(world: World) -> Iterator[str]:
    """A namespace with the operator in it."""
    name, connection = "quay-tests", {"kubeconfig": str(world.admin_kubeconfig)}
    operator = {"package": "quay-operator", "namespace": name}
    installed = run_module("olm_operator", **connection, operators=[operator])
    assert not installed.get("failed"), installed["msg"]
    yield name
    world.plane.admin.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def run(world: World, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(quay_registry, "GRACE", 1.0)
    name = f"q{next(_numbers)}"
    common = {"kubeconfig": str(world.admin_kubeconfig), "name": name, "namespace": namespace, "wait_timeout": 20}

    def run(check: bool = False, **params: Any) -> dict[str, Any]:
        return run_module("quay_registry", check=check, **{**common, **params})

    run.name = name  # type: ignore[attr-defined]
    yield run
    removed = run(state="absent", purge_data=True)
    assert not removed.get("failed"), removed["msg"]


def registry(world: World, namespace: str, name: str) -> dict[str, Any]:
    item: dict[str, Any] = world.plane.admin.request("GET", f"{REGISTRIES}/{namespace}/quayregistries/{name}")
    return item


def bundles(world: World, namespace: str, name: str) -> dict[str, dict[str, str]]:
    items = world.plane.admin.request("GET", f"{CORE}/{namespace}/secrets")["items"]
    return {
        item["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
        for item in items
        if item["metadata"]["name"].startswith(f"{name}-config-bundle-")
    }


def wanted(**config: Any) -> dict[str, Any]:
    return {"components": UNMANAGED, "secret_config": STORAGE, "config": config}


def test_from_nothing_to_available_and_a_second_run_only_reads(run: Any, world: World, namespace: str) -> None:
    given = wanted(SUPER_USERS=["quayadmin"], FEATURE_USER_CREATION=False)
    predicted = run(check=True, **given)
    made = run(**given)
    assert predicted["changes"] == made["changes"]
    assert predicted["diff"] == made["diff"]
    bundle = made["config_bundle_secret"]
    assert summaries(made) == [f"create Secret {bundle}", f"create QuayRegistry {run.name}"]
    assert made["endpoint"] == f"https://{made['host']}"
    assert made["host"] == f"{run.name}-quay-{namespace}.{world.domain}"
    assert (made["version"], made["available"]) == ("v3.14.0", True)
    ready = {item["kind"]: (item["managed"], item["ready"]) for item in made["components"]}
    assert (ready["quay"], ready["objectstorage"], len(ready)) == ((True, True), (False, True), 11)
    assert made["config"]["DISTRIBUTED_STORAGE_CONFIG"] == "VALUE_HIDDEN"
    assert "s3cr3t-k3y" not in json.dumps([predicted, made])
    (content,) = bundles(world, namespace, run.name).values()
    assert yaml.safe_load(content["config.yaml"]) == {**STORAGE, **given["config"]}
    mark = world.mark()
    again = run(**given)
    assert summaries(again) == []
    assert again["available"] is True
    reads = [(request.verb, request.uri.rpartition("/")[2].partition("?")[0]) for request in world.requests(mark)]
    assert reads == [("get", run.name), ("list", "secrets"), ("list", "deployments")]


def test_one_changed_key_rolls_out_once_and_what_others_wrote_stays(run: Any, world: World, namespace: str) -> None:
    body = {
        "metadata": {"name": "by-hand"},
        "stringData": {"config.yaml": "SECRET_KEY: by-hand-123\nMINE: 1\n", "x": "y"},
    }
    world.plane.admin.request("POST", f"{CORE}/{namespace}/secrets", body)
    made = {"apiVersion": "quay.redhat.com/v1", "kind": "QuayRegistry", "metadata": {"name": run.name}}
    made["spec"] = {"configBundleSecret": "by-hand", "components": UNMANAGED}
    world.plane.admin.request("POST", f"{REGISTRIES}/{namespace}/quayregistries", made)
    first = run(**wanted())
    rollouts, key = world.simulation.quay_operator.rollouts, (namespace, run.name)
    before = rollouts[key]
    assert first["config"] == {"DISTRIBUTED_STORAGE_CONFIG": "VALUE_HIDDEN", "MINE": 1, "SECRET_KEY": "VALUE_HIDDEN"}
    changed = run(**wanted(FEATURE_PROXY_CACHE=True))
    assert [change["action"] for change in changed["changes"]] == ["create", "update", "delete"]
    assert rollouts[key] == before + 1
    assert summaries(run(**wanted(FEATURE_PROXY_CACHE=True))) == []
    assert rollouts[key] == before + 1
    (content,) = bundles(world, namespace, run.name).values()
    stored = yaml.safe_load(content["config.yaml"])
    assert (stored["SECRET_KEY"], stored["MINE"], content["x"]) == ("by-hand-123", 1, "y")
    removed = run(**wanted(FEATURE_PROXY_CACHE=None))
    assert "FEATURE_PROXY_CACHE" not in removed["config"]
    kept = world.plane.admin.request("GET", f"{CORE}/{namespace}/secrets/by-hand")
    assert kept["metadata"]["name"] == "by-hand"


def test_the_rollout_is_waited_for_although_available_says_true_of_the_old_pods(run: Any, world: World) -> None:
    run(**wanted())
    operator = world.simulation.quay_operator
    pace, operator.pace = operator.pace, 2.0
    try:
        late = run(**wanted(FEATURE_PROXY_CACHE=True), wait_timeout=1)
        assert "is not available" in late["msg"]
        rollouts = dict(operator.rollouts)
        done = run(**wanted(FEATURE_PROXY_CACHE=True))
        assert summaries(done) == []
        assert sum(operator.rollouts.values()) == sum(rollouts.values()) + 1
    finally:
        operator.pace = pace


def test_a_run_that_ended_between_two_writes_leaves_nothing_behind(run: Any, world: World, namespace: str) -> None:
    run(**wanted())
    later = run(check=True, **wanted(FEATURE_MAILING=True))["changes"][0]["name"]
    run(**wanted(FEATURE_MAILING=True))
    orphan = {"metadata": {"name": f"{run.name}-config-bundle-old", "labels": {}}, "stringData": {"config.yaml": "{}"}}
    orphan["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "quayside.registry", "quayside.registry/quayregistry": run.name,
    }  # fmt: skip
    world.plane.admin.request("POST", f"{CORE}/{namespace}/secrets", orphan)
    assert summaries(run(**wanted(FEATURE_MAILING=True))) == [f"delete Secret {run.name}-config-bundle-old"]
    assert list(bundles(world, namespace, run.name)) == [later]


@pytest.mark.parametrize("there", [False, True], ids=["from nothing", "a change"])
def test_killed_after_any_write_the_next_run_ends_in_the_same_state(
    there: bool, run: Any, world: World, namespace: str
) -> None:
    given = wanted(FEATURE_MAILING=True)
    for writes in itertools.count(1):
        if there:
            run(**wanted(FEATURE_MAILING=False))
        predicted = run(check=True, **given)["changes"]
        assert len(predicted) == (3 if there else 2)
        with killed_after(writes), contextlib.suppress(Killed):
            run(**given)
            break
        finished = run(**given)
        assert finished["available"] is True
        assert len(finished["changes"]) == len(predicted) - writes
        assert list(bundles(world, namespace, run.name)) == [finished["config_bundle_secret"]]
        assert summaries(run(**given)) == []
        if not there:
            run(state="absent", purge_data=True)
    assert writes == len(predicted) + 1


def test_certificates_go_into_the_bundle(run: Any, world: World, namespace: str) -> None:
    ca = issue("LDAP CA", ca=True)
    host = f"{run.name}.example.com"
    certificate, key = world.certificate_for(host)
    tls = {"tls_certificate": certificate, "tls_key": key, "extra_ca_certs": {"ldap": ca.certificate}}
    components = [*UNMANAGED, {"kind": "tls", "managed": False}]
    made = run(**{**wanted(SERVER_HOSTNAME=host), "components": components}, **tls)
    assert made["host"] == host
    (content,) = bundles(world, namespace, run.name).values()
    assert set(content) == {"config.yaml", "ssl.cert", "ssl.key", "extra_ca_cert_ldap.crt"}
    assert key not in json.dumps(made)
    removed = run(**{**wanted(), "components": components}, extra_ca_certs={"ldap": None})
    assert removed["changed"] is True
    (content,) = bundles(world, namespace, run.name).values()
    assert "extra_ca_cert_ldap.crt" not in content


def test_absent_keeps_the_data_and_purge_data_does_not(run: Any, world: World, namespace: str) -> None:
    run(**wanted())
    claims = f"{CORE}/{namespace}/persistentvolumeclaims"

    def held() -> list[str]:
        items = world.plane.admin.request("GET", claims)["items"]
        return [i["metadata"]["name"] for i in items if i["metadata"]["name"].startswith(f"{run.name}-")]

    both = [f"{run.name}-clair-postgres-15", f"{run.name}-quay-postgres-13"]
    assert held() == both
    predicted = run(check=True, state="absent")
    removed = run(state="absent")
    assert predicted["changes"] == removed["changes"]
    assert summaries(removed)[-1] == f"delete QuayRegistry {run.name}"
    keys = f"{run.name}-quay-registry-managed-secret-keys"
    assert set(removed["kept"]) == {f"Secret {keys}", *(f"PersistentVolumeClaim {name}" for name in both)}
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    def collected() -> bool:
        items = world.plane.admin.request("GET", deployment)["items"]
        return f"{run.name}-quay-app" not in [item["metadata"]["name"] for item in items]

    world.wait_for(collected, "the garbage collector")
    assert held() == both
    assert summaries(run(state="absent")) == []
    before = world.plane.admin.request("GET", f"{CORE}/{namespace}/secrets/{keys}")["data"]
    assert run(**wanted())["available"] is True
    assert world.plane.admin.request("GET", f"{CORE}/{namespace}/secrets/{keys}")["data"] == before
    purged = run(state="absent", purge_data=True)
    assert purged["kept"] == []
    world.wait_for(lambda: not held(), "the claims to go")
    assert bundles(world, namespace, run.name) == {}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"components": UNMANAGED}, "objectstorage is unmanaged, and DISTRIBUTED_STORAGE_CONFIG missing"),
        (
            {"config": {"FEATURE_USER_CREATON": True}},
            "Quay has no key FEATURE_USER_CREATON. Did you mean FEATURE_USER_CREATION?",
        ),
        ({"config": {"DB_URI": "postgresql://u:hidden@h/d"}}, "DB_URI holds a secret. Move it to secret_config"),
        ({"config": ["a"]}, "config"),
        ({"components": [{"kind": "redi"}]}, "value of kind must be one of"),
        ({"components": [{"kind": "quay", "overrides": {"volume_size": "1Gi"}}]}, "quay takes no volumeSize"),
        ({"namespace": "quay-nowhere"}, "Project quay-nowhere does not exist"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    params: dict[str, Any], message: str, run: Any, world: World
) -> None:
    mark = world.mark()
    refused = run(**params)
    assert message in refused["msg"]
    assert "hidden" not in refused["msg"]
    assert {request.verb for request in world.requests(mark)} <= {"get", "list", "create"}
    assert not [
        request for request in world.requests(mark) if request.verb == "create" and "selfsubject" not in request.uri
    ]


def test_what_the_operator_blocks_is_shown(run: Any) -> None:
    blocked = run(components=[{"kind": "objectstorage"}], config={"FEATURE_MAILING": False})
    assert "RolloutBlocked (ObjectStorageComponentDependencyError): error checking for object storage" in blocked["msg"]
    assert blocked["changed"] is True


def test_an_operator_that_does_not_look_is_named(run: Any, world: World) -> None:
    left = run(namespace="quay-elsewhere", create_projects=True, wait_timeout=1, **wanted())
    try:
        assert "the Quay operator has not looked at it" in left["msg"]
        assert "OperatorGroup includes quay-elsewhere" in left["msg"]
    finally:
        world.plane.admin.request("DELETE", "/api/v1/namespaces/quay-elsewhere")
