# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``images.config.openshift.io/cluster``: which registries the whole cluster may use, and whom it trusts for them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import certificates
from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.hostname import split_host
from ansible_collections.quayside.registry.plugins.module_utils.openshift import node_rollout
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_sources import check_source, covers
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    CONFIG_MAP,
    IMAGE_CONFIG,
    Object,
    changes,
    is_ours,
    new,
)
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan

#: Where OpenShift looks for the ConfigMap of additionalTrustedCA.
NAMESPACE = "openshift-config"

#: The ConfigMap that is made where the configuration names none.
DEFAULT_CONFIG_MAP = "additional-trusted-ca"

#: A key of that ConfigMap which is no host: the update service's (OpenShift Update Service).
_UPDATE_SERVICE = "updateservice-registry"

#: Option → field of spec.registrySources.
_SOURCES = {
    "insecure_registries": "insecureRegistries",
    "allowed_registries": "allowedRegistries",
    "blocked_registries": "blockedRegistries",
}


@dataclasses.dataclass(frozen=True)
class Authority:
    """Whom to trust for one host. ``key`` is its place in the ConfigMap; without ``pem`` it is taken away."""

    host: str
    key: str
    pem: str = ""


@dataclasses.dataclass(frozen=True)
class State:
    image: Object | None
    config_map: Object | None = None


