"""The registry's configuration: what is refused, what is planned, and when it has settled. Texts are the operator's own."""

from __future__ import annotations

import base64
import copy

import pytest
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import image_registry_state as states
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry import ImageRegistry, State
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_info import ImageRegistryInfo
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_info import State as InfoState
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_options import (
    Route,
    merge_storage,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_state import Registry

DEFAULT_HOST = "default-route-openshift-image-registry.apps.example.com"
ROOT = issue("root", ca=True)
GOOD = issue("registry", ROOT, hosts=["registry.example.com"])
OLD = issue("registry", ROOT, hosts=["registry.example.com"], days=-1, since=9)
OTHER = issue("other", ROOT, hosts=["other.example.com"])
READY = {"Available": ("True", "Ready"), "Progressing": ("False", "Ready"), "Degraded": ("False", None)}
GONE = {"Available": ("True", "Removed"), "Progressing": ("False", "Removed"), "Degraded": ("False", "Removed")}


def config(conditions=None, generation=4, observed=4, **spec):
    told = READY if conditions is None else conditions
    return {
        "apiVersion": "imageregistry.operator.openshift.io/v1",
        "kind": "Config",
        "metadata": {"name": "cluster", "generation": generation, "resourceVersion": "948", "finalizers": ["f"]},
        "spec": {
            "managementState": "Managed",
            "httpSecret": "69c0808c2c93fae7",
            "proxy": {"http": "http://user:password@proxy"},
            "replicas": 1,
            "rolloutStrategy": "RollingUpdate",
            "logLevel": "Normal",
            "storage": {"emptyDir": {}, "managementState": "Managed"},
            **spec,
        },
        "status": {
            "observedGeneration": observed,
            "conditions": [
                {"type": kind, "status": status, **({"reason": reason} if reason else {}), "message": f"about {kind}"}
                for kind, (status, reason) in told.items()
            ],
        },
    }


def route(name, host, admitted: str | None = "True", message="", **tls):
    ingress = {"host": host, "routerName": "default", "conditions": [{"type": "Admitted", "status": admitted}]}
    if message:
        ingress["conditions"][0].update(reason="HostAlreadyClaimed", message=message)
    return {
        "metadata": {"name": name, "namespace": "openshift-image-registry"},
        "spec": {"host": host, "tls": {"termination": "reencrypt", **tls}},
        "status": {"ingress": [ingress]} if admitted else {},
    }


def state(actual=None, routes=(), secrets=(), hosts=None, domain=""):
    by_name = {item["metadata"]["name"]: item for item in routes}
    published = [item["spec"]["host"] for item in routes] if hosts is None else hosts
    return State(
        Registry(actual or config(), published, by_name), {item["metadata"]["name"]: item for item in secrets}, domain
    )


def secret(name, owned=True, data=None):
    labels = {"app.kubernetes.io/managed-by": "quayside.registry"} if owned else {}
    return {
        "metadata": {"name": name, "namespace": "openshift-image-registry", "labels": labels, "uid": "u"},
        "data": data or {},
    }


def subject(**params):
    return ImageRegistry({"wait": True, "wait_timeout": 5, "purge_routes": False, **params})


def plan(actual=None, **params):
    where = actual if isinstance(actual, State) else state(actual)
    return subject(**params).plan(where)


def patch(planned):
    (change,) = [item for item in planned.changes if item.kind == "Config"]
    body = copy.deepcopy(change.request.body)
    assert body.pop("metadata") == {"resourceVersion": "948"}
    return body["spec"]


# What is refused


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"storage": {"empty_dir": {}}}, "storage: unknown storage 'empty_dir'; did you mean emptyDir? Known are pvc,"),
        ({"storage": {"nfs": {}}}, "storage: unknown storage 'nfs'; Known are pvc,"),
        ({"storage": {}}, "exactly one of pvc, emptyDir, s3, gcs, azure, swift, ibmcos is needed; none is given"),
        ({"storage": {"managementState": "Managed"}}, "none is given"),
        ({"storage": {"pvc": {}, "s3": {}}}, "pvc and s3 are given"),
        (
            {"storage": {"pvc": "registry"}},
            "pvc takes a dictionary of the API's fields, such as {pvc: {claim: registry}}",
        ),
        ({"replicas": -1}, "replicas must not be negative"),
        ({"purge_routes": True}, "purge_routes needs routes"),
        ({"default_route": True, "management_state": "Removed"}, "cannot go with management_state: Removed"),
        ({"routes": [{"name": "a"}], "management_state": "Unmanaged"}, "cannot go with management_state: Unmanaged"),
        ({"routes": [{"name": "default-route"}]}, "routes[0] (default-route): default-route is the operator's own"),
        ({"routes": [{"name": "Public"}]}, "routes[0] (Public): name cannot be the name of a Route: 'Public'"),
        ({"routes": [{"name": "a"}, {"name": "a", "state": "absent"}]}, "routes[1] (a): the name is in the list twice"),
        (
            {"routes": [{"name": "a", "hostname": "x.org"}, {"name": "b", "hostname": "x.org"}]},
            "routes[1] (b): hostname x.org is also that of route a",
        ),
        (
            {"routes": [{"name": "a", "hostname": "https://x.org"}]},
            "routes[0] (a): hostname 'https://x.org' is not a host",
        ),
        ({"routes": [{"name": "a", "hostname": "x.org:443"}]}, "is not a host name"),
        ({"routes": [{"name": "a", "certificate": GOOD.certificate}]}, "private_key is missing"),
        ({"routes": [{"name": "a", "private_key": GOOD.key}]}, "certificate is missing"),
        ({"routes": [{"name": "a", "ca_certificate": ROOT.certificate}]}, "ca_certificate needs certificate"),
        (
            {"routes": [{"name": "a", "certificate": "garbage", "private_key": GOOD.key}]},
            "routes[0] (a): certificate holds no certificate in PEM form",
        ),
        (
            {"routes": [{"name": "a", "certificate": GOOD.certificate, "private_key": "garbage"}]},
            "routes[0] (a): private_key is not a private key in PEM form",
        ),
        (
            {"routes": [{"name": "a", "certificate": GOOD.certificate, "private_key": OTHER.key}]},
            "private_key is not the key of the first certificate (CN=registry)",
        ),
        (
            {"routes": [{"name": "a", "certificate": ROOT.certificate + GOOD.certificate, "private_key": GOOD.key}]},
            "must come first",
        ),
        (
            {"routes": [{"name": "a", "certificate": OLD.certificate, "private_key": OLD.key}]},
            "routes[0] (a): the certificate CN=registry expired on",
        ),
        (
            {
                "routes": [
                    {
                        "name": "a",
                        "hostname": "registry.example.com",
                        "certificate": OTHER.certificate,
                        "private_key": OTHER.key,
                    }
                ]
            },
            "the certificate does not cover hostname registry.example.com; it is for other.example.com",
        ),
        (
            {
                "routes": [
                    {"name": "a", "certificate": GOOD.certificate, "private_key": GOOD.key, "ca_certificate": "garbage"}
                ]
            },
            "routes[0] (a): ca_certificate holds no certificate",
        ),
    ],
)
def test_input_is_refused_before_anything_is_read(params, message):
    with pytest.raises(InputError) as caught:
        subject(**params)
    assert message in str(caught.value)
    assert "PRIVATE KEY-----" not in str(caught.value)


