#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_registry
short_description: Configure and expose the image registry of an OpenShift cluster
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Manages C(configs.imageregistry.operator.openshift.io/cluster), which the image registry operator turns into a running
    registry, its storage and its routes, and the TLS Secrets of further routes.
  - Only options that are given are managed; everything else in the configuration stays as it is.
  - Unless told otherwise it waits until the operator has settled, a router has admitted every wanted route, and its host
    is published in C(images.config.openshift.io/cluster). The operator's own conditions say nothing of routes.
options:
  management_state:
    description:
      - Whether the operator runs the registry (V(Managed)), leaves it alone (V(Unmanaged)) or takes it away (V(Removed)).
      - Going from V(Removed) to V(Managed) needs O(storage), unless some is configured already.
    type: str
    choices: [Managed, Unmanaged, Removed]
  default_route:
    description:
      - Whether the registry has the route V(default-route), with a host under the domain of the cluster's routes and the
        certificate of its router.
      - The routes of O(routes) do not depend on it.
    type: bool
  routes:
    description:
      - Further routes to the registry, with hosts and certificates of their own. Routes that are not named stay as they are,
        unless O(purge_routes) is set.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the Route in the namespace C(openshift-image-registry).
        type: str
        required: true
      hostname:
        description:
          - The host. Without it a new route gets a generated one under the domain of the cluster's routes.
        type: str
      secret_name:
        description:
          - The Secret in C(openshift-image-registry) with the certificate (key C(tls.crt)), its key (C(tls.key)) and
            further authorities (C(tls.cacrt)). Without a Secret the router shows its own certificate.
          - With O(routes[].certificate) the module writes it, and its name is the route's with C(-tls) unless given here.
        type: str
      certificate:
        description:
          - The server certificate as PEM text, first the server's own, then its intermediate authorities.
          - It is refused when it is not PEM, has expired, does not cover O(routes[].hostname), or when
            O(routes[].private_key) is not its key.
        type: str
      private_key:
        description: The private key of O(routes[].certificate) as PEM text without a passphrase.
        type: str
      ca_certificate:
        description: The authorities that issued the certificate, as PEM text; clients that ask for the CA get them.
        type: str
      state:
        description:
          - Whether the route is there. With V(absent) the Secret that this module wrote for it goes, too.
        type: str
        choices: [present, absent]
        default: present
  purge_routes:
    description: Remove every route of the configuration that O(routes) does not name. The default route is not one of them.
    type: bool
    default: false
  storage:
    description:
      - Where the images are kept, as a dictionary with exactly one of C(pvc), C(emptyDir), C(s3), C(gcs), C(azure), C(swift)
        and C(ibmcos), and in it the fields of the API under their own names.
      - C(pvc) with C(claim) uses that claim; an empty name leaves the claim to the operator, which makes
        C(image-registry-storage) of 100 GiB that many nodes can write to. C(emptyDir) loses the images with the pod.
      - Within a kind only the given fields change; another kind replaces the old one. Images are not moved.
      - C(managementState) beside the kind says whether the operator deletes the storage when the registry is removed.
    type: dict
  replicas:
    description: How many pods serve the registry. More than one need storage that they can share.
    type: int
  read_only:
    description: Whether pushes and deletions are refused.
    type: bool
  disable_redirect:
    description: Whether clients get all data through the registry instead of from the object storage behind it.
    type: bool
  rollout_strategy:
    description: How pods are replaced. V(Recreate) is for claims that only one node can mount.
    type: str
    choices: [RollingUpdate, Recreate]
  log_level:
    description: How much the registry logs.
    type: str
    choices: [Normal, Debug, Trace, TraceAll]
  node_selector:
    description: Labels of the nodes that the registry runs on, managed as a whole; V({}) removes them.
    type: dict
  tolerations:
    description: Tolerations of the registry's pods as the API has them, managed as a whole; V([]) removes them.
    type: list
    elements: dict
  resources:
    description: Requests and limits of the registry's pods as the API has them, managed as a whole; V({}) removes them.
    type: dict
  wait:
    description:
      - Whether to wait until the registry is as wanted. Without it the result is what is expected.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. When they have passed the task fails and says what is still wrong.
    type: int
    default: 300
