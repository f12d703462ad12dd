#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_secrets
short_description: Secrets that pods pull images with, in many namespaces, linked to service accounts
version_added: 0.2.0
author: quayside.registry contributors (@quayside)
description:
  - Keeps Secrets of type C(kubernetes.io/dockerconfigjson) with the credentials of one or more registries, in any number of
    namespaces, and links them to service accounts.
  - What is stored is looked at first. A token is asked for only when the one that is stored is missing, is another's or expires
    soon, and then once for all namespaces. So a second run asks for no token and changes nothing.
  - What others wrote stays, which is other registries in the Secret and other links of the service account.
  - The cluster's global pull secret (C(openshift-config/pull-secret)) is merged in the same way, and entries that this module did
    not add are neither replaced nor removed.
options:
  pull_secrets:
    description: The Secrets.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the Secret.
        type: str
        required: true
      namespaces:
        description: The namespaces that it shall be in. Without them and without a selector it is the module's O(namespace).
        type: list
        elements: str
        default: []
        aliases: [projects]
      namespace_selector:
        description: Labels of further namespaces, such as V(team=shop,stage!=test). One that matches nothing is an error.
        type: str
      registries:
        description: What it shall hold. Entries of other registries stay.
        type: list
        elements: dict
        default: []
        suboptions: &login
          registry:
            description: The registry as V(HOST[:PORT]), or a part of one as V(HOST[:PORT]/NAMESPACE). The Docker Hub is V(docker.io).
            type: str
            required: true
          username:
            description: User name. For a service account its name by default. OpenShift's registry looks at the token alone.
            type: str
          password:
            description:
              - The password or token.
              - Exactly one of C(password), C(password_file), C(password_env), C(service_account), C(secret) and C(ecr) is needed, unless
                C(state) is V(absent).
            type: str
          password_file:
            description: File with the password and nothing else, where the module runs. A warning tells when others may read it.
            type: str
          password_env:
            description: Environment variable with the password, where the module runs.
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
                  - V(secret) takes the lasting token of the Secret C(service_account.secret_name), for clients that nobody
                    renews a token for. The module M(quayside.registry.service_accounts) keeps such Secrets.
                type: str
                choices: [bound, secret]
                default: bound
              secret_name:
                description: Name of the Secret for C(service_account.kind=secret).
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
              - What is stored follows it. Where it cannot be read, what is stored stays.
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
              - Default is half of C(service_account.expires_in), or 6 hours for C(ecr).
            type: int
          force_renew:
            description: Whether a new token is asked for in any case.
            type: bool
            default: false
          state:
            description: V(absent) removes the registry's entry.
            type: str
            choices: [present, absent]
            default: present
      pull:
        description: Service accounts that the Secret is linked to for pulling images (C(imagePullSecrets)). They must exist.
        type: list
        elements: str
        default: []
      mount:
        description: Service accounts that the Secret is linked to for pods and builds (C(secrets)). They must exist.
        type: list
        elements: str
        default: []
      state:
        description: V(absent) deletes the Secret, and unlinks it from all service accounts of the namespace.
        type: str
        choices: [present, absent]
        default: present
  global_registries:
    description:
      - Registries for the cluster's global pull secret, with the options of O(pull_secrets[].registries).
      - An entry that this module did not add is never removed, and is replaced only with O(adopt).
    type: list
    elements: dict
    default: []
    suboptions: *login
  adopt:
    description: Whether an entry of the global pull secret that this module did not add may be replaced by one of O(global_registries).
    type: bool
    default: false
  namespace:
    description:
      - Namespace of the entries that name none.
      - With O(purge), this namespace is cleaned up also when no entry names it.
    type: str
    aliases: [project]
  purge:
    description:
      - Whether to delete, in the namespaces that are mentioned, pull secrets that this module made and that are not listed, and to
        unlink them.
      - Also, in the Secrets that are listed, whether to remove the registries that this module added and that are not listed.
    type: bool
    default: false
  verify:
    description:
      - Whether a new credential is proven by logging in to the registry before it is written. Not done in check mode.
      - A refusal is an error. A registry that cannot be reached or whose certificate is not trusted from here is a warning.
      - Also whether a stored token is tried, once for all Secrets that hold it, so that one that the registry no longer accepts,
        because the account or the cluster was made anew, is replaced. When the registry cannot be reached, the token is kept.
    type: bool
    default: true
  earlier_changes:
    description:
      - What tasks before this one changed, as modules of this collection return it in C(changes).
      - Check mode takes the projects and service accounts that those would have created for there, and so can tell what the run
        will do. Without it a project or an account that does not exist is an error, as it is in a run.
      - The service account C(default) of a new project need not be in it, since every project gets that one.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
