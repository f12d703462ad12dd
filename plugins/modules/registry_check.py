#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_check
short_description: Prove what a credential may do at a registry
version_added: 0.1.0
description:
  - Logs in to a registry, pushes a tiny image, pulls it by its digest and compares, deletes it, from the host that the module runs
    on and through the registry's own API. TLS is verified with the certificates that podman trusts on that host.
  - Also proves that something is refused (O(checks[].expect=refused)). Only the registry's own refusal counts as one. A registry
    that cannot be reached or is not trusted fails the task.
  - What is pushed is the same image every time, so that the second run changes nothing at the registry. It is pushed all the same,
    since the proof is in the writing.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - quayside.registry.attributes
attributes:
  check_mode:
    details: Logs in and reads. What would be pushed or deleted is not tried.
  idempotent:
    support: partial
    details: An image that one check pushes and another deletes is a change in every run.
requirements:
  - Python 3.9 or newer, with nothing but its standard library
options:
  host:
    description: The registry as V(HOST) or V(HOST:PORT).
    type: str
    required: true
  checks:
    description: What to prove, in this order.
    type: list
    elements: dict
    default:
      - action: login
    suboptions:
      action:
        description:
          - V(login) proves the credential.
          - V(push) pushes the check's image to the tag O(checks[].reference).
          - V(pull) pulls O(checks[].reference), by default the check's image by its digest, and compares contents with digests.
          - V(delete) deletes O(checks[].reference), by default the check's image, with all its tags. OpenShift's registry refuses
            that, and answers those who may delete images that it is not its business (405). That is the outcome V(unsupported),
            which is no failure. Delete the image stream there.
        type: str
        choices: [login, pull, push, delete]
        required: true
      repository:
        description: The repository within the registry, for OpenShift's V(PROJECT/NAME). Needed for all but V(login).
        type: str
      reference:
        description: Tag or digest. Default of V(push) is the tag V(quayside-check).
        type: str
      expect:
        description: What shall come of it.
        type: str
        choices: [allowed, refused]
        default: allowed
      username:
        description: User name for this check, instead of O(username).
        type: str
      password:
        description: Password or token for this check, instead of O(password).
        type: str
      auth_file:
        description: Auth file for this check, instead of O(auth_file).
        type: path
  username:
    description: User name. OpenShift's registry takes any.
    type: str
  password:
    description: Password or token.
    type: str
  auth_file:
    description:
      - An auth file of podman or docker with a credential for the registry.
      - Without it and O(username) those that podman would look at are tried, and if there is no credential in any of them, the
        checks are made without one.
    type: path
  ca_cert:
    description: File with CA certificates that are trusted, too.
    type: path
  certs_dirs:
    description:
      - Folders with certificates of registries. The first that has a folder for the registry counts.
      - Default are C(~/.config/containers/certs.d), C(/etc/containers/certs.d) and C(/etc/docker/certs.d), as for podman.
    type: list
    elements: path
  validate_certs:
    description: Whether TLS is verified.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for each answer of the registry.
    type: int
    default: 30
seealso:
  - module: quayside.registry.certs_d
  - module: quayside.registry.registry_auth
"""

EXAMPLES = r"""
- name: A cluster whose registry can be reached
  ansible.builtin.include_role:
    name: quayside.registry.expose_registry

- name: A host that trusts it
  ansible.builtin.include_role:
    name: quayside.registry.trust_registry

- name: A builder, and its login on this host
  ansible.builtin.include_role:
    name: quayside.registry.builders
  vars:
    builders_accounts:
      - {name: builder, namespace: demo}
    builders_access:
      - {project: demo, level: push, service_accounts: [builder]}
    builders_logins:
      - service_account: {name: builder, namespace: demo}
    builders_auth_file: /tmp/quayside-examples/auth.json

- name: The builder may push to its project and nowhere else
  quayside.registry.registry_check:
    host: default-route-openshift-image-registry.apps.example.com
    auth_file: /tmp/quayside-examples/auth.json
    checks:
      - action: login
      - action: push
        repository: demo/check
      - action: pull
        repository: demo/check
      - action: push
        repository: default/check
        expect: refused