requirements:
  - cryptography >= 42 (only for O(routes[].certificate))
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.image_registry_info
  - module: quayside.registry.router_ca_info
"""

EXAMPLES = r"""
- name: Run the registry on a claim that the operator makes, and expose it
  quayside.registry.image_registry:
    management_state: Managed
    storage:
      pvc:
        claim: ""
    default_route: true
  register: registry

- name: Show the host to push to
  ansible.builtin.debug:
    msg: "podman login {{ registry.default_host }}"

- name: Offer the registry under another host, too, with a certificate of its own
  quayside.registry.image_registry:
    routes:
      - name: public
        hostname: registry.example.com
        certificate: "{{ lookup('ansible.builtin.file', 'registry.example.com.crt') }}"
        private_key: "{{ lookup('ansible.builtin.file', 'registry.example.com.key') }}"

- name: Offer it under a host that the router's own certificate covers
  quayside.registry.image_registry:
    routes:
      - name: images
        hostname: images.apps.example.com

- name: Run two pods that refuse pushes
  quayside.registry.image_registry:
    replicas: 2
    read_only: true

- name: Take pushes again in one pod, and keep no route but the default one
  quayside.registry.image_registry:
    replicas: 1
    read_only: false
    routes: []
    purge_routes: true
"""

RETURN = r"""
default_host:
  description:
    - The host of the default route, or null without one. In check mode the host that it will get, where the domain of the
      cluster's routes may be read.
  returned: success
  type: str
  sample: default-route-openshift-image-registry.apps.example.com
hosts:
  description: All hosts under which the registry is reached from outside, that of the default route first.
  returned: success
  type: list
  elements: str
  sample: [default-route-openshift-image-registry.apps.example.com, registry.example.com]
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
  description: The configured storage, as completed by the operator.
  returned: success
  type: dict
  sample: {managementState: Managed, pvc: {claim: image-registry-storage}}
conditions:
  description: The operator's conditions.
  returned: success, and on failure where the operator refuses the configuration
  type: list
  elements: dict
  sample: [{type: Available, status: "True", reason: Ready, message: The registry is ready}]
routes:
  description: The registry's routes, whether a router has admitted each, and if not why.
  returned: success
  type: list
  elements: dict
  sample: [{name: public, host: registry.example.com, admitted: true, message: ""}]
changes:
  description: What was changed, or in check mode would be.
  returned: always
  type: list
  elements: dict
  sample: [{action: update, kind: Config, namespace: "", name: cluster}]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_registry import ImageRegistry
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

ROUTE = {
    "name": {"type": "str", "required": True},
    "hostname": {"type": "str"},
    "secret_name": {"type": "str", "no_log": False},
    "certificate": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

ARGUMENTS = {
    "management_state": {"type": "str", "choices": ["Managed", "Unmanaged", "Removed"]},
    "default_route": {"type": "bool"},
    "routes": {"type": "list", "elements": "dict", "options": ROUTE},
    "purge_routes": {"type": "bool", "default": False},
    "storage": {"type": "dict"},
    "replicas": {"type": "int"},
    "read_only": {"type": "bool"},
    "disable_redirect": {"type": "bool"},
    "rollout_strategy": {"type": "str", "choices": ["RollingUpdate", "Recreate"]},
    "log_level": {"type": "str", "choices": ["Normal", "Debug", "Trace", "TraceAll"]},
    "node_selector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "resources": {"type": "dict"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 300},
}


def main() -> None:
    run(ImageRegistry, ARGUMENTS)


if __name__ == "__main__":
    main()
