#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_failures_info
short_description: Why pods cannot pull their images, and what would fix it
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Finds all containers that wait for an image, in all namespaces or in some, and returns each image once for each cause, with
    the line of the node that tells of it and with the playbook and the variable of this collection that mend it.
  - What the node said is compared with what is known. Whether the pods have credentials for the registry, whether the registry
    has the image and which of the credentials it accepts (see O(verify)), and for images of the cluster's own registry whether
    the pods' service accounts may pull them.
  - Needs the rights to list pods, events, Secrets and service accounts. Without the one to list Secrets, missing and wrong
    credentials are not told apart.
options:
  namespaces:
    description: The namespaces to look at. Without it, all of them, which needs the right to list pods in all namespaces.
    type: list
    elements: str
    aliases: [projects]
  verify:
    description:
      - Whether to ask the registries again, from where this module runs, with the pods' own pull secrets.
      - A question is one HEAD request, which no registry counts as a pull. It travels over verified TLS, trusting what the host,
        its C(certs.d) and the cluster's C(additionalTrustedCA) trust. Credentials are not sent to registries that the cluster
        calls insecure.
      - A registry that cannot be reached from here is no failure. RV(failures[].check) then tells the problem.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for an answer of a registry.
    type: int
    default: 10
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes.info
seealso:
  - module: quayside.registry.docker_hub_limit_info
    description: How many pulls the Docker Hub still allows.
"""

EXAMPLES = r"""
- name: What cannot be pulled, and why
  quayside.registry.pull_failures_info:
  register: pulls

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.image }}: {{ item.summary }}. {{ item.remedy.text }}"
  loop: "{{ pulls.failures }}"
  loop_control:
    label: "{{ item.image }}"

- name: Two projects, without asking any registry
  quayside.registry.pull_failures_info:
    namespaces: [demo, default]
    verify: false
"""

RETURN = r"""
causes:
  description: How many images fail for which cause.
  returned: success
  type: dict
  sample: {credentials_missing: 1}
failures:
  description: Each failing image, once for each cause; those that most pods wait for come first.
  returned: success
  type: list
  elements: dict
  contains:
    image:
      description: The image as the pods name it.
      type: str
      returned: success
    registry:
      description: Its registry; empty where the name is not valid.
      type: str
      returned: success
    cause:
      description:
        - One of C(rate_limit), C(credentials_missing), C(credentials_wrong), C(credentials) where these two cannot be told
          apart, C(access), C(certificate_untrusted), C(certificate_expired), C(certificate_name), C(name_resolution),
          C(network), C(image_missing), C(architecture_missing), C(insecure_registry), C(registry_blocked), C(signature),
          C(disk_full), C(quota), C(node_throttled), C(invalid_name), C(short_name), C(never_pulled), C(registry_fails),
          C(unknown).
      type: str
      returned: success
    summary:
      description: The cause as a sentence.
      type: str
      returned: success
    evidence:
      description: What the node says, in one line.
      type: str
      returned: success
    remedy:
      description: What to do, with the C(playbook) and its C(variable) where this collection can do it.
      type: dict
      returned: success
    notes:
      description: What else was found out.
      type: list
      elements: str
      returned: success
    check:
      description:
        - What asking again has shown. C(exists) and C(allowed) are null where it could not be found out, C(accepted) is the pull
          secret that opens the image, C(refused) are those that do not. Null where nothing was asked.
      type: dict
      returned: success
    namespaces:
      description: Where pods wait for it.
      type: list
      elements: str
      returned: success
    pods:
      description: The containers that wait for it.
      type: list
      elements: dict
      returned: success
  sample:
    - image: ghcr.io/acme/app:1.4
      registry: ghcr.io
      cause: credentials_missing
      summary: the pod has no credentials for this registry
      evidence: "initializing source docker://ghcr.io/acme/app:1.4: reading manifest 1.4 in ghcr.io/acme/app: denied"
      remedy:
        text: Give project demo a pull secret for ghcr.io, linked to the pods' service account.
        playbook: quayside.registry.pull_secrets
        variable: pull_secrets_secrets
      notes: [Without a login the registry refuses it.]
      check: {exists: null, allowed: false, accepted: "", refused: [nobody], problem: ""}
      namespaces: [demo]
      pods:
        - {namespace: demo, name: app-6d5f8c7b9-x2x4q, container: app, node: worker-0, service_account: default}
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_failures import PullFailures

ARGUMENT_SPEC = {
    "namespaces": {"type": "list", "elements": "str", "aliases": ["projects"]},
    "verify": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 10},
}


def main() -> None:
    run(PullFailures, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