@pytest.mark.parametrize(
    ("actual", "params", "message"),
    [
        (config(GONE, managementState="Removed"), {"default_route": True}, "need management_state: Managed as well."),
        (
            config(GONE, managementState="Removed", storage={}),
            {"routes": [{"name": "a"}]},
            "need management_state: Managed as well, and storage",
        ),
        (config(managementState="Unmanaged"), {"default_route": True}, "managementState is Unmanaged"),
        (
            config(GONE, managementState="Removed", storage={}),
            {"management_state": "Managed"},
            "management_state: Managed needs storage, and none is configured",
        ),
        (config(storage={"managementState": "Managed"}), {"management_state": "Managed"}, "needs storage"),
    ],
)
def test_what_the_actual_state_forbids(actual, params, message):
    with pytest.raises(RegistryError) as caught:
        plan(actual, **params)
    assert message in str(caught.value)


# What is planned


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"default_route": True}, {"defaultRoute": True}),
        ({"replicas": 2, "read_only": True}, {"replicas": 2, "readOnly": True}),
        ({"rollout_strategy": "Recreate", "log_level": "Debug"}, {"rolloutStrategy": "Recreate", "logLevel": "Debug"}),
        ({"node_selector": {"infra": ""}}, {"nodeSelector": {"infra": ""}}),
        ({"tolerations": [{"operator": "Exists"}]}, {"tolerations": [{"operator": "Exists"}]}),
        ({"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "1"}}}),
        ({"disable_redirect": True}, {"disableRedirect": True}),
        ({"management_state": "Removed"}, {"managementState": "Removed"}),
        (
            {"storage": {"pvc": {"claim": ""}}},
            {"storage": {"emptyDir": None, "managementState": None, "pvc": {"claim": ""}}},
        ),
        (
            {"storage": {"s3": {"bucket": "images"}, "managementState": "Unmanaged"}},
            {"storage": {"emptyDir": None, "managementState": "Unmanaged", "s3": {"bucket": "images"}}},
        ),
        ({"routes": [{"name": "a", "hostname": "a.org"}]}, {"routes": [{"name": "a", "hostname": "a.org"}]}),
    ],
)
def test_only_what_is_given_is_written(params, expected):
    planned = plan(**params)
    assert len(planned.changes) == 1
    assert patch(planned) == expected


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"management_state": "Managed", "default_route": False, "replicas": 1, "read_only": False, "routes": []},
        {"node_selector": {}, "tolerations": [], "resources": {}, "disable_redirect": False, "log_level": "Normal"},
        {"storage": {"emptyDir": {}}},
        {"storage": {"emptyDir": None}},
        {"routes": [{"name": "a", "state": "absent"}]},
        {"routes": [], "purge_routes": True},
    ],
)
def test_what_is_so_already_is_no_change(params):
    assert plan(**params).changes == []


