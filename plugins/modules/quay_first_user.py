#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quay_first_user
short_description: Create the first user of a Quay, and keep its credentials and a token that works
version_added: 0.1.0
description:
  - Creates the first user on an empty Quay (C(/api/v1/user/initialize)) with a generated password, and keeps the password and an API
    token in a Secret of a cluster, in a file with mode 0600, or in both.
  - The token is one of an OAuth application of an organization, both of which are created. Where Quay has tokens with names (3.18 and
    newer) it is one of those, and expires when it is told to. On an older Quay it comes from the authorization flow, and Quay decides
    (ten years).
  - A second run asks Quay once whether the token is good. One that expires within O(renew_before), or that Quay no longer accepts, is
    replaced, and the tokens of that application that are not stored are revoked.
  - A run that was interrupted is finished by the next one, wherever it ended. The password is stored before the user is made.
  - Two runs that use the same Secret or the same file wait for each other, since Quay itself would let both create a first user.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.quay.server
  - quayside.registry.attributes
attributes:
  check_mode:
    details:
      - Signs in where a token is to be replaced, and asks Quay whether it has users by a call to initialize that it refuses for its
        password.
  idempotent:
    support: partial
    details: With O(force_renew) every run makes a new token.
options:
  name:
    description:
      - The user's name. It must be in C(SUPER_USERS) of Quay's C(config.yaml).
      - 2 to 255 lower case letters and digits, with single C(.), C(_) or C(-) between them.
    type: str
    default: quayadmin
  email:
    description: The user's e-mail address. Needed only by a Quay with C(FEATURE_MAILING). Later changes of this option do nothing.
    type: str
  initial_password:
    description:
      - The user's password, instead of a generated one. At least 8 characters and no blanks, as Quay demands.
      - On a Quay that has the user already, its present password, where what is stored is not or nothing is. It is kept from then on.
      - Once a password that works is stored, this option does nothing.
    type: str
  secret:
    description:
      - The Secret that keeps the credentials, in a project that exists. Its keys are C(host), C(username), C(password), C(email),
        C(token), C(token_id) and C(token_expires). Other keys of it stay.
      - What a person has put there as C(username) and C(password) is used.
    type: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: Its project.
        type: str
        required: true
        aliases: [project]
  file:
    description:
      - Absolute path of the file that keeps the credentials where the module runs, as a JSON object with the same keys. It has mode
        0600, and missing folders are made with mode 0700.
      - With O(secret) it is a copy, and the source where the Secret is gone.
    type: path
  organization:
    description: Organization that the OAuth application belongs to. It is created where it is missing.
    type: str
    default: automation
  application:
    description:
      - Name of the OAuth application. It is created where it is missing.
      - Of its tokens only the one that is stored stays. Give each Secret or file that keeps credentials of the same Quay an
        application of its own.
    type: str
    default: quayside.registry
  expires_in:
    description: Seconds that a new token lives, where Quay has tokens with names.
    type: int
    default: 7776000
  renew_before:
    description: Seconds before its end from which on the token is replaced. Default is half of O(expires_in).
    type: int
  force_renew:
    description: Whether the token is replaced even though it is good.
    type: bool
    default: false
  earlier_changes:
    description:
      - What tasks before this one changed, as modules of this collection return it in C(changes).
      - Check mode takes a Quay that those would have created for an empty one, and so can tell what the run will do.
    type: list
    elements: dict
    default: []
  return_credentials:
    description: Whether RV(credentials) are returned. Set C(no_log) on the task then.
    type: bool
    default: false
seealso:
  - module: quayside.registry.router_ca_info
    description: The CA of Quay's route, for O(quay_ca_cert).
"""

EXAMPLES = r"""
- name: The first user, its credentials in a Secret
  quayside.registry.quay_first_user:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    name: quayadmin
    email: quayadmin@example.com
    secret:
      name: quay-first-user
      namespace: default

- name: The same user, and a copy of its credentials in a file for other tools
  quayside.registry.quay_first_user:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    secret:
      name: quay-first-user
      namespace: default
    file: /tmp/quayside-examples/quay.json

- name: A new token now, that lives for a week and is renewed from the fifth day on
  quayside.registry.quay_first_user:
    quay_host: "{{ quay_host }}"
    quay_ca_cert: "{{ quay_ca_cert }}"
    secret:
      name: quay-first-user
      namespace: default
    expires_in: 604800
    renew_before: 172800
    force_renew: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: create, kind: Secret, namespace: quay, name: quay-first-user}
    - {action: create, kind: User, namespace: "", name: quayadmin}
    - {action: create, kind: Organization, namespace: "", name: automation}
    - {action: create, kind: OAuthApplication, namespace: "", name: quayside.registry}
    - {action: create, kind: OAuthToken, namespace: "", name: quayadmin}
    - {action: update, kind: Secret, namespace: quay, name: quay-first-user}
username:
  description: The user.
  returned: success
  type: str
  sample: quayadmin
token_expires:
  description: When the stored token ends. Empty in check mode where it would be a new one.
  returned: success
  type: str
  sample: "2027-02-19T10:00:00Z"
reason:
  description: Why a new token was made. Empty when it was not.
  returned: success
  type: str
  sample: the token expires at 2026-12-01T10:00:00Z
credentials:
  description: What is stored.
  returned: success, with O(return_credentials), not in check mode
  type: dict
  contains:
    password:
      description: The user's password.
      type: str
      returned: success
    token:
      description: The token.
      type: str
      returned: success
  sample: {password: secret, token: secret}
"""

from ansible_collections.quayside.registry.plugins.module_utils.first_user import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import EARLIER_CHANGES
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import SERVER
from ansible_collections.quayside.registry.plugins.module_utils.quay.stores import SECRET

ARGUMENT_SPEC = {
    **SERVER,
    "name": {"type": "str", "default": "quayadmin"},
    "email": {"type": "str"},
    "initial_password": {"type": "str", "no_log": True},
    "secret": SECRET,
    "file": {"type": "path"},
    "organization": {"type": "str", "default": "automation"},
    "application": {"type": "str", "default": "quayside.registry"},
    "expires_in": {"type": "int", "default": 7776000},
    "renew_before": {"type": "int"},
    "force_renew": {"type": "bool", "default": False},
    "earlier_changes": EARLIER_CHANGES,
    "return_credentials": {"type": "bool", "default": False},
}


def main() -> None:
    run(ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
