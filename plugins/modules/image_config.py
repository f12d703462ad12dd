#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_config
short_description: Which registries a whole OpenShift cluster may use, and whom it trusts for them
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Manages C(images.config.openshift.io/cluster), and the ConfigMap in C(openshift-config) with the certificate authorities that
    image stream imports, pods, builds and the cluster's registry trust for other registries.
  - Only options that are given are managed. Lists are merged with what is there, unless O(purge) is set.
  - Where a change makes nodes roll, a warning and RV(rolls_nodes) say so, in check mode, too.
options:
  insecure_registries:
    description:
      - Registries without a valid certificate or without TLS, for nodes and builds. Prefer O(additional_trusted_ca).
      - V(HOST[:PORT][/NAMESPACE]), or V(*.HOST) for all below a domain. Changes roll the nodes.
    type: list
    elements: str
  allowed_registries:
    description:
      - The only registries that nodes pull from and push to. All others are blocked, also the cluster's own unless it is in the list.
      - Excludes O(blocked_registries). Changes roll the nodes.
    type: list
    elements: str
  blocked_registries:
    description: Registries that nodes neither pull from nor push to. Excludes O(allowed_registries). Changes roll the nodes.
    type: list
    elements: str
  allowed_registries_for_import:
    description: The only registries that ordinary users may import image streams from. Without any entry all are allowed.
    type: list
    elements: dict
    suboptions:
      domain_name:
        description: V(HOST) or V(HOST:PORT). V(*) and V(?) are wildcards.
        type: str
        required: true
      insecure:
        description: Whether the registry may have no valid certificate, or no TLS. A new entry without it is secure.
        type: bool
  external_registry_hostnames:
    description:
      - Hosts (V(HOST[:PORT])) under which the cluster's own registry is known outside. Image streams show the first one.
      - The registry operator publishes the hosts of its routes by itself.
    type: list
    elements: str
  additional_trusted_ca:
    description:
      - Certificate authorities to trust, by host. What is there for other hosts stays.
      - They go into the ConfigMap that the configuration names, or a new one called C(additional-trusted-ca). Nodes do not roll.
    type: list
    elements: dict
    suboptions:
      host:
        description: V(HOST), or V(HOST:PORT) if images are named with the port (the ConfigMap's key is then C(HOST..PORT)).
        type: str
        required: true
      ca_certificates:
        description:
          - The authorities' certificates as PEM text, as RV(quayside.registry.router_ca_info#module:registries[].ca_certificates).
          - Refused when it is not PEM, or when all of them have expired.
        type: str
      state:
        description: V(absent) takes away what is trusted for the host.
        type: str
        choices: [present, absent]
        default: present
  purge:
    description:
      - Whether the lists that are given are exact. What is in them on the cluster and not in the option is removed, whoever
        wrote it.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until every MachineConfigPool is up to date. That takes minutes for each node.
      - Paused pools are not waited for. Where there are no pools (hosted control planes), nothing can be observed; a warning says so.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 3600
requirements:
  - cryptography >= 42 (only for O(additional_trusted_ca))
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.image_mirrors
  - module: quayside.registry.router_ca_info
    description: Finds whom to trust for another cluster's registry.
"""

EXAMPLES = r"""
- name: A cluster whose registry is exposed
  quayside.registry.image_registry:
    default_route: true

- name: Find whom to trust for it
  quayside.registry.router_ca_info:
  register: router_ca

- name: Have a cluster trust it, for imports, pods and builds
  quayside.registry.image_config:
    additional_trusted_ca:
      - host: "{{ router_ca.registries[0].host }}"
        ca_certificates: "{{ router_ca.registries[0].ca_certificates }}"

- name: Block a registry on all nodes, and let users import from two registries only
  quayside.registry.image_config:
    blocked_registries: [registry.example.net]
    allowed_registries_for_import:
      - domain_name: quay.io
      - domain_name: "*.apps.example.com"

- name: Change over from blocked to allowed registries
  quayside.registry.image_config:
    blocked_registries: []
    allowed_registries:
      - image-registry.openshift-image-registry.svc:5000
      - quay.io
      - registry.redhat.io
    purge: true

- name: Take it all back
  quayside.registry.image_config:
    allowed_registries: []
    allowed_registries_for_import: []
    additional_trusted_ca: []
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, kind: Image, namespace: "", name: cluster}]
rolls_nodes:
  description: Whether these changes make the nodes roll.
  returned: success
  type: bool
  sample: true
insecure_registries:
  description: All insecure registries of the configuration.
  returned: success
  type: list
  elements: str
  sample: [mirror.example.com:5000]
allowed_registries:
  description: All allowed registries.
  returned: success
  type: list
  elements: str
  sample: []
blocked_registries:
  description: All blocked registries.
  returned: success
  type: list
  elements: str
  sample: [registry.example.net]
allowed_registries_for_import:
  description: All registries that users may import from.
  returned: success
  type: list
  elements: dict
  sample: [{domain_name: quay.io, insecure: false}]
external_registry_hostnames:
  description: All further hosts of the cluster's registry.
  returned: success
  type: list
  elements: str
  sample: [registry.example.com]
additional_trusted_ca_config_map:
  description: Name of the ConfigMap in C(openshift-config), empty if there is none.
  returned: success
  type: str
  sample: additional-trusted-ca
trusted_hosts:
  description: All hosts in that ConfigMap.
  returned: success, with O(additional_trusted_ca)
  type: list
  elements: str
  sample: ["default-route-openshift-image-registry.apps.example.com", "mirror.example.com:5000"]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_config import ImageConfig
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

ARGUMENT_SPEC = {
    "insecure_registries": {"type": "list", "elements": "str"},
    "allowed_registries": {"type": "list", "elements": "str"},
    "blocked_registries": {"type": "list", "elements": "str"},
    "allowed_registries_for_import": {
        "type": "list",
        "elements": "dict",
        "options": {"domain_name": {"type": "str", "required": True}, "insecure": {"type": "bool"}},
    },
    "external_registry_hostnames": {"type": "list", "elements": "str"},
    "additional_trusted_ca": {
        "type": "list",
        "elements": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "ca_certificates": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 3600},
}


def main() -> None:
    run(ImageConfig, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