@pytest.mark.parametrize(
    ("actual", "wanted", "merged"),
    [
        (None, {"emptyDir": {}}, {"emptyDir": {}}),
        (
            {"pvc": {"claim": "image-registry-storage"}},
            {"pvc": {"claim": ""}},
            {"pvc": {"claim": "image-registry-storage"}},
        ),
        ({"pvc": {"claim": "mine"}}, {"pvc": {"claim": ""}}, {"pvc": {"claim": ""}}),
        ({"pvc": {"claim": "mine"}}, {"pvc": {}}, {"pvc": {"claim": "mine"}}),
        ({"pvc": {"claim": "mine"}}, {"pvc": {"claim": "other"}}, {"pvc": {"claim": "other"}}),
        (
            {"s3": {"bucket": "b", "region": "eu", "trustedCA": {"name": ""}}, "managementState": "Managed"},
            {"s3": {"bucket": "c", "trustedCA": {"name": "ca"}}},
            {"s3": {"bucket": "c", "region": "eu", "trustedCA": {"name": "ca"}}, "managementState": "Managed"},
        ),
        ({"emptyDir": {}, "managementState": "Managed"}, {"s3": {"bucket": "mine"}}, {"s3": {"bucket": "mine"}}),
    ],
)
def test_storage_is_merged_within_a_kind_and_replaced_between_kinds(actual, wanted, merged):
    assert merge_storage(actual, wanted) == merged


def test_routes_are_merged_by_name():
    actual = config(routes=[{"name": "a", "hostname": "a.org", "secretName": "s"}, {"name": "b"}, {"name": "c"}])
    wanted = [{"name": "a", "hostname": "new.org"}, {"name": "b", "state": "absent"}, {"name": "d"}]
    kept = [{"name": "a", "hostname": "new.org", "secretName": "s"}, {"name": "c"}, {"name": "d"}]
    assert patch(plan(actual, routes=wanted)) == {"routes": kept}
    del kept[1]
    assert patch(plan(actual, routes=wanted, purge_routes=True)) == {"routes": kept}


def _given(pair=GOOD, **more):
    return {
        "name": "public",
        "hostname": "registry.example.com",
        "certificate": pair.certificate,
        "private_key": pair.key,
        **more,
    }


def test_certificate_becomes_a_secret_before_the_route():
    planned = plan(routes=[_given(ca_certificate=ROOT.certificate)])
    written, updated = planned.changes
    assert (written.action, written.kind, written.name, written.stage) == ("create", "Secret", "public-tls", 0)
    assert (updated.action, updated.kind, updated.stage) == ("update", "Config", 1)
    body = written.request.body
    assert body["type"] == "kubernetes.io/tls"
    assert {key: base64.b64decode(text).decode() for key, text in body["data"].items()} == {
        "tls.crt": GOOD.certificate,
        "tls.key": GOOD.key,
        "tls.cacrt": ROOT.certificate,
    }
    assert patch(planned)["routes"] == [
        {"name": "public", "hostname": "registry.example.com", "secretName": "public-tls"}
    ]


def test_same_certificate_is_no_change_and_another_one_only_the_secrets():
    entry = {"name": "public", "hostname": "registry.example.com", "secretName": "public-tls"}
    before = plan(routes=[_given()]).changes[0].request.body
    there = state(config(routes=[entry]), secrets=[before])
    assert plan(there, routes=[_given()]).changes == []
    newer = issue("registry", ROOT, hosts=["registry.example.com"])
    (change,) = plan(there, routes=[_given(newer)]).changes
    assert (change.action, change.kind, change.name) == ("update", "Secret", "public-tls")


