#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_access
short_description: Who may view, pull, push, edit or administer the images of a project
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Grants and takes away roles on the images of projects in the cluster's image registry, for users, groups, service
    accounts, and all service accounts of a project.
  - A role binding is found by what it grants, not by its name. One that C(oc policy add-role-to-user) made counts as present
    and is not doubled, and a binding with several subjects counts for each of them.
  - New bindings have one subject each. What is new is granted before anything is taken away, so that a subject whose level
    changes never has less than it had or will have.
options:
  access:
    description: Who may do what, where.
    type: list
    elements: dict
    required: true
    suboptions:
      project:
        description: Project whose images this is about.
        type: str
        required: true
        aliases: [namespace]
      level:
        description:
          - What the subjects may do. Set either this or O(access[].role).
          - V(view) is the cluster role C(registry-viewer), which sees the image streams and pulls.
          - V(pull) is C(system:image-puller), which only pulls.
          - V(push) is C(system:image-builder), which pulls and pushes, and creates the image stream that a first push goes
            to. C(system:image-pusher) may not create image streams, and so a push with it to one that does not exist is
            refused at the end, when all layers are uploaded. For a subject that shall push only to streams that exist, set
            O(access[].role=system:image-pusher).
          - V(edit) is C(registry-editor), which pushes, and changes and deletes image streams and tags. Beware that it may
            also read all Secrets of the project.
          - V(admin) is C(registry-admin), which grants roles to others besides.
        type: str
        choices: [view, pull, push, edit, admin]
      role:
        description:
          - Name of any other role, for example V(edit). It is what a project's administrator can grant where the API server
            refuses C(system:image-builder), because an account may grant only rights that it holds itself.
        type: str
      role_kind:
        description: Whether O(access[].role) is a ClusterRole, or a Role of the project.
        type: str
        choices: [ClusterRole, Role]
        default: ClusterRole
      users:
        description: Names of users.
        type: list
        elements: str
      groups:
        description: Names of groups.
        type: list
        elements: str
      service_accounts:
        description: Service accounts, as C(NAME) of the same project or C(PROJECT/NAME) of another one.
        type: list
        elements: str
      service_accounts_of:
        description: Projects of which all service accounts are meant (group C(system:serviceaccounts:PROJECT)).
        type: list
        elements: str
      state:
        description:
          - V(present) grants the role.
          - V(absent) takes it away, whatever binding it comes from. A binding that has other subjects keeps them. Other roles
            of the subjects stay.
        type: str
        choices: [present, absent]
        default: present
  create_projects:
    description:
      - Whether projects that are missing are created, as a Namespace, or as a ProjectRequest where the account may not create
        namespaces.
      - Otherwise a missing project is an error, and nothing is written.
    type: bool
    default: false
  purge:
    description:
      - Whether to take away, in the projects that are mentioned, what bindings of this collection
        (label C(app.kubernetes.io/managed-by=quayside.registry)) grant and what is not listed.
      - An entry of O(access) that names a project and nobody is then allowed. It empties the project.
    type: bool
    default: false
  missing_subjects:
    description:
      - What to do about users, groups, service accounts and projects of O(access[].service_accounts_of) that do not exist.
        OpenShift lets them be bound. A user exists from the first login on.
      - Kinds that the account may not read are not checked, and returned as RV(unchecked).
    type: str
    choices: [warn, fail, ignore]
    default: warn
  missing_roles:
    description: What to do about roles that do not exist. OpenShift lets a cluster administrator bind them.
    type: str
    choices: [warn, fail, ignore]
    default: warn
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.service_accounts
    description: The service accounts themselves.
"""

EXAMPLES = r"""
- name: The projects and their service accounts
  quayside.registry.service_accounts:
    create_projects: true
    service_accounts:
      - name: builder-ci
        namespace: demo
      - name: puller
        namespace: demo
      - name: web
        namespace: shop

- name: A builder pushes, a puller and everything in the project shop pull
  quayside.registry.registry_access:
    access:
      - project: demo
        level: push
        service_accounts: [builder-ci]
      - project: demo
        level: pull
        service_accounts: [puller]
        service_accounts_of: [shop]

- name: Users and groups, a service account of another project, and any role by name
  quayside.registry.registry_access:
    missing_subjects: ignore
    access:
      - project: demo
        level: view
        users: [developer]
        groups: [testers]
      - project: shop
        level: pull
        service_accounts: [demo/puller]
      - project: shop
        role: edit
        users: [developer]

- name: The group may not look any more
  quayside.registry.registry_access:
    access:
      - project: demo
        level: view
        groups: [testers]
        state: absent

- name: From now on the builder has a lesser level, and nobody else has anything that this collection granted
  quayside.registry.registry_access:
    purge: true
    access:
      - project: demo
        level: pull
        service_accounts: [builder-ci]
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      kind: RoleBinding
      namespace: demo
      name: quayside-system-image-builder-sa-builder-ci-c53f396def
access:
  description: Who has which role, in the order of the list. One element for each subject.
  returned: success
  type: list
  elements: dict
  contains:
    project:
      description: Project whose images this is about.
      type: str
      returned: success
    role:
      description: Name of the role.
      type: str
      returned: success
    subject:
      description: The user, group or service account, for example V(service account demo/builder-ci).
      type: str
      returned: success
    binding:
      description: Name of the role binding that grants it.
      type: str
      returned: success
  sample:
    - project: demo
      role: system:image-builder
      subject: service account demo/builder-ci
      binding: quayside-system-image-builder-sa-builder-ci-c53f396def
unchecked:
  description: Kinds of subjects of which the account may not know whether they exist.
  returned: success
  type: list
  elements: str
  sample: [users, groups]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.access import LEVELS, RegistryAccess
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

_REACTION = {"type": "str", "choices": ["warn", "fail", "ignore"], "default": "warn"}

ARGUMENT_SPEC = {
    "access": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "project": {"type": "str", "required": True, "aliases": ["namespace"]},
            "level": {"type": "str", "choices": list(LEVELS)},
            "role": {"type": "str"},
            "role_kind": {"type": "str", "choices": ["ClusterRole", "Role"], "default": "ClusterRole"},
            "users": {"type": "list", "elements": "str"},
            "groups": {"type": "list", "elements": "str"},
            "service_accounts": {"type": "list", "elements": "str"},
            "service_accounts_of": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "create_projects": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "missing_subjects": _REACTION,
    "missing_roles": _REACTION,
}


def main() -> None:
    run(RegistryAccess, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