"""

RETURN = r"""
checks:
  description: What came of each check, in order. Also when the task fails.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: The action.
      type: str
    repository:
      description: The repository. Empty for V(login).
      type: str
    username:
      description: As whom. Empty without a login.
      type: str
    expect:
      description: What was expected.
      type: str
    outcome:
      description: V(allowed), V(refused), V(missing) (there is no such image), V(unsupported), or in check mode V(not_tried).
      type: str
    reason:
      description: The registry's own words for it.
      type: str
    digest:
      description: Digest of the image.
      type: str
    duration_ms:
      description: How long it took, in milliseconds.
      type: int
  sample:
    - {action: push, repository: demo/check, username: builder, expect: allowed, outcome: allowed, reason: "",
       digest: "sha256:2c3d6a8ab2e3ea3e3d7cbfb7be1cd6b31b70b0f1f10b5bd7a0c4f6b5f2d5b0cd", duration_ms: 84}
    - {action: push, repository: default/check, username: builder, expect: refused, outcome: refused,
       reason: "UNAUTHORIZED: authentication required, access denied", digest: "", duration_ms: 21}
tls:
  description: The connection to the registry.
  returned: when the registry answered
  type: dict
  contains:
    verified:
      description: Whether its certificate was verified.
      type: bool
    version:
      description: Version of TLS.
      type: str
    subject:
      description: Subject of its certificate. Empty if not verified, as are the following.
      type: str
    issuer:
      description: Issuer of its certificate.
      type: str
    not_after:
      description: When it expires.
      type: str
  sample: {verified: true, version: TLSv1.3, subject: "commonName=*.apps.example.com", issuer: "commonName=ingress-operator@1731000000",
           not_after: "2028-11-07T17:20:00Z"}
changes:
  description: Images that were pushed or deleted, in check mode would be.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(create), V(update) or V(delete).
      type: str
    kind:
      description: V(Image).
      type: str
    namespace:
      description: Always empty.
      type: str
    name:
      description: The image.
      type: str
  sample:
    - {action: create, kind: Image, namespace: "",
       name: "default-route-openshift-image-registry.apps.example.com/demo/check:quayside-check"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.login import find_login
from ansible_collections.quayside.registry.plugins.module_utils.oci.check import Check, Checker, parse
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import api_host, registry_host
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport
from ansible_collections.quayside.registry.plugins.module_utils.plan import diff

LOGIN = {
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "auth_file": {"type": "path"},
}

CHECK = {
    "action": {"type": "str", "choices": ["login", "pull", "push", "delete"], "required": True},
    "repository": {"type": "str"},
    "reference": {"type": "str"},
    "expect": {"type": "str", "choices": ["allowed", "refused"], "default": "allowed"},
    **LOGIN,
}

ARGUMENT_SPEC = {
    "host": {"type": "str", "required": True},
    "checks": {"type": "list", "elements": "dict", "default": [{"action": "login"}], "options": CHECK},
    **LOGIN,
    "ca_cert": {"type": "path"},
    "certs_dirs": {"type": "list", "elements": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
}


def wanted(params: dict[str, Any], files: Files) -> list[Check]:
    host, checks = registry_host(params["host"]), []
    for number, options in enumerate(params["checks"]):
        credential = find_login([options, params], files, host, options["repository"] or "")
        checks.append(parse(options, credential, f"checks[{number}]"))
    return checks


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params, checker = module.params, None
    result: dict[str, Any] = {}
    try:
        checks = wanted(params, Files(module))
        host, trusted = params["host"], params["certs_dirs"] or CERTS_DIRS
        with Transport(
            api_host(host), trusted, params["ca_cert"], params["validate_certs"], params["timeout"]
        ) as transport:
            checker = Checker(host, lambda credential: Registry(host, transport.send, credential), module.check_mode)
            checker.run(checks)
            result["tls"] = transport.tls
        message = checker.failure()
    except RegistryError as error:
        message = str(error)
    changes = checker.changes if checker else []
    result["changes"] = [change.summary() for change in changes]
    result["checks"] = [outcome.result() for outcome in checker.outcomes] if checker else []
    if module._diff:
        result["diff"] = diff(changes)
    if message:
        module.fail_json(msg=message, changed=bool(changes), **result)
    module.exit_json(changed=bool(changes), **result)


if __name__ == "__main__":
    main()
