#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_promotion
short_description: Copy images between registries by digest, only those that differ
version_added: 0.2.0
description:
  - Makes tags of one or many registries be the same images, digest by digest and with all architectures, as their sources.
  - An image that is there already costs one request at its source and one at each destination, many of them at the same time, and
    no process. The others are copied by C(skopeo), a few at a time.
  - A tag that has another image is not replaced unless O(images[].overwrite) says so, and then nothing else is copied either. A
    version that has been promoted stays what it is; a tag that is meant to move (V(stable), V(latest)) says that it is.
  - Each destination is looked at again right before its copy, so that what somebody else pushes meanwhile is not replaced by
    accident. What is copied is the digest that was planned, even if the source's tag has moved on.
  - Run again after it was killed, it copies what is missing.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - quayside.registry.attributes
requirements:
  - C(skopeo) 1.6 or newer, where something has to be copied
  - Python 3.9 or newer, with nothing but its standard library
options:
  images:
    description: What shall be where.
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description:
          - An image as V(HOST/REPOSITORY:TAG) or V(HOST/REPOSITORY@DIGEST). Without a host it is on the Docker Hub.
          - A repository as V(HOST/REPOSITORY), together with O(images[].tags) or O(images[].tag_filter). An image stream of OpenShift
            is such a repository.
          - A local image, V(oci:/PATH[:TAG]) or V(docker-archive:/PATH[:NAME:TAG]), to publish what was built.
        type: str
        required: true
      destinations:
        description:
          - One image or repository or several, in any registries. Without a tag it is that of the source.
        type: list
        elements: str
        required: true
      tags:
        description: The tags to promote, where O(images[].source) is a repository.
        type: list
        elements: str
      tag_filter:
        description:
          - Promote those tags of the repository that match all that is given here. It is an error when none does.
        type: dict
        suboptions:
          glob:
            description: A shell's pattern for the whole tag, such as V(v1.*).
            type: str
          regex:
            description: A regular expression for the whole tag.
            type: str
          newest:
            description:
              - Only so many of the newest versions, compared as semantic versions. What is no version is left out. A pre-release is
                older than its release.
            type: int
      overwrite:
        description: Whether the tag may move when the destination has another image under it.
        type: bool
        default: false
  registries:
    description: How registries are reached that need more than what podman on this host knows of them.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The registry as V(HOST) or V(HOST:PORT).
        type: str
        required: true
      username:
        description: User name.
        type: str
      password:
        description: Password or token.
        type: str
      ca_cert:
        description: File with CA certificates that are trusted, beside the system's and those in certs.d.
        type: path
      insecure:
        description: Whether to reach it without verified TLS, or without TLS where it has none.
        type: bool
        default: false
  auth_file:
    description:
      - An auth file of podman or docker with credentials. A registry that is not in it is asked without a credential.
      - Without it those that podman would look at are.
    type: path
  policy:
    description:
      - A policy file (C(policy.json), see C(containers-policy.json(5\))) that says which signatures an image must have at its source to be
        copied. Default is the host's own.
      - It is looked at when an image is copied. Signatures themselves are not copied.
    type: path
  parallel:
    description: How many images are copied at the same time.
    type: int
    default: 4
  timeout:
    description: Seconds to wait for each answer of a registry to a question. Copying takes as long as it takes.
    type: int
    default: 30
seealso:
  - module: quayside.registry.registry_auth
  - module: quayside.registry.certs_d
  - module: quayside.registry.docker_hub_limit_info
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

- name: Something to promote
  quayside.registry.registry_check:
    host: default-route-openshift-image-registry.apps.example.com
    auth_file: /tmp/quayside-examples/auth.json
    checks:
      - {action: push, repository: demo/app, reference: 1.4.0}
      - {action: push, repository: demo/app, reference: 1.4.1}

- name: A version, under its own tag and as the one that is live
  quayside.registry.image_promotion:
    auth_file: /tmp/quayside-examples/auth.json
    images:
      - source: default-route-openshift-image-registry.apps.example.com/demo/app:1.4.1
        destinations: [default-route-openshift-image-registry.apps.example.com/demo/released]
      - source: default-route-openshift-image-registry.apps.example.com/demo/app:1.4.1
        destinations: [default-route-openshift-image-registry.apps.example.com/demo/released:live]
        overwrite: true

- name: The two newest versions of a repository
  quayside.registry.image_promotion:
    auth_file: /tmp/quayside-examples/auth.json
    images:
      - source: default-route-openshift-image-registry.apps.example.com/demo/app
        tag_filter: {newest: 2}
        destinations: [default-route-openshift-image-registry.apps.example.com/demo/released]
