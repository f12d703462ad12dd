#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certs_d
short_description: Make a host trust container registries
version_added: 0.1.0
description:
  - Writes the certificates of registries where podman, buildah, skopeo and CRI-O (C(/etc/containers/certs.d)) and docker
    (C(/etc/docker/certs.d)) look for them, and optionally among the anchors that the whole system trusts.
  - Client certificates and registries without verified TLS as well.
  - Manages only its own files, which it knows by their names. Those of a registry are C(quayside.crt), C(quayside.cert) and
    C(quayside.key) in its folder. Whatever others put beside them stays. When a CA is replaced, what is stale goes.
  - No service needs a restart for a file in C(certs.d). Docker needs one when its C(daemon.json) changes, which it does for
    O(registries[].insecure) only. See RV(restart_services).
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - ansible.builtin.files
  - quayside.registry.attributes
requirements:
  - Python 3.9 or newer, with nothing but its standard library
options:
  registries:
    description: The registries, each host once.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description:
          - The registry as V(HOST) or V(HOST:PORT), exactly as it is typed in the names of images.
          - Clients look for a folder of that very name, so V(quay.example.com) and V(quay.example.com:443) are two registries
            to them. List both if both are used.
        type: str
        required: true
      ca_certificates:
        description:
          - Certificates that sign the registry's own, as PEM text. One or several.
          - Refused when one is not a certificate or has expired.
        type: str
      ca_files:
        description:
          - The same from files on the managed host.
          - For a file on the controller use O(registries[].ca_certificates) with the lookup P(ansible.builtin.file#lookup).
        type: list
        elements: path
      client_certificate:
        description: Certificate that the host shows to the registry, as PEM text with the chain up to its CA, if there is one.
        type: str
      client_key:
        description: The private key of O(registries[].client_certificate), as PEM text without a passphrase. Its file has mode 0600.
        type: str
      insecure:
        description:
          - Whether the registry is used without verified TLS. For podman and its kin this writes a drop-in of
            C(registries.conf.d), for docker an entry in C(daemon.json).
          - V(false) also takes the registry out of C(daemon.json), whoever put it there.
        type: bool
        default: false
      state:
        description: V(absent) removes all that this module wrote for the registry.
        type: str
        choices: [present, absent]
        default: present
  clients:
    description:
      - For which clients files are written. V(podman) stands for everything that reads C(/etc/containers).
      - Files for a client that is not listed are left as they are.
    type: list
    elements: str
    choices: [podman, docker]
    default: [podman, docker]
  system_trust:
    description:
      - Whether the whole system (curl, git, Python, …) trusts the CAs, too, by anchors and C(update-ca-trust) on the Red Hat
        family, C(update-ca-certificates) on Debian and its kin. The command runs only when an anchor changed.
      - V(false) removes anchors that this module wrote for O(registries).
    type: bool
    default: false
  purge:
    description:
      - Whether registries that this module made trusted and that are not in O(registries) are removed.
      - A registry that is only known from docker's C(daemon.json) is not recognised as this module's.
    type: bool
    default: false
  containers_path:
    description: Configuration folder of podman and its kin. For one user alone V(~/.config/containers).
    type: path
    default: /etc/containers
  docker_path:
    description: Configuration folder of docker. For one user's rootless docker V(~/.config/docker).
    type: path
    default: /etc/docker
  mode:
    description: Mode of the files with certificates. Those with private keys always have 0600.
seealso:
  - module: quayside.registry.router_ca_info
  - module: quayside.registry.registry_check
  - name: containers-certs.d(5)
    description: How podman, buildah, skopeo and CRI-O find certificates.
    link: https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md
"""

EXAMPLES = r"""
- name: A cluster whose registry can be reached
  quayside.registry.image_registry:
    default_route: true

- name: Find the CA of its registry
  quayside.registry.router_ca_info:
    hosts:
      - default-route-openshift-image-registry.apps.example.com
  register: router_ca

- name: Trust it
  quayside.registry.certs_d:
    registries:
      - host: default-route-openshift-image-registry.apps.example.com
        ca_certificates: "{{ router_ca.registries[0].ca_certificates }}"

- name: Use a registry without TLS, from podman alone
  quayside.registry.certs_d:
    registries:
      - host: mirror.example.com:5000
        insecure: true
    clients: [podman]

- name: Keep nothing but the first
  quayside.registry.certs_d:
    registries:
      - host: default-route-openshift-image-registry.apps.example.com
        ca_certificates: "{{ router_ca.registries[0].ca_certificates }}"
    purge: true
  register: trust

- name: Restart what has to be
  ansible.builtin.service:
    name: "{{ item }}"
    state: restarted
  loop: "{{ trust.restart_services }}"
"""

RETURN = r"""
changes:
  description: What was changed, in check mode what would be. Files, and the update of the system's trust.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(create), V(update) or V(delete).
      type: str
    kind:
      description: V(File) or V(SystemTrust).
      type: str
    namespace:
      description: Always empty.
      type: str
    name:
      description: Path of the file, or the command.
      type: str
  sample:
    - {action: create, kind: File, namespace: "", name: /etc/containers/certs.d/quay.example.com/quayside.crt}
restart_services:
  description: Services that need a restart for the change to count. For the C(when) of a task or handler.
  returned: success
  type: list
  elements: str
  sample: [docker]
registries:
  description: The registries that are trusted now, with files and certificates.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The registry.
      type: str
    files:
      description: Paths of its files.
      type: list
      elements: str
    certificates:
      description: The CA certificates, with C(subject), C(issuer), C(not_after) and C(sha256).
      type: list
      elements: dict
  sample:
    - host: quay.example.com
      files: [/etc/containers/certs.d/quay.example.com/quayside.crt, /etc/docker/certs.d/quay.example.com/quayside.crt]
      certificates:
        - subject: CN=ingress-operator@1731000000
          issuer: CN=ingress-operator@1731000000
          not_after: "2028-11-07T17:20:00Z"
          sha256: 5f0c3a8f6bb0a0ddc5b0d0d3a51a5c3f3bd2f9ab3f0b4c5a0b4a2a1f0c9d8e7f
"""

import datetime

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host import system_trust
from ansible_collections.quayside.registry.plugins.module_utils.host.certs_d import CertsD
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.module import fail, finish

REGISTRY = {
    "host": {"type": "str", "required": True},
    "ca_certificates": {"type": "str"},
    "ca_files": {"type": "list", "elements": "path"},
    "client_certificate": {"type": "str"},
    "client_key": {"type": "str", "no_log": True},
    "insecure": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

ARGUMENT_SPEC = {
    "registries": {"type": "list", "elements": "dict", "default": [], "options": REGISTRY},
    "clients": {"type": "list", "elements": "str", "choices": ["podman", "docker"], "default": ["podman", "docker"]},
    "system_trust": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "containers_path": {"type": "path", "default": "/etc/containers"},
    "docker_path": {"type": "path", "default": "/etc/docker"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, add_file_common_args=True, supports_check_mode=True)

    def run_command(command: str) -> None:
        status, _output, errors = module.run_command([module.get_bin_path(command, required=True)])
        if status:
            raise RegistryError(f"{command} failed: {errors.strip()}.")

    try:
        trust = system_trust.detect(module.get_bin_path)
        now = datetime.datetime.now(datetime.timezone.utc)
        files = Files(module)
        finish(module, CertsD(module.params, files, trust, run_command, now), files)
    except RegistryError as error:
        fail(module, error)


if __name__ == "__main__":
    main()
