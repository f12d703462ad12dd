#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_report_info
short_description: Everything about a cluster's image registry that is worth a look
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Returns the registry's state and hosts, certificates and credentials by the time that they end, who may pull and push what,
    the pull secrets, the imports of image streams that fail, and the images that pods cannot pull.
  - It asks the cluster alone, with about twenty requests, whatever its size. No registry is asked anything.
  - What the account may not read is left out, and RV(report.unread) says so. The registry's configuration is needed.
  - No secret is in the result. Of credentials it has the registry, the user and the end.
options:
  warn_before:
    description: For how many days before its end a certificate or a credential counts as V(expiring).
    type: int
    default: 30
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes.info
seealso:
  - module: quayside.registry.report_page
  - module: quayside.registry.pull_failures_info
"""

EXAMPLES = r"""
- name: Look at everything
  quayside.registry.registry_report_info:
    warn_before: 14
  register: cluster

- name: Show what is not well
  ansible.builtin.debug:
    msg: "{{ cluster.report.problems | map(attribute='text') }}"
"""

RETURN = r"""
report:
  description: What there is.
  returned: success
  type: dict
  contains:
    read_at:
      description: When it was read.
      type: str
      returned: success
    warn_before:
      description: The option O(warn_before).
      type: int
      returned: success
    registry:
      description: The registry's state, hosts, storage and conditions.
      type: dict
      returned: success
    counts:
      description: How many C(projects) have image streams, how many C(image_streams) there are, and C(tags) in them.
      type: dict
      returned: success
    expiry:
      description:
        - Certificates, CAs and credentials that end, the next first, with C(kind), C(name), C(where) it is kept, what it is
          C(used_for) and C(not_after).
      type: list
      elements: dict
      returned: success
    access:
      description:
        - Who may C(pull) and C(push) in which project, with the C(roles), and the groups that a user has them C(through). Without
          the platform's own accounts.
      type: list
      elements: dict
      returned: success
    pull_secrets:
      description: Each registry of each pull secret with its user, the service accounts that it is C(linked) to, and its C(problem).
      type: list
      elements: dict
      returned: success
    failing_imports:
      description: Tags of image streams whose last import failed.
      type: list
      elements: dict
      returned: success
    failing_pulls:
      description: Images that pods cannot pull, as M(quayside.registry.pull_failures_info) finds them.
      type: list
      elements: dict
      returned: success
    problems:
      description: What is not well, each with its C(kind), one of C(expired), C(expiring), C(failing_imports), C(failing_pulls).
      type: list
      elements: dict
      returned: success
    unread:
      description: What could not be read, and why.
      type: list
      elements: str
      returned: success
  sample:
    read_at: "2026-11-21T07:00:00Z"
    warn_before: 30
    registry:
      management_state: Managed
      hosts: [default-route-openshift-image-registry.apps.example.com]
    counts: {projects: 1, image_streams: 1, tags: 2}
    expiry:
      - kind: certificate
        name: CN=*.apps.example.com
        issuer: CN=ingress-operator@1700000000
        where: Secret openshift-ingress/router-certs-default
        used_for: [default-route-openshift-image-registry.apps.example.com]
        not_after: "2026-12-01T00:00:00Z"
    access:
      - project: demo
        kind: user
        name: ann
        pull: true
        push: false
        roles: [registry-viewer]
        through: [developers]
        streams: []
    pull_secrets:
      - namespace: demo
        name: registries
        registry: ghcr.io
        username: ann
        not_after: ""
        linked: [default]
        problem: ""
    failing_imports: []
    failing_pulls: []
    problems:
      - {kind: expiring, text: certificate CN=*.apps.example.com expires on 2026-12-01T00:00:00Z}
    unread: []
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.registry_report import RegistryReport

ARGUMENT_SPEC = {"warn_before": {"type": "int", "default": 30}}


def main() -> None:
    run(RegistryReport, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