class ImageConfig:
    """The module ``image_config``. Its constructor raises InputError for what cannot be meant."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._purge, self._wait = bool(params["purge"]), bool(params["wait"])
        self._timeout = float(params["wait_timeout"])
        self._pools: list[Object] | None = None
        self._sources: dict[str, list[str]] = {}
        for option, field in _SOURCES.items():
            if params.get(option) is not None:
                given = [check_source(text, f"{option}[{index}]") for index, text in enumerate(params[option])]
                self._sources[field] = list(dict.fromkeys(given))
        if self._sources.get("allowedRegistries") and self._sources.get("blockedRegistries"):
            raise InputError(
                "allowed_registries and blocked_registries exclude each other: what is not allowed is blocked already. Give one"
                " of them."
            )
        self._hostnames = _hostnames(params.get("external_registry_hostnames"))
        self._imports = _imports(params.get("allowed_registries_for_import"))
        self._authorities = _authorities(params.get("additional_trusted_ca"))
        lists = [*_SOURCES, "external_registry_hostnames", "allowed_registries_for_import", "additional_trusted_ca"]
        if self._purge and all(params.get(option) is None for option in lists):
            raise InputError(f"purge needs one of {', '.join(lists)}: it makes exact the lists that are given.")

    def read(self, cluster: Cluster) -> State:
        """One request, a second one for the ConfigMap where it matters, and the pools where they are waited for."""
        if self._wait:
            self._pools = node_rollout.read_pools(cluster)
        image = cluster.get(IMAGE_CONFIG, "cluster")
        if self._authorities is None:
            return State(image)
        return State(image, cluster.get(CONFIG_MAP, _config_map(image), NAMESPACE))

    def plan(self, state: State) -> Plan:
        """Stage 0: the ConfigMap's content; 1: the configuration; 2: a ConfigMap that nothing refers to any more."""
        image = state.image
        before: Object = (image or {}).get("spec") or {}
        spec = copy.deepcopy(before)
        plan = Plan()
        rolls = self._set_sources(spec)
        self._set_lists(spec)
        data = self._trusted(state)
        if self._authorities is not None:
            plan.changes += self._trust(spec, state, data)
        after = {**image, "spec": spec} if image else new(IMAGE_CONFIG, "cluster", spec=spec)
        plan.changes += changes(IMAGE_CONFIG, image, after, stage=1)
        if rolls:
            plan.warnings.append(node_rollout.WARNING)
        internal = ((image or {}).get("status") or {}).get("internalRegistryHostname", "")
        allowed = (spec.get("registrySources") or {}).get("allowedRegistries")
        if rolls and internal and allowed and not any(covers(source, internal) for source in allowed):
            plan.warnings.append(
                f"allowed_registries does not name {internal}: pods can pull nothing from the cluster's own registry."
            )
        plan.result = _result(spec)
        if self._authorities is not None:
            plan.result["trusted_hosts"] = sorted(key.replace("..", ":") for key in data.keys() - {_UPDATE_SERVICE})
        plan.result["rolls_nodes"] = rolls
        return plan

    def _set_sources(self, spec: Object) -> bool:
        """Merge the sources into the spec; whether that changes what is written on nodes."""
        # For the API an empty list excludes the other one, too: allowed beside blocked is refused even then.
        before = {field: value for field, value in (spec.get("registrySources") or {}).items() if value}
        after = dict(before)
        for field, wanted in self._sources.items():
            after[field] = self._merged(before.get(field) or [], wanted)
        after = {field: value for field, value in after.items() if value}
        if after == before:
            return False
        if after.get("allowedRegistries") and after.get("blockedRegistries"):
            stored = "blocked_registries" if self._sources.get("allowedRegistries") else "allowed_registries"
            raise RegistryError(
                f"The cluster has {stored}: {', '.join(before[_SOURCES[stored]])}. They exclude each other. To change over, give"
                f" {stored}: [] and purge: true as well."
            )
        spec["registrySources"] = after
        if not after:
            del spec["registrySources"]
        return True

    def _set_lists(self, spec: Object) -> None:
        lists: dict[str, list[Any]] = {}
        if self._hostnames is not None:
            stored = spec.get("externalRegistryHostnames") or []
            # the first one is shown in image streams, so an exact list has its order
            lists["externalRegistryHostnames"] = (
                self._hostnames if self._purge else self._merged(stored, self._hostnames)
            )
        if self._imports is not None:
            there = {entry.get("domainName"): entry for entry in spec.get("allowedRegistriesForImport") or []}
            domains = self._merged(list(there), list(self._imports))
            lists["allowedRegistriesForImport"] = [
                _import(there.get(domain), domain, self._imports.get(domain)) for domain in domains
            ]
        for field, values in lists.items():
            if values != (spec.get(field) or []):
                spec[field] = values
                if not values:
                    del spec[field]

    def _merged(self, stored: Sequence[str], wanted: Sequence[str]) -> list[str]:
        """What is stored, in its order, and what is new; when exact, without the rest."""
        kept = [value for value in stored if not self._purge or value in wanted]
        return kept + [value for value in wanted if value not in kept]

    def _trusted(self, state: State) -> dict[str, str]:
        """The ConfigMap's data as it will be: certificates by host, beside those of hosts that are not listed."""
        stored: dict[str, str] = (state.config_map or {}).get("data") or {}
        data = dict(stored)
        for authority in (self._authorities or {}).values():
            if not authority.pem:
                data.pop(authority.key, None)
            elif not _same(stored.get(authority.key), authority.pem):
                data[authority.key] = authority.pem
        if self._purge:
            data = {key: pem for key, pem in data.items() if key in (self._authorities or {}) or key == _UPDATE_SERVICE}
        return data

    def _trust(self, spec: Object, state: State, data: dict[str, str]) -> list[Change]:
        """The ConfigMap's changes; the spec refers to it as long as something is in it."""
        before = state.config_map
        if not data and before and is_ours(before):
            spec.pop("additionalTrustedCA", None)
            return changes(CONFIG_MAP, before, None, stage=2)
        if data:
            spec["additionalTrustedCA"] = {"name": _config_map(state.image)}
        if before and data != (before.get("data") or {}):
            return changes(CONFIG_MAP, before, {**before, "data": data})
        if data and not before:
            return changes(CONFIG_MAP, None, new(CONFIG_MAP, _config_map(state.image), NAMESPACE, data=data))
        return []

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Until every node has what was written, where that can be observed."""
        if self._wait:
            rolls = plan.result["rolls_nodes"]
            plan.warnings += node_rollout.wait_for_nodes(cluster, self._pools, rolls, self._timeout)
        return {}


def _result(spec: Mapping[str, Any]) -> dict[str, Any]:
    sources = spec.get("registrySources") or {}
    return {
        **{option: sources.get(field) or [] for option, field in _SOURCES.items()},
        "external_registry_hostnames": spec.get("externalRegistryHostnames") or [],
        "allowed_registries_for_import": [
            {"domain_name": entry.get("domainName", ""), "insecure": bool(entry.get("insecure"))}
            for entry in spec.get("allowedRegistriesForImport") or []
        ],
        "additional_trusted_ca_config_map": (spec.get("additionalTrustedCA") or {}).get("name", ""),
    }


def config_map_key(host: str, port: int | None) -> str:
    """The host's key in the ConfigMap: keys cannot have a colon (OpenShift: HOST..PORT)."""
    return host if port is None else f"{host}..{port}"