def test_secret_goes_with_its_route_if_it_is_ours_and_used_by_no_other():
    entries = [{"name": name, "secretName": f"{name}-tls"} for name in ("ours", "theirs")]
    entries += [{"name": "one", "secretName": "shared"}, {"name": "two", "secretName": "shared"}]
    there = state(
        config(routes=entries), secrets=[secret("ours-tls"), secret("theirs-tls", owned=False), secret("shared")]
    )
    planned = plan(there, routes=[{"name": name, "state": "absent"} for name in ("ours", "theirs", "one")])
    assert [(change.action, change.kind, change.name) for change in planned.changes] == [
        ("update", "Config", "cluster"),
        ("delete", "Secret", "ours-tls"),
    ]
    assert planned.changes[1].stage > planned.changes[0].stage


def test_diff_shows_what_is_managed_and_no_secret():
    actual = config()
    actual["spec"]["storage"] = {"emptyDir": {}}
    planned = plan(actual, default_route=True, routes=[_given()])
    shown = str([(change.before, change.after) for change in planned.changes])
    assert "'defaultRoute': True" in shown
    assert "'emptyDir'" in shown
    for hidden in ("69c0808c2c93fae7", "user:password", "PRIVATE KEY", base64.b64encode(GOOD.key.encode()).decode()):
        assert hidden not in shown


# What check mode predicts


def test_hosts_are_predicted():
    planned = plan(
        state(domain="apps.example.com"), default_route=True, routes=[{"name": "b", "hostname": "b.org"}, {"name": "a"}]
    )
    assert planned.result["default_host"] == DEFAULT_HOST
    assert planned.result["hosts"] == [DEFAULT_HOST, "a-openshift-image-registry.apps.example.com", "b.org"]
    assert planned.result["internal_address"] == "image-registry.openshift-image-registry.svc:5000"


def test_hosts_that_go_are_predicted():
    there = state(
        config(defaultRoute=True, routes=[{"name": "a"}]), [route("default-route", DEFAULT_HOST), route("a", "a.org")]
    )
    assert plan(there, default_route=False).result["hosts"] == ["a.org"]
    assert plan(there, default_route=False).result["default_host"] is None
    assert plan(there, routes=[], purge_routes=True).result["hosts"] == [DEFAULT_HOST]
    removed = plan(there, management_state="Removed").result
    assert (removed["hosts"], removed["default_host"], removed["routes"]) == ([], None, [])


def test_an_entry_that_somebody_gave_the_default_routes_name_is_purged_and_the_default_route_stays():
    there = state(config(defaultRoute=True, routes=[{"name": "default-route"}]), [route("default-route", DEFAULT_HOST)])
    planned = plan(there, routes=[], purge_routes=True)
    assert patch(planned) == {"routes": []}
    assert planned.result["hosts"] == [DEFAULT_HOST]


def test_what_stays_is_returned():
    there = state(config(defaultRoute=True), [route("default-route", DEFAULT_HOST)])
    result = plan(there).result
    assert result["default_host"] == DEFAULT_HOST
    assert result["routes"] == [{"name": "default-route", "host": DEFAULT_HOST, "admitted": True, "message": ""}]
    assert result["conditions"][0] == {
        "type": "Available",
        "status": "True",
        "reason": "Ready",
        "message": "about Available",
    }


# When it has settled


@pytest.mark.parametrize(
    ("actual", "faults"),
    [
        (config(), []),
        (config(generation=5), ["the operator has not taken up the configuration yet"]),
        (config(conditions={}), ["Available is Unknown", "Progressing is Unknown", "Degraded is Unknown"]),
        (
            config({**READY, "Progressing": ("True", "DeploymentNotCompleted")}),
            ["Progressing is True (DeploymentNotCompleted): about Progressing"],
        ),
        (config({**READY, "Degraded": ("True", "Unavailable")}), ["Degraded is True (Unavailable): about Degraded"]),
        (config({**READY, "Degraded": ("True", "RouteDegraded")}), []),
        (config(GONE, managementState="Removed"), []),
        (config(READY, managementState="Removed"), ["the operator has not reported Removed yet"]),
        (config(READY, managementState="Unmanaged"), ["the operator has not reported Unmanaged yet"]),
        (None, ["configs.imageregistry.operator.openshift.io/cluster is gone"]),
    ],
)
def test_conditions(actual, faults):
    assert states.condition_faults(actual) == faults


