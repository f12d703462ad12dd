#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quay_registry
short_description: A Quay that the Quay operator runs, with its components and configuration
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Manages a QuayRegistry and its configuration bundle, and waits until Quay runs with what was written.
  - A changed configuration is written as a new Secret, which the QuayRegistry is then pointed to, so that the operator rolls it out
    once. What is the same rolls nothing out. Bundles that this module made and that are no longer used are deleted.
  - Keys of the configuration that are not named here stay as they are, those set by hand and generated secrets among them.
  - Needs the Quay operator (M(quayside.registry.olm_operator)).
options:
  name:
    description: Name of the QuayRegistry.
    type: str
    required: true
  namespace:
    description: Its namespace.
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that Quay runs.
      - V(absent) deletes the QuayRegistry. What holds its data (volume claims, the bucket claim and the Secret with generated keys)
        stays unless O(purge_data) is set, and is used again by a QuayRegistry of the same name.
    type: str
    choices: [present, absent]
    default: present
  components:
    description:
      - Which components the operator manages. Those that are not listed stay as they are; of a new registry the operator decides, and
        manages all that the cluster supports.
      - An unmanaged component needs its configuration, which is checked before anything is written. C(postgres) needs C(DB_URI),
        C(redis) needs C(BUILDLOGS_REDIS) and C(USER_EVENTS_REDIS), C(objectstorage) needs C(DISTRIBUTED_STORAGE_CONFIG), C(route)
        needs C(SERVER_HOSTNAME), C(tls) needs O(tls_certificate).
    type: list
    elements: dict
    suboptions:
      kind:
        description: The component.
        type: str
        required: true
        choices:
          - quay
          - postgres
          - clair
          - clairpostgres
          - redis
          - horizontalpodautoscaler
          - objectstorage
          - route
          - mirror
          - monitoring
          - tls
      managed:
        description: Whether the operator manages it.
        type: bool
        default: true
      overrides:
        description:
          - What of it is to be other than the operator's default. They replace the component's overrides; an empty mapping
            removes them.
        type: dict
        suboptions:
          replicas:
            description: Number of pods. Needs C(horizontalpodautoscaler) unmanaged.
            type: int
          volume_size:
            description: Size of its volume, such as V(100Gi).
            type: str
          storage_class_name:
            description: Storage class of its volume.
            type: str
          env:
            description: Environment variables, as in a pod.
            type: list
            elements: dict
          resources:
            description: Requests and limits, as in a pod.
            type: dict
          affinity:
            description: Affinity, as in a pod.
            type: dict
          annotations:
            description: Annotations of its pods.
            type: dict
          labels:
            description: Labels of its pods.
            type: dict
  config:
    description:
      - Keys of Quay's C(config.yaml). One whose value is null is removed.
      - Well-known keys are checked by name and type. Others are passed on with a warning.
      - Keys with secrets belong into O(secret_config).
    type: dict
  initial_config:
    description:
      - Keys that count instead of those in O(config) when the registry is created, and never again.
      - V(FEATURE_USER_INITIALIZE) belongs here, so that nobody but the first user can be made without a login.
    type: dict
  secret_config:
    description: Keys of C(config.yaml) that hold secrets, such as C(DB_URI) or C(DISTRIBUTED_STORAGE_CONFIG). They are never shown.
    type: dict
  extra_ca_certs:
    description: Certificate authorities that Quay trusts, for example of its storage or of LDAP. Name to PEM text; null removes one.
    type: dict
  tls_certificate:
    description: Quay's own certificate and its chain (PEM text). Needs the component C(tls) unmanaged.
    type: str
  tls_key:
    description: Its private key (PEM text).
    type: str
  purge_data:
    description: Whether O(state=absent) also deletes all images, users and keys.
    type: bool
    default: false
  create_projects:
    description: Whether the namespace is created where it is missing. Otherwise that is an error.
    type: bool
    default: false
  earlier_changes:
    description:
      - What tasks before this one changed, as modules of this collection return it in C(changes).
      - Check mode takes the operator and the namespace that those would have created for there, and so can tell what the run will do.
    type: list
    elements: dict
    default: []
  wait:
    description: Whether to wait until Quay is available with what was written, or gone.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait at most. A first installation takes minutes.
    type: int
    default: 1200
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.olm_operator
"""

EXAMPLES = r"""
- name: The Quay operator
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-docs