def _config_map(image: Object | None) -> str:
    reference = ((image or {}).get("spec") or {}).get("additionalTrustedCA") or {}
    return str(reference.get("name") or DEFAULT_CONFIG_MAP)


def _hostnames(given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    for index, text in enumerate(given):
        split_host(text, f"external_registry_hostnames[{index}]")
    return list(dict.fromkeys(given))


def _imports(given: Sequence[Mapping[str, Any]] | None) -> dict[str, bool | None] | None:
    """Domain → whether it is insecure (None: as it is)."""
    if given is None:
        return None
    checked: dict[str, bool | None] = {}
    for index, entry in enumerate(given):
        where, domain = f"allowed_registries_for_import[{index}].domain_name", entry["domain_name"]
        if not domain or "/" in domain or domain != domain.strip():
            raise InputError(
                f"{where}: {domain!r} is not HOST or HOST:PORT (with * and ? as wildcards): no URL, no path."
            )
        if checked.setdefault(domain, entry.get("insecure")) != entry.get("insecure"):
            raise InputError(f"{where}: {domain} is listed before with another value of insecure.")
    return checked


def _import(stored: Object | None, domain: str, insecure: bool | None) -> Object:
    entry = stored or {"domainName": domain}
    if insecure is None or insecure == bool(entry.get("insecure")):
        return entry
    return {**entry, "insecure": insecure}


def _authorities(given: Sequence[Mapping[str, Any]] | None) -> dict[str, Authority] | None:
    if given is None:
        return None
    checked: dict[str, Authority] = {}
    for index, entry in enumerate(given):
        where = f"additional_trusted_ca[{index}]"
        host, port = split_host(entry["host"], f"{where}.host")
        what = f"{where} ({entry['host']}): ca_certificates"
        pem = ""
        if (entry.get("state") or "present") == "present":
            if not (entry.get("ca_certificates") or "").strip():
                raise InputError(f"{what} is missing. Give the authority's certificate as PEM text, or state: absent.")
            pem = _valid(entry["ca_certificates"], what)
        key = config_map_key(host, port)
        authority = Authority(entry["host"], key, pem)
        if checked.setdefault(key, authority) != authority:
            raise InputError(f"{where}.host: {entry['host']} is listed before with other values. List each host once.")
    return checked


def _valid(text: str, what: str) -> str:
    parsed = certificates.parse(text, what)
    faults = [certificates.validity_fault(certificate, certificates.now()) for certificate in parsed]
    if all(faults):
        raise InputError(f"{what}: {faults[0]}.")
    return certificates.pem(parsed)


def _same(stored: str | None, pem: str) -> bool:
    """Whether both hold the same certificates, whatever text stands between them."""
    if not stored:
        return False
    try:
        return certificates.pem(certificates.parse(stored, "")) == pem
    except InputError:
        return False
