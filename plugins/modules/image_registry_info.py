#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_registry_info
short_description: Show the image registry of an OpenShift cluster
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Returns how the image registry is configured, under which hosts it is reached, what its operator says of it, and the
    state of what runs it in brief.
  - A registry that is removed is a state like any other, not a failure.
requirements: []
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes.info
seealso:
  - module: quayside.registry.image_registry
"""

EXAMPLES = r"""
- name: Look at the registry
  quayside.registry.image_registry_info:
  register: registry

- name: Show where it is reached
  ansible.builtin.debug:
    msg: "{{ registry.management_state }}: {{ registry.hosts | join(', ') }}"
"""

RETURN = r"""
default_host:
  description: The host of the default route, or null without one.
  returned: success
  type: str
  sample: default-route-openshift-image-registry.apps.example.com
default_route_host:
  description:
    - The host of the default route, or without one the host that it will get; null where the domain of the cluster's routes
      may not be read.
  returned: success
  type: str
  sample: default-route-openshift-image-registry.apps.example.com
hosts:
  description: All hosts under which the registry is reached from outside, that of the default route first.
  returned: success
  type: list
  elements: str
  sample: [default-route-openshift-image-registry.apps.example.com]
internal_address:
  description: Host and port of the registry for pods and nodes of the cluster.
  returned: success
  type: str
  sample: image-registry.openshift-image-registry.svc:5000
management_state:
  description: The configured management state.
  returned: success
  type: str
  sample: Managed
storage:
  description: The configured storage.
  returned: success
  type: dict
  sample: {managementState: Managed, pvc: {claim: image-registry-storage}}
conditions:
  description: The operator's conditions.
  returned: success
  type: list
  elements: dict
  sample: [{type: Available, status: "True", reason: Ready, message: The registry is ready}]
routes:
  description: The registry's routes, whether a router has admitted each, and if not why.
  returned: success
  type: list
  elements: dict
  sample: [{name: default-route, host: default-route-openshift-image-registry.apps.example.com, admitted: true, message: ""}]
deployment:
  description: Pods wanted, ready and of the newest configuration; null while the registry is removed.
  returned: success
  type: dict
  sample: {replicas: 2, ready: 2, updated: 2}
pods:
  description: The pods of the operator, the registry and the pruner. C(waiting) is why a container does not start.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: image-registry-888ddc9dd-br99w, phase: Running, ready: true, restarts: 0, node: worker-0, waiting: ""}
node_ca:
  description: On how many nodes the registry's certificate authority is to be trusted, and on how many it is.
  returned: success
  type: dict
  sample: {nodes: 5, ready: 5}
pruner:
  description: When old images are pruned, how many revisions of a tag are kept, and how the last run went.
  returned: success
  type: dict
  sample:
    schedule: 0 0 * * *
    suspended: false
    keep_tag_revisions: 3
    conditions: [{type: Failed, status: "False", reason: Complete, message: Pruner completed successfully}]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry_info import ImageRegistryInfo
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run


def main() -> None:
    run(ImageRegistryInfo, {})


if __name__ == "__main__":
    main()
