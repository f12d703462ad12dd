#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_auth
short_description: Logins to registries, in the auth file of podman or docker
version_added: 0.1.0
description:
  - Keeps credentials of registries in the C(auth.json) of podman, buildah, skopeo and CRI-O or in docker's C(config.json), as
    C(podman login) and C(docker login) do, without a password in any process list.
  - What is stored is looked at first. A token of a service account is asked for only when the one that is stored is missing,
    is another's, expires soon or is refused by the registry. So a second run asks the cluster for nothing and changes nothing.
  - Each new credential is proven by logging in to the registry from this host before it is written. The file is replaced at
    once and is never readable by others. Other entries stay.
  - Passwords from files and environment variables and tokens of service accounts are fetched on the controller. The options of
    the connection to the cluster are used there and do not reach the host.
author: quayside.registry contributors (@quayside)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - ansible.builtin.files
  - quayside.registry.attributes
requirements:
  - on the managed host Python 3.9 or newer, with nothing but its standard library
  - what the connection to a cluster needs is needed on the controller, and only for O(registries[].service_account)
  - boto3 is needed on the controller, and only for O(registries[].ecr)
options:
  registries:
    description: The logins, each registry once.
    type: list
    elements: dict
    required: true
    suboptions:
      registry:
        description:
          - The registry as V(HOST[:PORT]), or a part of one as V(HOST[:PORT]/NAMESPACE), which podman and its kin know but not
            docker.
          - The Docker Hub is V(docker.io).
        type: str
        required: true
      username:
        description: User name. For O(registries[].service_account) its name by default. OpenShift's registry looks at the token alone.
        type: str
      password:
        description:
          - The password or token.
          - Exactly one of O(registries[].password), O(registries[].password_file), O(registries[].password_env),
            O(registries[].service_account), O(registries[].secret) and O(registries[].ecr) is needed, unless
            O(registries[].state=absent).
        type: str
      password_file:
        description: File on the controller with the password and nothing else. A warning tells when others may read it.
        type: str
      password_env:
        description: Environment variable of the controller with the password.
        type: str
      service_account:
        description: The token of a service account, of the cluster that the connection's options name or of another.
        type: dict
        suboptions:
          name:
            description: Name of the service account.
            type: str
            required: true
          namespace:
            description: Its project.
            type: str
            required: true
          kind:
            description:
              - V(bound) makes a token that expires (TokenRequest).
              - V(secret) takes the lasting token of the Secret O(registries[].service_account.secret_name), for clients that nobody
                renews a token for. The module M(quayside.registry.service_accounts) keeps such Secrets.
            type: str
            choices: [bound, secret]
            default: bound
          secret_name:
            description: Name of the Secret for O(registries[].service_account.kind=secret).
            type: str
          expires_in:
            description: Seconds that a bound token shall live, at least 600. The API server may make it less.
            type: int
            default: 86400
          audiences:
            description: Audiences of a bound token. Default are those of the API server, which OpenShift's registry needs.
            type: list
            elements: str
            default: []
          cluster:
            description:
              - The connection to its cluster, where it is another than the one that the module's own options
                connect to. The environment variables C(K8S_AUTH_*) do not count here.
            type: dict
            suboptions:
              kubeconfig:
                description: Path of a kubeconfig file.
                type: path
              context:
                description: Context of the kubeconfig.
                type: str
              host:
                description: URL of the API server.
                type: str
              api_key:
                description: Token to connect with.
                type: str
              ca_cert:
                description: File of the CA that signed the API server's certificate.
                type: path
              validate_certs:
                description: Whether the API server's certificate is verified.
                type: bool
      secret:
        description:
          - User name and password that a Secret of a cluster holds, such as the one of M(quayside.registry.quay_first_user).
          - It is read only when nothing is stored yet or the registry refuses what is stored.
        type: dict
        suboptions:
          name:
            description: Name of the Secret.
            type: str
            required: true
          namespace:
            description: Its project.
            type: str
            required: true
          username_key:
            description: The key of the user name. Not read where the username is given.
            type: str
            default: username
          password_key:
            description: The key of the password or token.
            type: str
            default: password
          cluster:
            description:
              - The connection to its cluster, where it is another than the one that the module's own options
                connect to. The environment variables C(K8S_AUTH_*) do not count here.
            type: dict
            suboptions:
              kubeconfig:
                description: Path of a kubeconfig file.
                type: path
              context:
                description: Context of the kubeconfig.
                type: str
              host:
                description: URL of the API server.
                type: str
              api_key:
                description: Token to connect with.
                type: str
              ca_cert:
                description: File of the CA that signed the API server's certificate.
                type: path
              validate_certs:
                description: Whether the API server's certificate is verified.
                type: bool
      ecr:
        description:
          - A token of Amazon ECR, which lives for 12 hours. The user name is V(AWS).
          - Credentials for AWS come from where boto3 finds them (environment, shared files, instance role).
        type: dict
        suboptions:
          region:
            description: Region. Default is the one in the registry's name (C(ACCOUNT.dkr.ecr.REGION.amazonaws.com)).
            type: str
          profile:
            description: Profile of the AWS configuration.
            type: str
          role_arn:
            description: ARN of a role to assume first.
            type: str
      renew_before:
        description:
          - A token that lives no longer than this number of seconds is replaced by a new one.
          - Default is half of O(registries[].service_account.expires_in), or 6 hours for O(registries[].ecr).
        type: int
      force_renew:
        description:
          - Whether a new token is asked for in any case.
        type: bool
        default: false
      state:
        description: V(absent) logs out, which is to remove the entry.
        type: str
        choices: [present, absent]
        default: present
  format:
    description: Whose file it is. Decides on the default of O(path), on the key of the Docker Hub and on which credential helpers count.
    type: str
    choices: [podman, docker]
    default: podman
  path:
    description:
      - The file.
      - Default for podman is what podman uses for the user that the task runs as. That is C($REGISTRY_AUTH_FILE), else
        C($XDG_RUNTIME_DIR/containers/auth.json), else C(/run/containers/UID/auth.json). The latter two are gone after a reboot.
        A lasting file that podman reads as well is C(~/.config/containers/auth.json).
      - Default for docker is C($DOCKER_CONFIG/config.json), else C(~/.docker/config.json).
    type: path
  verify:
    description:
      - Whether a new credential is proven by logging in to the registry before it is written. Not done in check mode.
      - Also whether the stored token of a service account is tried, so that one that the registry no longer accepts, because the
        account or the cluster was made anew, is replaced. When the registry cannot be reached, the token is kept.
    type: bool
    default: true
  certs_dirs:
    description:
      - Folders with certificates of registries that O(verify) trusts beside what the system trusts. The first that has a folder
        for the registry counts.
      - Default for podman are C(~/.config/containers/certs.d), C(/etc/containers/certs.d) and C(/etc/docker/certs.d), for docker
        C(/etc/docker/certs.d).
    type: list
    elements: path
  mode:
    description: Mode of the file. A folder that is made for it has mode 0700.
    type: raw
    default: "0600"
