#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: router_ca_info
short_description: Find the certificate authorities to trust for hosts of an OpenShift cluster
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Finds which certificate the cluster's router shows for a host, as the router itself decides, and returns the certificate
    authorities that a client must trust for it. Private keys are never returned.
  - In this order. The certificate of the Route, or the Secret that it names in C(externalCertificate); the Secret that the
    IngressController which admitted the Route names in C(spec.defaultCertificate); the Secret C(router-certs-NAME) that the
    ingress operator made for that IngressController; the ConfigMap C(default-ingress-cert), where those Secrets are
    missing or may not be read.
  - For the name of a Service (ending in C(.svc)) it returns the cluster's service authorities.
  - Where the host can be reached, a TLS handshake that trusts the returned authorities alone proves them.
options:
  hosts:
    description:
      - Host names, each with a port if it is not 443 (for the registry's internal address 5000).
      - Without O(hosts) and O(routes), all hosts under which the cluster's image registry is reached from outside; before
        it is exposed, the host that its default route will get.
      - For that host alone no Route needs to exist; the answer comes with a warning then. Any other host must have an
        admitted Route.
    type: list
    elements: str
  routes:
    description: Routes, instead of or beside O(hosts).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the Route.
        type: str
        required: true
      namespace:
        description: Project of the Route.
        type: str
        required: true
      expected:
        description:
          - Whether the Route is yet to come. Where there is none, the answer is for the host that OpenShift will make of its name
            and project, behind the default router, with a warning.
          - Set it to C(ansible_check_mode) where a task before this one creates the Route.
        type: bool
        default: false
  warn_days:
    description: Warn of certificates that expire in fewer days than this.
    type: int
    default: 30
  handshake:
    description:
      - Whether to connect to each host from where this module runs, through the proxy of the environment variables
        E(HTTPS_PROXY) and E(NO_PROXY) if they are set. That a host cannot be reached is no failure.
    type: bool
    default: true
  connect_timeout:
    description: Seconds to wait for a host.
    type: float
    default: 5
requirements:
  - cryptography >= 42
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes.info
seealso:
  - module: quayside.registry.image_registry
"""

EXAMPLES = r"""
- name: Find what to trust for the registry under all its hosts
  quayside.registry.router_ca_info:
  register: router_ca

- name: Show when the certificates expire
  ansible.builtin.debug:
    msg: "{{ item.host }}: {{ item.certificates[0].not_after }}"
  loop: "{{ router_ca.registries }}"
  loop_control:
    label: "{{ item.host }}"

- name: Find what to trust for one host from outside and for the internal address
  quayside.registry.router_ca_info:
    hosts:
      - default-route-openshift-image-registry.apps.example.com
      - image-registry.openshift-image-registry.svc:5000

- name: Look a route up by its name, without connecting to it
  quayside.registry.router_ca_info:
    routes:
      - name: default-route
        namespace: openshift-image-registry
    handshake: false
"""

RETURN = r"""
registries:
  description: One entry for each host.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The host as it was given, or the Route's.
      type: str
      sample: default-route-openshift-image-registry.apps.example.com
    ca_certificates:
      description:
        - What to trust, as PEM text. The authorities that issued the server's certificate, without that certificate itself;
          a self-signed one is its own authority.
        - Where the cluster does not store the root, the highest authority that it stores, which C(podman), C(skopeo),
          C(docker) and C(curl) accept; RV(registries[].problem) says so.
        - Empty where the router does not know the certificate (passthrough, plain HTTP).
      type: str
      sample: |
        -----BEGIN CERTIFICATE-----
        MIIDDDCCAfSgAwIBAgIBATANBgkqhkiG9w0BAQsFADAmMSQwIgYDVQQDDBtpbmdy
        -----END CERTIFICATE-----
    source:
      description: The object that the certificates were found in.
      type: str
      sample: Secret openshift-ingress/router-certs-default
    certificates:
      description: The server's certificate, where it is known, and the authorities.
      type: list
      elements: dict
      contains:
        subject:
          description: Its distinguished name.
          type: str
          sample: CN=*.apps.example.com
        issuer:
          description: The distinguished name of who issued it.
          type: str
          sample: CN=ingress-operator@1762941600
        fingerprint_sha256:
          description: The SHA-256 fingerprint, as C(openssl x509 -fingerprint) prints it.
          type: str
          sample: 0B:1D:8C:32:1B:6E:67:C8:CC:A9:2D:BA:16:44:A3:D6:3F:25:E5:53:67:79:08:0D:4A:94:F7:CE:6C:CF:9C:51
        not_before:
          description: Since when it is valid (UTC).
          type: str
          sample: "2026-05-20T09:00:00Z"
        not_after:
          description: Until when it is valid (UTC).
          type: str
          sample: "2028-05-19T09:00:00Z"
        expires_in_days:
          description: Whole days until then; negative once it has expired.
          type: int
          sample: 545
        is_ca:
          description: Whether it is an authority.
          type: bool
          sample: false
    verified:
      description:
        - Whether the handshake succeeded with RV(registries[].ca_certificates) alone; null where the host could not be
          reached or was not asked.
      type: bool
      sample: true
    problem:
      description: What is wrong with the host's certificates or worth knowing about them; null for nothing.
      type: str
      sample: the certificate CN=*.apps.example.com expires in 12 days
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.router_ca import RouterCa

ROUTE = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "expected": {"type": "bool", "default": False},
}

ARGUMENTS = {
    "hosts": {"type": "list", "elements": "str"},
    "routes": {"type": "list", "elements": "dict", "options": ROUTE},
    "warn_days": {"type": "int", "default": 30},
    "handshake": {"type": "bool", "default": True},
    "connect_timeout": {"type": "float", "default": 5},
}


def main() -> None:
    run(RouterCa, ARGUMENTS)


if __name__ == "__main__":
    main()
