#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_report_info
short_description: Everything about a cluster's image registry and its Quays that is worth a look
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Returns the registry's state and hosts, certificates and credentials by the time that they end, who may pull and push what,
    the pull secrets, the imports of image streams that fail, and the images that pods cannot pull.
  - Of each Quay it returns how full the organizations are, the state of mirrors, and OAuth tokens by the time that they end. Those
    are the Quays of the cluster's QuayRegistries, read as the first user that M(quayside.registry.quay_first_user) keeps in the
    Secret C(quay-first-user) beside the QuayRegistry, and the O(quays) that are given.
  - It asks the cluster with about twenty requests, whatever its size, and a Quay with three for each organization and one for each
    mirror and OAuth application. Other registries are asked for O(drift) only.
  - What the account may not read is left out, and RV(report.unread) says so. The registry's configuration is needed.
  - No secret is in the result. Of credentials it has the registry, the user and the end.
options:
  warn_before:
    description: For how many days before its end a certificate or a credential counts as V(expiring).
    type: int
    default: 30
  drift:
    description:
      - Whether to look for tags of image streams whose source has another image by now, or is gone. This asks the registries, from
        where the module runs and with the project's pull secrets, one HEAD request for each tag that follows a tag elsewhere.
    type: bool
    default: false
  quays:
    description: Quays to look at, or how to look at those that QuayRegistries have.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Quay's host as V(HOST) or V(HOST:PORT), or its URL.
        type: str
        required: true
      username:
        description: User to sign in as, with O(quays[].password). A superuser sees everything, anybody else what he administers.
        type: str
      password:
        description: The user's password.
        type: str
      token:
        description: An OAuth token instead, which is much slower.
        type: str
      secret:
        description: The Secret that keeps them, as M(quayside.registry.quay_first_user) makes it.
        type: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          namespace:
            description: Its namespace.
            type: str
            required: true
            aliases: [project]
      ca_cert:
        description:
          - The CA certificates to verify Quay's certificate with, as PEM text or as the file that holds them. By default those of the
            cluster's router where one of its routes has the host, otherwise those that Python's requests trusts.
        type: str
      validate_certs:
        description: Whether Quay's certificate is verified.
        type: bool
        default: true
requirements:
  - requests, for Quays
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
    drift: true
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
        - Certificates, CAs, credentials and tokens of Quay that end, the next first, with C(kind), C(name), C(where) it is kept,
          what it is C(used_for) and C(not_after).
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
    drift:
      description:
        - Tags of image streams with the digest that was C(imported) and that of the source now, C(current), which is empty where it is
          gone. Not defined (null) without O(drift).
      type: list
      elements: dict
      returned: success
    quays:
      description:
        - Each Quay with its C(host), the QuayRegistry that it belongs to as C(registry) (empty for others), its C(version), whether it
          is C(available), whether it could be C(read), and the C(error) otherwise.
      type: list
      elements: dict
      returned: success
    quay_organizations:
      description:
        - Organizations with C(quota) and what is C(used) of it in bytes, how many C(repositories), C(public) ones and C(robots) there
          are, and the C(state) of the quota, which is empty, C(warning) or C(exceeded).
      type: list
      elements: dict
      returned: success
    quay_mirrors:
      description: Repositories that mirror others, with the C(status) of the last run as Quay calls it, and whether it is C(failing).
      type: list
      elements: dict
      returned: success
    failing_pulls:
      description: Images that pods cannot pull, as M(quayside.registry.pull_failures_info) finds them.
      type: list
      elements: dict
      returned: success
    problems:
      description:
        - What is not well, each with its C(kind), one of C(expired), C(expiring), C(failing_imports), C(drift), C(failing_pulls),
          C(failing_quays) (not available, or not to be read), C(quota_exceeded), C(failing_mirrors).
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
    drift:
      - namespace: demo
        stream: base
        tag: latest
        source: ghcr.io/acme/base:latest
        imported: sha256:5ffd…
        current: sha256:d1b4…
        since: "2026-11-01T07:00:00Z"
        scheduled: false
    quays:
      - host: quay-quay-quay.apps.example.com
        registry: quay/quay
        version: 3.18.0
        available: true
        message: ""
        error: ""
        read: true
    quay_organizations:
      - {quay: quay-quay-quay.apps.example.com, organization: acme, repositories: 12, public: 1, robots: 3, quota: 10737418240,
         used: 9556302233, state: warning}
    quay_mirrors:
      - {quay: quay-quay-quay.apps.example.com, organization: acme, repository: base, source: ghcr.io/acme/base, enabled: true,
         status: FAIL, failing: true, next: "2026-11-21T08:00:00Z", interval: 86400, retries_left: 2}
    failing_pulls: []
    problems:
      - {kind: expiring, text: certificate CN=*.apps.example.com expires on 2026-12-01T00:00:00Z}
      - {kind: drift, text: "demo/base:latest: its source ghcr.io/acme/base:latest has another image by now"}
      - {kind: failing_mirrors, text: "Quay quay-quay-quay.apps.example.com: acme/base could not be mirrored from ghcr.io/acme/base"}
    unread: []
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.report import QUAYS, Report

ARGUMENT_SPEC = {
    "warn_before": {"type": "int", "default": 30},
    "drift": {"type": "bool", "default": False},
    "quays": QUAYS,
}


def main() -> None:
    run(Report, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