requirements:
  - boto3 (only for registries of Amazon ECR)
notes:
  - An annotation of the Secret (C(quayside.registry/registries)) records which registries this module added, and when a token of
    ECR ends.
seealso:
  - module: quayside.registry.service_accounts
  - module: quayside.registry.registry_auth
    description: The same sources for an auth file on a host.
  - module: quayside.registry.ecr_repositories
    description: Repositories, and the policy with which nodes pull from ECR without any Secret.
"""

EXAMPLES = r"""
- name: Projects to pull in
  kubernetes.core.k8s:
    definition:
      apiVersion: v1
      kind: Namespace
      metadata:
        name: "{{ item }}"
        labels: {team: shop}
  loop: [shop-web, shop-api]

- name: An account that may pull, and accounts that shall
  quayside.registry.service_accounts:
    create_projects: true
    service_accounts:
      - {name: puller, namespace: demo}
      - {name: default, namespace: shop-web}
      - {name: default, namespace: shop-api}
  register: accounts

- name: Two registries in one Secret, in every project of a team, for all pods that name no service account
  quayside.registry.pull_secrets:
    pull_secrets:
      - name: registries
        namespace_selector: team=shop
        registries:
          - registry: ghcr.io/example
            username: ann
            password: example
          - registry: default-route-openshift-image-registry.apps.example.com
            service_account: {name: puller, namespace: demo}
        pull: [default]
    verify: false
    earlier_changes: "{{ accounts.changes }}"

- name: The Docker Hub for all of the cluster
  quayside.registry.pull_secrets:
    global_registries:
      - registry: docker.io
        username: ann
        password: example
    verify: false

- name: No longer
  quayside.registry.pull_secrets:
    pull_secrets:
      - name: registries
        namespace_selector: team=shop
        state: absent
    global_registries:
      - registry: docker.io
        state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: create, kind: Secret, namespace: shop-web, name: registries}
    - {action: update, kind: ServiceAccount, namespace: shop-web, name: default}
pull_secrets:
  description: The Secrets that are present, in the order of the list. Credentials are never returned.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: success
    namespaces:
      description: The namespaces that it is in, also those that the selector matched.
      type: list
      elements: str
      returned: success
    registries:
      description: Its registries. See RV(global_registries).
      type: list
      elements: dict
      returned: success
  sample:
    - name: registries
      namespaces: [shop-api, shop-web]
      registries:
        - registry: default-route-openshift-image-registry.apps.example.com
          username: puller
          expires_at: "2026-11-22T10:00:00Z"
          renewed: 2
          reason: none is stored
global_registries:
  description: The registries of O(global_registries) that are present.
  returned: success, with O(global_registries)
  type: list
  elements: dict
  contains:
    registry:
      description: The registry.
      type: str
      returned: success
    username:
      description: The user name.
      type: str
      returned: success
    expires_at:
      description: When the first of its tokens ends. Empty for what does not end, and for a token that check mode did not ask for.
      type: str
      returned: success
    renewed:
      description: In how many Secrets a new credential was stored.
      type: int
      returned: success
    reason:
      description: Why it was, in the first of them.
      type: str
      returned: success
  sample:
    - {registry: docker.io, username: ann, expires_at: "", renewed: 1, reason: none is stored}
"""

from ansible_collections.quayside.registry.plugins.module_utils.credentials import LOGIN
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import EARLIER_CHANGES
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.pull_secrets import PullSecrets

REGISTRIES = {"type": "list", "elements": "dict", "default": [], "options": LOGIN}

ARGUMENT_SPEC = {
    "pull_secrets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "default": [], "aliases": ["projects"]},
            "namespace_selector": {"type": "str"},
            "registries": REGISTRIES,
            "pull": {"type": "list", "elements": "str", "default": []},
            "mount": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "global_registries": REGISTRIES,
    "adopt": {"type": "bool", "default": False},
    "namespace": {"type": "str", "aliases": ["project"]},
    "purge": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": True},
    "earlier_changes": EARLIER_CHANGES,
}


def main() -> None:
    run(PullSecrets, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
