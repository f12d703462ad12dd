#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quay_content_info
short_description: What is in a Quay, as the document that quay_content takes
version_added: 0.1.0
description:
  - Reads organizations and all that is in them, and on request users and messages. Parts that this Quay has no feature for are left out.
  - M(quayside.registry.quay_content) with the result changes nothing at the same Quay, and makes another one alike.
  - Tokens of robots and applications, passwords of users and the credentials of proxy caches and mirrors are not in it, and listed as
    C(left_out). Another Quay makes new tokens and passwords.
  - Images are not in it. A document with tags can be applied where the images are.
  - URLs of notifications are in it, which may be secrets.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - quayside.registry.quay
  - quayside.registry.attributes.info
options:
  organizations:
    description: Names of organizations. By default all that a superuser sees, or that anybody else administers.
    type: list
    elements: str
  users:
    description: Whether users and messages are in it, too. Only a superuser sees them.
    type: bool
    default: false
  tags:
    description: Whether tags and the labels of their images are in it, too. One request for each repository, and one for each image.
    type: bool
    default: false
seealso:
  - module: quayside.registry.quay_content
"""

EXAMPLES = r"""
- name: Everything
  quayside.registry.quay_content_info:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    quay_username: "{{ quay_username }}"
    quay_password: "{{ quay_password }}"
    users: true
  register: export
"""

RETURN = r"""
content:
  description: The options C(organizations), and with O(users) also C(users) and C(messages), of M(quayside.registry.quay_content).
  returned: success
  type: dict
  sample:
    organizations:
      - name: acme
        email: acme@example.com
        time_machine: 2w
        teams:
          - {name: developers, role: creator, description: Those who write it, members: [{robot: ci}]}
          - {name: owners, role: admin, description: "", members: [{user: quayadmin}]}
        robots:
          - {name: ci, description: Builds and pushes}
        repositories:
          - name: web
            visibility: public
            description: ""
            mode: normal
            permissions:
              - {robot: ci, role: write}
              - {team: developers, role: write}
        default_permissions:
          - {team: developers, role: read}
left_out:
  description:
    - The secrets that are not in the document, because Quay keeps them for itself or shows them once. The kind is C(RobotToken),
      C(OAuthToken), C(UserPassword), C(ProxyCache), C(RepositoryMirror) or C(OrganizationMirror).
  returned: success
  type: list
  elements: dict
  sample:
    - {kind: RobotToken, namespace: acme, name: ci}
    - {kind: OAuthToken, namespace: acme, name: "terraform: plan"}
"""

from ansible_collections.quayside.registry.plugins.module_utils.quay.client import CONNECTION
from ansible_collections.quayside.registry.plugins.module_utils.quay_content import run_info

ARGUMENT_SPEC = {
    **CONNECTION,
    "organizations": {"type": "list", "elements": "str"},
    "users": {"type": "bool", "default": False},
    "tags": {"type": "bool", "default": False},
}


def main() -> None:
    run_info(ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
