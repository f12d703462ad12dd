#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_accounts
short_description: Service accounts, and the Secrets linked to them
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Makes sure that service accounts exist (or not), with the Secrets that pods of theirs pull and mount with, and beside
    them, where asked, a Secret with a token that does not expire.
  - One task manages any number of service accounts in any number of projects. What is as wanted already costs no request
    of its own.
  - What others wrote (labels, annotations, links to Secrets) stays. Links are merged under the object's resource version.
options:
  service_accounts:
    description: The service accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service account.
        type: str
        required: true
      namespace:
        description: Its project. Without it, the module's O(namespace).
        type: str
        aliases: [project]
      state:
        description:
          - V(present) makes sure that the account exists, with what is listed here.
          - V(absent) deletes it, and its O(service_accounts[].token_secret). Kubernetes deletes its other tokens.
        type: str
        choices: [present, absent]
        default: present
      labels:
        description: Labels to set. One whose value is null is removed, others stay.
        type: dict
      annotations:
        description: Annotations to set. One whose value is null is removed, others stay.
        type: dict
      pull_secrets:
        description:
          - Names of Secrets of the project to link for pulling images (C(imagePullSecrets)), as C(oc secrets link
            --for=pull) does.
          - A Secret need not exist yet.
        type: list
        elements: str
      mount_secrets:
        description: Names of Secrets of the project to link for pods and builds (C(secrets)), as C(oc secrets link) does.
        type: list
        elements: str
      unlink_secrets:
        description: Names of Secrets that must not be linked, neither for pulling nor for mounting.
        type: list
        elements: str
      token_secret:
        description:
          - Name of a Secret of type C(kubernetes.io/service-account-token) to keep beside the account. It holds a token that
            does not expire, for clients that cannot renew one.
          - Prefer tokens that expire where the client can renew them (M(quayside.registry.registry_auth)).
        type: str
  namespace:
    description:
      - Project of the entries that name none.
      - With O(purge), this project is cleaned up also when no entry names it.
    type: str
    aliases: [project]
  create_projects:
    description:
      - Whether projects that are missing are created, as a Namespace, or as a ProjectRequest where the account may not create
        namespaces.
      - Otherwise a missing project is an error, and nothing is written.
    type: bool
    default: false
  purge:
    description:
      - Whether to delete, in the projects that are mentioned, service accounts and token Secrets that this collection created
        (label C(app.kubernetes.io/managed-by=quayside.registry)) and that are not listed.
    type: bool
    default: false
  wait:
    description: Whether to wait until each O(service_accounts[].token_secret) holds a token.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 60
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.registry_access
    description: Who may pull from and push to which project.
  - module: quayside.registry.registry_auth
    description: Put a token of a service account into an auth file on a host.
"""

EXAMPLES = r"""
- name: A builder and a puller, in a project that is created if it is missing
  quayside.registry.service_accounts:
    namespace: demo
    create_projects: true
    service_accounts:
      - name: builder-ci
        labels:
          team: tools
      - name: puller

- name: Pull with a Secret, and no longer with the old one
  quayside.registry.service_accounts:
    service_accounts:
      - name: default
        namespace: demo
        pull_secrets: [quay-pull]
        unlink_secrets: [old-pull]

- name: A token that does not expire, for a client outside of the cluster
  quayside.registry.service_accounts:
    namespace: demo
    service_accounts:
      - name: legacy-ci
        token_secret: legacy-ci-token

- name: Exactly these service accounts, of those that this collection created in the project
  quayside.registry.service_accounts:
    namespace: demo
    purge: true
    service_accounts:
      - name: builder-ci
      - name: puller
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      kind: ServiceAccount
      namespace: demo
      name: builder-ci
service_accounts:
  description: The service accounts that are present, in the order of the list. Tokens are never returned.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Its project.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    pull_secrets:
      description: Names of all Secrets linked for pulling, also of those that others linked.
      type: list
      elements: str
      returned: success
    mount_secrets:
      description: Names of all Secrets linked for mounting, also of those that others linked.
      type: list
      elements: str
      returned: success
  sample:
    - namespace: demo
      name: builder-ci
      pull_secrets: []
      mount_secrets: []
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.service_accounts import ServiceAccounts

ARGUMENT_SPEC = {
    "service_accounts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "aliases": ["project"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "labels": {"type": "dict"},
            "annotations": {"type": "dict"},
            "pull_secrets": {"type": "list", "no_log": False, "elements": "str"},
            "mount_secrets": {"type": "list", "no_log": False, "elements": "str"},
            "unlink_secrets": {"type": "list", "no_log": False, "elements": "str"},
            "token_secret": {"type": "str", "no_log": False},
        },
    },
    "namespace": {"type": "str", "aliases": ["project"]},
    "create_projects": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    run(ServiceAccounts, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
