#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_hub_limit_info
short_description: What the Docker Hub still lets be pulled
version_added: 0.2.0
description:
  - Asks the Docker Hub how many pulls are left without a login, and with one where there is one. Asking costs no pull.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - quayside.registry.attributes
  - quayside.registry.attributes.info
requirements:
  - Python 3.9 or newer, with nothing but its standard library
options:
  registry:
    description: Another registry that counts as the Docker Hub does, as V(HOST) or V(HOST:PORT).
    type: str
    default: docker.io
  repository:
    description: The repository to ask about. The default is the one that Docker made for it.
    type: str
    default: ratelimitpreview/test
  tag:
    description: The tag to ask about.
    type: str
    default: latest
  username:
    description: User name.
    type: str
  password:
    description: Password or token.
    type: str
  auth_file:
    description:
      - An auth file of podman or docker with a credential for the registry.
      - Without it and O(username) those that podman would look at are tried.
    type: path
  ca_cert:
    description: File with CA certificates that are trusted, too.
    type: path
  timeout:
    description: Seconds to wait for each answer.
    type: int
    default: 30
seealso:
  - module: quayside.registry.image_promotion
"""

EXAMPLES = r"""
- name: What the Docker Hub lets this host pull
  quayside.registry.docker_hub_limit_info:
    registry: "{{ hub_host | default(omit) }}"
    ca_cert: "{{ hub_ca | default(omit) }}"
  register: hub

- name: Enough for a rollout
  ansible.builtin.assert:
    that: not hub.anonymous.limited or hub.anonymous.remaining >= 50
"""

RETURN = r"""
anonymous:
  description: The allowance of this host's address, without a login.
  returned: success
  type: dict
  contains:
    username:
      description: Empty.
      type: str
    limited:
      description: Whether there is a limit at all.
      type: bool
    limit:
      description: Pulls in O(registry)'s window of time. Null without a limit.
      type: int
    remaining:
      description: Pulls that are left of them. Null without a limit.
      type: int
    window:
      description: Seconds that the limit is for. Null without a limit.
      type: int
    source:
      description: What the Docker Hub counts by, an address or a user's ID. Empty if it does not say.
      type: str
  sample: {username: "", limited: true, limit: 100, remaining: 76, window: 21600, source: 192.0.2.7}
authenticated:
  description: The allowance of the login, with the same fields. Null where there is none.
  returned: success
  type: dict
  sample: {username: robot, limited: true, limit: 200, remaining: 198, window: 21600, source: 6f9b0f42-3b3e-4e0c-8d43-8f1f2c7d5a10}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.login import find_login
from ansible_collections.quayside.registry.plugins.module_utils.host.module import fail
from ansible_collections.quayside.registry.plugins.module_utils.oci.client import Registry
from ansible_collections.quayside.registry.plugins.module_utils.oci.pull_limit import pull_limit
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import (
    api_host,
    registry_host,
    repository,
    tag_or_digest,
)
from ansible_collections.quayside.registry.plugins.module_utils.oci.transport import CERTS_DIRS, Transport

ARGUMENT_SPEC = {
    "registry": {"type": "str", "default": "docker.io"},
    "repository": {"type": "str", "default": "ratelimitpreview/test"},
    "tag": {"type": "str", "default": "latest"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "auth_file": {"type": "path"},
    "ca_cert": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
}


def limits(params: dict[str, Any], files: Files) -> dict[str, Any]:
    host = registry_host(params["registry"], "registry")
    name, tag = repository(params["repository"]), tag_or_digest(params["tag"], "tag")
    credential = find_login([params], files, host, name)
    with Transport(api_host(host), CERTS_DIRS, params["ca_cert"], True, params["timeout"]) as transport:
        anonymous = pull_limit(Registry(host, transport.send), name, tag)
        authenticated = pull_limit(Registry(host, transport.send, credential), name, tag) if credential else None
    if credential and authenticated:
        authenticated["username"] = credential.username
    return {"anonymous": anonymous, "authenticated": authenticated}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **limits(module.params, Files(module)))
    except RegistryError as error:
        fail(module, error)


if __name__ == "__main__":
    main()