@pytest.mark.parametrize(
    ("actual", "fault"),
    [
        (config(), ""),
        (None, ""),
        (config({**READY, "Degraded": ("True", "Unavailable")}), ""),
        (config({**READY, "Degraded": ("True", "VerificationFailed")}, generation=5), ""),
        (config({**READY, "Degraded": ("True", "VerificationFailed")}), "Degraded is True (VerificationFailed)"),
        (config({**READY, "Degraded": ("True", "StorageNotConfigured")}), "Degraded is True (StorageNotConfigured)"),
    ],
)
def test_configuration_that_no_waiting_mends(actual, fault):
    assert fault in states.permanent_fault(actual)
    assert bool(fault) == bool(states.permanent_fault(actual))


@pytest.mark.parametrize(
    ("wanted", "actual", "fault"),
    [
        (Route("a"), route("a", "a.org"), ""),
        (Route("a"), None, "route a has not been made yet"),
        (Route("a"), route("a", "a.org", None), "route a (host a.org) is not admitted: no router has taken it up"),
        (
            Route("a"),
            route("a", "a.org", "False", "route foo already exposes a.org and is older"),
            "route a (host a.org) is not admitted: HostAlreadyClaimed: route foo already exposes a.org and is older",
        ),
        (Route("a", hostname="b.org"), route("a", "a.org"), "route a (host a.org) does not have the host b.org yet"),
        (
            Route("a", secret_name="s", certificate="NEW\n"),
            route("a", "a.org", certificate="OLD"),
            "route a (host a.org) does not have the certificate of Secret s yet",
        ),
        (Route("a", secret_name="s", certificate="NEW\n"), route("a", "a.org", certificate="NEW"), ""),
    ],
)
def test_routes_speak_for_themselves(wanted, actual, fault):
    assert states.route_fault(wanted, actual) == fault


def test_hosts_are_published_and_withdrawn():
    assert states.host_faults(["a", "b"], {"a"}, {"c"}) == []
    assert states.host_faults(["a", "b"], {"c"}, {"b"}) == [
        "host c is not in images.config.openshift.io/cluster yet",
        "host b is still in images.config.openshift.io/cluster",
    ]


class NoCluster:
    """Any use of it is a failure."""


def test_second_run_waits_for_nothing():
    there = state(config(defaultRoute=True), [route("default-route", DEFAULT_HOST)])
    registry = subject(default_route=True)
    registry.state = there
    assert registry.wait(NoCluster(), registry.plan(there)) == {}


def test_without_wait_there_is_no_request():
    registry = subject(default_route=True, wait=False)
    registry.state = state()
    assert registry.wait(NoCluster(), registry.plan(state())) == {}


# The info module


def test_removed_registry_is_no_failure():
    registry = Registry(config(GONE, managementState="Removed", storage={}), [], {})
    result = ImageRegistryInfo({}).plan(InfoState(registry, None, None, None, [], "apps.example.com")).result
    assert result["default_route_host"] == DEFAULT_HOST
    assert (result["management_state"], result["hosts"], result["default_host"]) == ("Removed", [], None)
    assert (result["deployment"], result["node_ca"], result["pruner"], result["pods"]) == (None, None, None, [])


def test_what_runs_the_registry_in_brief():
    pod = {
        "metadata": {"name": "image-registry-1"},
        "spec": {"nodeName": "worker-0"},
        "status": {
            "phase": "Pending",
            "containerStatuses": [
                {"ready": False, "restartCount": 2, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
            ],
        },
    }
    deployment = {"spec": {"replicas": 2}, "status": {"readyReplicas": 1, "updatedReplicas": 2}}
    daemon = {"status": {"desiredNumberScheduled": 5, "numberReady": 4}}
    pruner = {"spec": {"schedule": "", "suspend": False, "keepTagRevisions": 3}, "status": {"conditions": []}}
    result = ImageRegistryInfo({}).plan(InfoState(state().registry, deployment, daemon, pruner, [pod], "")).result
    assert result["default_route_host"] is None
    assert result["deployment"] == {"replicas": 2, "ready": 1, "updated": 2}
    assert result["node_ca"] == {"nodes": 5, "ready": 4}
    assert result["pruner"] == {"schedule": "0 0 * * *", "suspended": False, "keep_tag_revisions": 3, "conditions": []}
    assert result["pods"] == [
        {"name": "image-registry-1", "phase": "Pending", "ready": False, "restarts": 2, "node": "worker-0",
         "waiting": "ImagePullBackOff"}
    ]  # fmt: skip