- name: A Quay that stores images in a bucket of one's own
  quayside.registry.quay_registry:
    name: example
    namespace: quay-docs
    components:
      - kind: objectstorage
        managed: false
      - kind: horizontalpodautoscaler
        managed: false
      - kind: quay
        overrides:
          replicas: 2
          resources:
            requests: {memory: 4Gi}
      - kind: postgres
        overrides:
          volume_size: 100Gi
    config:
      SUPER_USERS: [quayadmin]
      FEATURE_USER_INITIALIZE: true
      FEATURE_USER_CREATION: false
      DISTRIBUTED_STORAGE_PREFERENCE: [default]
    secret_config:
      DISTRIBUTED_STORAGE_CONFIG:
        default:
          - RadosGWStorage
          - hostname: s3.example.com
            access_key: "{{ lookup('ansible.builtin.env', 'S3_ACCESS_KEY') }}"
            secret_key: "{{ lookup('ansible.builtin.env', 'S3_SECRET_KEY') }}"
            bucket_name: quay
            storage_path: /
            is_secure: true

- name: Turn one thing off, which rolls out once
  quayside.registry.quay_registry:
    name: example
    namespace: quay-docs
    config:
      FEATURE_USER_INITIALIZE: false

- name: Remove it, with all its data
  quayside.registry.quay_registry:
    name: example
    namespace: quay-docs
    state: absent
    purge_data: true

- name: Remove the operator, too
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-docs
        state: absent
        delete_namespace: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, kind: QuayRegistry, namespace: quay-docs, name: example}]
endpoint:
  description: Quay's URL. In check mode, where there is none yet, the one that the operator makes of its name.
  returned: when O(state=present)
  type: str
  sample: https://example-quay-quay-docs.apps.example.com
host:
  description: The host in it.
  returned: when O(state=present)
  type: str
  sample: example-quay-quay-docs.apps.example.com
version:
  description: Version of Quay.
  returned: when O(state=present)
  type: str
  sample: v3.14.0
available:
  description: Whether all components are healthy.
  returned: when O(state=present)
  type: bool
  sample: true
config_bundle_secret:
  description: Name of the Secret with the configuration.
  returned: when O(state=present)
  type: str
  sample: example-config-bundle-0a1b2c3d4e
components:
  description: The components, as far as they are known.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    kind:
      description: The component.
      type: str
      returned: success
    managed:
      description: Whether the operator manages it.
      type: bool
      returned: success
    ready:
      description: Whether it is ready. Unmanaged ones always are.
      type: bool
      returned: success
  sample: [{kind: quay, managed: true, ready: true}]
config:
  description: The configuration, with its secrets hidden.
  returned: when O(state=present)
  type: dict
  sample: {DB_URI: VALUE_HIDDEN, FEATURE_USER_CREATION: false}
kept:
  description: What holds data and stays.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: [PersistentVolumeClaim example-quay-postgres-13]
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift import quay_config
from ansible_collections.quayside.registry.plugins.module_utils.openshift.earlier import EARLIER_CHANGES
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.quay_components import KINDS
from ansible_collections.quayside.registry.plugins.module_utils.openshift.quay_registry import QuayRegistry

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "components": {
        "type": "list",
        "elements": "dict",
        "options": {
            "kind": {"type": "str", "required": True, "choices": list(KINDS)},
            "managed": {"type": "bool", "default": True},
            "overrides": {
                "type": "dict",
                "options": {
                    "replicas": {"type": "int"},
                    "volume_size": {"type": "str"},
                    "storage_class_name": {"type": "str"},
                    "env": {"type": "list", "elements": "dict"},
                    "resources": {"type": "dict"},
                    "affinity": {"type": "dict"},
                    "annotations": {"type": "dict"},
                    "labels": {"type": "dict"},
                },
            },
        },
    },
    "config": {"type": "dict"},
    "initial_config": {"type": "dict"},
    "secret_config": {"type": "dict", "no_log": True},
    "extra_ca_certs": {"type": "dict"},
    "tls_certificate": {"type": "str"},
    "tls_key": {"type": "str", "no_log": True},
    "purge_data": {"type": "bool", "default": False},
    "create_projects": {"type": "bool", "default": False},
    "earlier_changes": EARLIER_CHANGES,
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 1200},
}


def main() -> None:
    run(QuayRegistry, ARGUMENT_SPEC, harmless=lambda params: quay_config.harmless(params["secret_config"] or {}))


if __name__ == "__main__":
    main()