notes:
  - A credential helper that the file names for a registry (C(credHelpers), docker's C(credsStore)) is left in place, and shadows
    the entry. A warning says so.
seealso:
  - module: quayside.registry.certs_d
  - module: quayside.registry.registry_check
  - module: quayside.registry.service_accounts
"""

EXAMPLES = r"""
- name: A cluster whose registry can be reached
  ansible.builtin.include_role:
    name: quayside.registry.expose_registry

- name: A host that trusts it
  ansible.builtin.include_role:
    name: quayside.registry.trust_registry

- name: A builder of the cluster
  quayside.registry.service_accounts:
    service_accounts:
      - name: builder
        namespace: demo
    create_projects: true

- name: Its login on this host, renewed in time by every run
  quayside.registry.registry_auth:
    registries:
      - registry: default-route-openshift-image-registry.apps.example.com
        service_account:
          name: builder
          namespace: demo
    path: /tmp/quayside-examples/auth.json

- name: A password in a file of the controller
  ansible.builtin.copy:
    content: example
    dest: /tmp/quayside-examples/ghcr-token
    mode: "0600"
  delegate_to: localhost

- name: A login with it, for a part of a registry
  quayside.registry.registry_auth:
    registries:
      - registry: ghcr.io/example
        username: ann
        password_file: /tmp/quayside-examples/ghcr-token
    path: /tmp/quayside-examples/auth.json
    verify: false

- name: Log out again
  quayside.registry.registry_auth:
    registries:
      - registry: ghcr.io/example
        state: absent
    path: /tmp/quayside-examples/auth.json
"""

RETURN = r"""
changes:
  description: What was changed, in check mode what would be. At most the one file.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(create) or V(update).
      type: str
    kind:
      description: V(AuthFile), or V(File) when only owner or mode differ.
      type: str
    namespace:
      description: Always empty.
      type: str
    name:
      description: Path of the file.
      type: str
  sample:
    - {action: update, kind: AuthFile, namespace: "", name: /root/.config/containers/auth.json}
path:
  description: The file.
  returned: success
  type: str
  sample: /root/.config/containers/auth.json
credentials:
  description: The logins that are wanted. Never a password.
  returned: success
  type: list
  elements: dict
  contains:
    registry:
      description: The registry.
      type: str
    username:
      description: The user name.
      type: str
    expires_at:
      description: When the token ends. Empty for what does not end, and for a token that check mode did not ask for.
      type: str
    renewed:
      description: Whether a new credential was stored.
      type: bool
    reason:
      description: Why it was.
      type: str
  sample:
    - registry: default-route-openshift-image-registry.apps.example.com
      username: builder
      expires_at: "2026-11-22T10:00:00Z"
      renewed: true
      reason: none is stored
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.quayside.registry.plugins.module_utils.credentials import LOGIN
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.auth_file import AuthFile, default_path
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.module import fail, finish

ARGUMENT_SPEC = {
    **AUTH_ARG_SPEC,
    "registries": {"type": "list", "elements": "dict", "required": True, "options": LOGIN},
    "format": {"type": "str", "choices": ["podman", "docker"], "default": "podman"},
    "path": {"type": "path"},
    "verify": {"type": "bool", "default": True},
    "certs_dirs": {"type": "list", "elements": "path"},
    "mode": {"type": "raw", "default": "0600"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, add_file_common_args=True, supports_check_mode=True)
    files = Files(module)
    try:
        docker = module.params["format"] == "docker"
        path = module.params["path"] or default_path(docker, os.environ, os.geteuid())
        subject = AuthFile(module.params, files, path, time.time(), module.warn)
        needs = [] if module.check_mode else subject.needs(subject.read())
        if needs:
            # the action plugin asks these entries' sources, on the controller, and runs the module again
            module.exit_json(changed=False, needs=needs)
        finish(module, subject, files)
    except RegistryError as error:
        fail(module, error)


if __name__ == "__main__":
    main()
