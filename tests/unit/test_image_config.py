"""The cluster's image configuration is merged with what others wrote; what rolls nodes is said; what excludes each other is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from certs import issue

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_config import ImageConfig, State
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import MANAGED_BY
from ansible_collections.quayside.registry.plugins.module_utils.plan import Plan

ROOT = issue("root", ca=True).certificate
OTHER = issue("other", ca=True).certificate
EXPIRED = issue("expired", ca=True, days=-1, since=9).certificate
INTERNAL = "image-registry.openshift-image-registry.svc:5000"


def subject(**options: Any) -> ImageConfig:
    return ImageConfig({"purge": False, "wait": False, "wait_timeout": 1, **options})


def image(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "cluster", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": spec, "status": {"internalRegistryHostname": INTERNAL}}


def config_map(data: dict[str, str], name: str = "additional-trusted-ca", ours: bool = True) -> dict[str, Any]:
    labels = dict(MANAGED_BY) if ours else {}
    metadata = {"name": name, "namespace": "openshift-config", "labels": labels, "resourceVersion": "3", "uid": "u"}
    return {"metadata": metadata, "data": data}


def planned(wanted: ImageConfig, there: dict[str, Any], authorities: dict[str, Any] | None = None) -> Plan:
    untouched = copy.deepcopy((there, authorities))
    plan = wanted.plan(State(there, authorities))
    assert (there, authorities) == untouched
    return plan


def patch(plan: Plan) -> Any:
    (change,) = plan.changes
    return change.request.body


def lines(plan: Plan) -> list[str]:
    return [f"{change.stage} {change}" for change in plan.changes]


# Sources


def test_sources_are_merged_and_roll_the_nodes() -> None:
    there = image(
        registrySources={"insecureRegistries": ["theirs:5000"], "containerRuntimeSearchRegistries": ["quay.io"]}
    )
    plan = planned(subject(insecure_registries=["ours.example.com", "theirs:5000"]), there)
    assert patch(plan) == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"registrySources": {"insecureRegistries": ["theirs:5000", "ours.example.com"]}},
    }
    assert plan.result["rolls_nodes"] is True
    assert any("Nodes take this up one after the other" in warning for warning in plan.warnings)
    assert plan.result["insecure_registries"] == ["theirs:5000", "ours.example.com"]


def test_an_exact_list_loses_what_is_not_named_and_an_empty_one_goes() -> None:
    there = image(registrySources={"insecureRegistries": ["a", "b"], "blockedRegistries": ["c"]})
    plan = planned(subject(insecure_registries=["b"], blocked_registries=[], purge=True), there)
    assert patch(plan)["spec"] == {"registrySources": {"insecureRegistries": ["b"], "blockedRegistries": None}}
    last = planned(subject(insecure_registries=[], blocked_registries=[], purge=True), there)
    assert patch(last)["spec"] == {"registrySources": None}


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({}, {"registrySources": {"allowedRegistries": ["a"], "blockedRegistries": []}}),
        ({"insecure_registries": ["b", "a"], "purge": True}, {"registrySources": {"insecureRegistries": ["a", "b"]}}),
        ({"blocked_registries": []}, {"registrySources": {"blockedRegistries": []}}),
        ({"blocked_registries": [], "purge": True}, {}),
        ({"external_registry_hostnames": ["b"]}, {"externalRegistryHostnames": ["a", "b"]}),
        (
            {"allowed_registries_for_import": [{"domain_name": "a", "insecure": None}]},
            {"allowedRegistriesForImport": [{"domainName": "a", "insecure": True}]},
        ),
        (
            {"allowed_registries_for_import": [{"domain_name": "a", "insecure": False}]},
            {"allowedRegistriesForImport": [{"domainName": "a"}]},
        ),
    ],
)
def test_what_is_as_wanted_changes_nothing_and_rolls_nothing(options: dict[str, Any], spec: dict[str, Any]) -> None:
    plan = planned(subject(**options), image(**spec))
    assert plan.changes == []
    assert plan.result["rolls_nodes"] is False
    assert plan.warnings == []


def test_allowed_and_blocked_exclude_each_other_also_on_the_cluster() -> None:
    with pytest.raises(InputError, match="allowed_registries and blocked_registries exclude each other"):
        subject(allowed_registries=["a"], blocked_registries=["b"])
    there = image(registrySources={"blockedRegistries": ["b.example.com"]})
    with pytest.raises(
        RegistryError, match=r"has blocked_registries: b\.example\.com.*blocked_registries: \[\] and purge"
    ):
        planned(subject(allowed_registries=["a"]), there)
    other = image(registrySources={"allowedRegistries": ["b.example.com"]})
    with pytest.raises(RegistryError, match=r"has allowed_registries: b\.example\.com"):
        planned(subject(blocked_registries=["a"]), other)
    over = planned(subject(allowed_registries=[INTERNAL], blocked_registries=[], purge=True), there)
    assert patch(over)["spec"]["registrySources"] == {"allowedRegistries": [INTERNAL], "blockedRegistries": None}


def test_an_empty_list_that_somebody_left_does_not_exclude_the_other() -> None:
    plan = planned(subject(allowed_registries=[INTERNAL]), image(registrySources={"blockedRegistries": []}))
    assert patch(plan)["spec"]["registrySources"] == {"allowedRegistries": [INTERNAL], "blockedRegistries": None}


@pytest.mark.parametrize(
    ("allowed", "warns"), [("quay.io", True), (INTERNAL, False), ("*.svc", False), ("*.example.com", True)]
)
def test_a_list_without_the_clusters_own_registry_is_warned_of(allowed: str, warns: bool) -> None:
    plan = planned(subject(allowed_registries=[allowed]), image())
    assert any("cannot pull" in text or "pull nothing" in text for text in plan.warnings) == warns


# Lists that concern no node


def test_import_and_host_names_are_merged_and_roll_nothing() -> None:
    there = image(
        externalRegistryHostnames=["a.example.com"],
        allowedRegistriesForImport=[{"domainName": "theirs"}, {"domainName": "mine"}],
    )
    wanted = subject(
        external_registry_hostnames=["b.example.com:5000"],
        allowed_registries_for_import=[
            {"domain_name": "mine", "insecure": True},
            {"domain_name": "*.new", "insecure": None},
        ],
    )
    plan = planned(wanted, there)
    assert patch(plan)["spec"] == {
        "externalRegistryHostnames": ["a.example.com", "b.example.com:5000"],
        "allowedRegistriesForImport": [
            {"domainName": "theirs"},
            {"domainName": "mine", "insecure": True},
            {"domainName": "*.new"},
        ],
    }
    assert plan.result["rolls_nodes"] is False


def test_exact_host_names_have_their_order() -> None:
    there = image(externalRegistryHostnames=["a", "b", "c"])
    plan = planned(subject(external_registry_hostnames=["b", "a"], purge=True), there)
    assert patch(plan)["spec"] == {"externalRegistryHostnames": ["b", "a"]}


def test_a_cluster_without_the_object_gets_it() -> None:
    (change,) = subject(external_registry_hostnames=["a"]).plan(State(None)).changes
    assert str(change) == "create Image cluster"


# Trust


def trust(*entries: tuple[str, str], **options: Any) -> ImageConfig:
    given = [{"host": host, "ca_certificates": pem, "state": "present" if pem else "absent"} for host, pem in entries]
    return subject(additional_trusted_ca=given, **options)


def test_the_config_map_comes_before_the_reference_to_it() -> None:
    plan = planned(trust(("registry.example.com:5000", ROOT)), image())
    assert lines(plan) == ["0 create ConfigMap openshift-config/additional-trusted-ca", "1 update Image cluster"]
    assert plan.changes[0].request.body["data"] == {"registry.example.com..5000": ROOT}
    assert plan.changes[1].request.body["spec"] == {"additionalTrustedCA": {"name": "additional-trusted-ca"}}
    assert plan.result["trusted_hosts"] == ["registry.example.com:5000"]
    assert plan.result["rolls_nodes"] is False


def test_the_config_map_that_is_referred_to_is_used_and_other_hosts_stay() -> None:
    there = image(additionalTrustedCA={"name": "theirs"})
    stored = config_map({"b.example.com": "what others wrote", "updateservice-registry": OTHER}, "theirs", ours=False)
    plan = planned(trust(("a.example.com", ROOT)), there, stored)
    assert patch(plan) == {"metadata": {"resourceVersion": "3"}, "data": {"a.example.com": ROOT}}
    assert plan.result["additional_trusted_ca_config_map"] == "theirs"
    assert plan.result["trusted_hosts"] == ["a.example.com", "b.example.com"]


def test_the_same_certificates_in_other_words_are_no_change() -> None:
    there = image(additionalTrustedCA={"name": "additional-trusted-ca"})
    stored = config_map({"a.example.com": f"# the root\n{ROOT}\n\n"})
    assert planned(trust(("A.example.com", ROOT.strip())), there, stored).changes == []
    assert patch(planned(trust(("a.example.com", ROOT + OTHER)), there, stored))["data"] == {
        "a.example.com": ROOT + OTHER
    }


def test_an_exact_list_leaves_the_update_service_alone() -> None:
    there = image(additionalTrustedCA={"name": "additional-trusted-ca"})
    stored = config_map({"a.example.com": ROOT, "b.example.com": ROOT, "updateservice-registry": ROOT})
    plan = planned(trust(("a.example.com", ROOT), purge=True), there, stored)
    assert patch(plan)["data"] == {"b.example.com": None}


def test_the_last_host_takes_our_config_map_with_it_after_the_reference() -> None:
    there = image(additionalTrustedCA={"name": "additional-trusted-ca"})
    plan = planned(trust(("a.example.com", "")), there, config_map({"a.example.com": ROOT}))
    assert sorted(lines(plan)) == [
        "1 update Image cluster",
        "2 delete ConfigMap openshift-config/additional-trusted-ca",
    ]
    theirs = config_map({"a.example.com": ROOT}, ours=False)
    assert lines(planned(trust(("a.example.com", "")), there, theirs)) == [
        "0 update ConfigMap openshift-config/additional-trusted-ca"
    ]
    assert lines(planned(trust(("a.example.com", "")), image())) == []


def test_an_expired_authority_is_taken_beside_a_valid_one() -> None:
    assert lines(planned(trust(("a.example.com", EXPIRED + ROOT)), image()))


# What cannot be meant


def entry(host: str = "a.example.com", pem: str = ROOT, state: str = "present") -> dict[str, Any]:
    return {"host": host, "ca_certificates": pem, "state": state}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"insecure_registries": ["https://a.example.com"]},
            r"insecure_registries\[0\]: 'https://a.example.com' is a URL",
        ),
        ({"blocked_registries": ["a", "b/C"]}, r"blocked_registries\[1\]: 'C' must be in lower case"),
        ({"allowed_registries": ["quay.io/a:tag"]}, r"allowed_registries\[0\]: .* has a tag or digest"),
        (
            {"allowed_registries": ["*.example.com/a"]},
            r"allowed_registries\[0\]: .* is not a wildcard that nodes understand",
        ),
        (
            {"allowed_registries": ["registry.*.com"]},
            r"allowed_registries\[0\]: .* is not a wildcard that nodes understand",
        ),
        ({"allowed_registries": ["[::1]:5000"]}, r"allowed_registries\[0\]: .* is an IPv6 address"),
        ({"external_registry_hostnames": ["a/b"]}, r"external_registry_hostnames\[0\]: 'a/b' has a path"),
        (
            {"allowed_registries_for_import": [{"domain_name": "https://a"}]},
            r"allowed_registries_for_import\[0\]\.domain_name: 'https://a' is not HOST or HOST:PORT",
        ),
        (
            {"allowed_registries_for_import": [{"domain_name": "a", "insecure": True}, {"domain_name": "a"}]},
            r"allowed_registries_for_import\[1\]\.domain_name: a is listed before",
        ),
        ({"additional_trusted_ca": [entry("https://a")]}, r"additional_trusted_ca\[0\]\.host: 'https://a' is a URL"),
        ({"additional_trusted_ca": [entry(pem="")]}, r"\(a\.example\.com\): ca_certificates is missing"),
        ({"additional_trusted_ca": [entry(pem="/etc/ca.crt")]}, "holds no certificate in PEM form"),
        ({"additional_trusted_ca": [entry(pem=issue("x").key)]}, "block 1 is a PRIVATE KEY, not a CERTIFICATE"),
        ({"additional_trusted_ca": [entry(pem=EXPIRED)]}, "the certificate CN=expired expired on"),
        ({"additional_trusted_ca": [entry(), entry(pem=OTHER)]}, r"additional_trusted_ca\[1\]\.host: .* listed before"),
        ({"purge": True}, "purge needs one of insecure_registries, "),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject(**options)
