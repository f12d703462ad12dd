#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: automation_access
short_description: A service account with exactly the rights that chosen playbooks need
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Makes sure that a service account for automation (AWX, a pipeline, a schedule) exists, with exactly the rights that the
    named playbooks of this collection need, and no others of this module's.
  - Each playbook has a cluster role of its own, beside a role in each of OpenShift's own namespaces that it reads or writes.
    What is no longer listed is taken away.
  - Writes, where asked, a kubeconfig with a token of the account, and renews it before the token ends.
  - Connect as a cluster administrator, since the API server lets nobody else grant these rights.
options:
  playbooks:
    description:
      - Names of the playbooks, without C(quayside.registry). V(site) has the rights of all that it runs but V(quay), which has to be
        named beside it, because whoever installs operators may get any right by one.
      - Required with O(state=present).
    type: list
    elements: str
  projects:
    description:
      - The projects that the account works in. They must exist.
      - Without it, the rights of playbooks that work in projects (V(builders), V(pull_secrets), V(image_streams),
        V(diagnose), V(move_to_registry) and those of Quay) hold in all projects, those of the cluster itself included. To read and
        write Secrets everywhere is as good as to be cluster administrator.
    type: list
    elements: str
  name:
    description: Name of the service account.
    type: str
    default: automation
  namespace:
    description: Its project, which is created if it is missing.
    type: str
    default: quayside-automation
    aliases: [project]
  account_kubeconfig:
    description:
      - Path of a kubeconfig with a token of the account, on the host that the module runs on. Only its owner may read it.
      - It has the server and the CA that the module itself connects with.
    type: path
  expires_in:
    description: Seconds that a new token lives. The API server may shorten it.
    type: int
    default: 2592000
  renew_before:
    description: Seconds before its end from which on a token is replaced. Half of O(expires_in), unless you say otherwise.
    type: int
  state:
    description:
      - V(absent) deletes the account with its roles, bindings and O(account_kubeconfig). The project stays.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.registry_access
    description: Who may pull from and push to which project.
"""

EXAMPLES = r"""
- name: An account that exposes the registry and verifies it, with its kubeconfig
  quayside.registry.automation_access:
    playbooks: [expose_registry, verify_registry]
    account_kubeconfig: /tmp/quayside-examples/automation.kubeconfig

- name: An account that gives access in one project only
  quayside.registry.automation_access:
    name: builders
    playbooks: [builders]
    projects: [default]

- name: No longer
  quayside.registry.automation_access:
    state: absent
    account_kubeconfig: /tmp/quayside-examples/automation.kubeconfig
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      kind: ClusterRole
      namespace: ""
      name: quayside.registry:quayside-automation.automation:expose_registry
service_account:
  description: The account.
  returned: success
  type: dict
  sample: {namespace: quayside-automation, name: automation}
roles:
  description: The roles that it is bound to, with their rules as RBAC has them.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: ClusterRole
      namespace: ""
      name: quayside.registry:quayside-automation.automation:trust_registry
      rules:
        - apiGroups: [config.openshift.io]
          resources: [images]
          verbs: [get]
          resourceNames: [cluster]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.automation_access import AutomationAccess
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

ARGUMENT_SPEC = {
    "playbooks": {"type": "list", "elements": "str"},
    "projects": {"type": "list", "elements": "str"},
    "name": {"type": "str", "default": "automation"},
    "namespace": {"type": "str", "default": "quayside-automation", "aliases": ["project"]},
    "account_kubeconfig": {"type": "path"},
    "expires_in": {"type": "int", "default": 2592000},
    "renew_before": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    run(AutomationAccess, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