"""

RETURN = r"""
images:
  description: Every image with every destination, in the order of O(images).
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: The source.
      type: str
    destination:
      description: The destination.
      type: str
    source_digest:
      description: Digest of the source; of a V(docker-archive) the image's ID, since its manifest is made by pushing it.
      type: str
    destination_digest:
      description: Digest at the destination, in check mode what it would be. Empty in check mode where it cannot be known.
      type: str
    previous_digest:
      description: Digest that the destination had before. Empty where there was none.
      type: str
    changed:
      description: Whether it was copied, in check mode would be.
      type: bool
    bytes:
      description: Size of the layers and configurations of what was copied. Null where nothing was.
      type: int
  sample:
    - source: nonprod.example.com/demo/app:1.4.1
      destination: prod.example.com/demo/app:1.4.1
      source_digest: sha256:2c3d6a8ab2e3ea3e3d7cbfb7be1cd6b31b70b0f1f10b5bd7a0c4f6b5f2d5b0cd
      destination_digest: sha256:2c3d6a8ab2e3ea3e3d7cbfb7be1cd6b31b70b0f1f10b5bd7a0c4f6b5f2d5b0cd
      previous_digest: ""
      changed: true
      bytes: 84112345
changes:
  description: Images that were copied, in check mode would be. Also when the task fails.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(create), or V(update) where the tag had another image.
      type: str
    kind:
      description: V(Image).
      type: str
    namespace:
      description: Always empty.
      type: str
    name:
      description: The destination.
      type: str
  sample:
    - {action: create, kind: Image, namespace: "", name: "prod.example.com/demo/app:1.4.1"}
"""

import signal
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.login import find_login
from ansible_collections.quayside.registry.plugins.module_utils.host.module import fail, finish
from ansible_collections.quayside.registry.plugins.module_utils.oci.auth import Credential
from ansible_collections.quayside.registry.plugins.module_utils.oci.promotion import Promotion, Site
from ansible_collections.quayside.registry.plugins.module_utils.oci.promotion_entries import parse
from ansible_collections.quayside.registry.plugins.module_utils.oci.reference import (
    DOCKER_HUB,
    is_docker_hub,
    registry_host,
)

IMAGE = {
    "source": {"type": "str", "required": True},
    "destinations": {"type": "list", "elements": "str", "required": True},
    "tags": {"type": "list", "elements": "str"},
    "tag_filter": {
        "type": "dict",
        "options": {"glob": {"type": "str"}, "regex": {"type": "str"}, "newest": {"type": "int"}},
    },
    "overwrite": {"type": "bool", "default": False},
}

REGISTRY = {
    "host": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_cert": {"type": "path"},
    "insecure": {"type": "bool", "default": False},
}

ARGUMENT_SPEC = {
    "images": {"type": "list", "elements": "dict", "required": True, "options": IMAGE},
    "registries": {"type": "list", "elements": "dict", "default": [], "options": REGISTRY},
    "auth_file": {"type": "path"},
    "policy": {"type": "path"},
    "parallel": {"type": "int", "default": 4},
    "timeout": {"type": "int", "default": 30},
}


def sites(registries: list[dict[str, Any]]) -> dict[str, Site]:
    found: dict[str, Site] = {}
    for number, options in enumerate(registries):
        what, username, password = f"registries[{number}]", options["username"], options["password"]
        host = registry_host(options["host"], f"{what}.host")
        host = DOCKER_HUB if is_docker_hub(host) else host
        if host in found:
            raise InputError(f"{what}: {host} is there twice: write one entry for it.")
        if bool(username) != bool(password):
            raise InputError(f"{what}: username and password belong together: give both or none.")
        credential = Credential(username, password) if username else None
        found[host] = Site(credential, options["ca_cert"], options["insecure"])
    return found


def promotion(module: AnsibleModule, files: Files, folder: Path) -> Promotion:
    params = module.params
    if params["parallel"] < 1:
        raise InputError("parallel is a number of copies at the same time, 1 or more.")
    if params["policy"] and files.read(params["policy"]) is None:
        raise InputError(f"policy: there is no file {params['policy']} on this host.")
    options = {"username": None, "password": None, "auth_file": params["auth_file"]}

    def skopeo() -> str:
        program = module.get_bin_path("skopeo")
        if not program:
            raise RegistryError("There is something to copy, but no skopeo on this host: install the package skopeo.")
        return str(program)

    return Promotion(
        [parse(entry, f"images[{number}]") for number, entry in enumerate(params["images"])],
        sites(params["registries"]),
        lambda host, repository: find_login([options], files, host, repository, required=False),
        skopeo,
        folder,
        params["policy"],
        params["timeout"],
        module.check_mode,
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # a job that is cancelled puts the credentials away, as one does that Ctrl-C interrupts
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = Files(module)
    # of this user alone (0700); holds credentials while something is copied
    with tempfile.TemporaryDirectory(prefix="promotion-", dir=module.tmpdir) as folder:
        try:
            with promotion(module, files, Path(folder)) as subject:
                finish(module, subject, files, module.params["parallel"])
        except RegistryError as error:
            fail(module, error)


if __name__ == "__main__":
    main()
