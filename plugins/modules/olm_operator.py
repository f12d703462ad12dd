#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: olm_operator
short_description: Operators of OperatorHub, installed, upgraded and removed
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Makes sure that operators are installed by the Operator Lifecycle Manager (version 0, C(operators.coreos.com)) and at work. For
    each there is a namespace, an OperatorGroup and a Subscription, the InstallPlan that the Subscription references is approved
    where that is needed, and the ClusterServiceVersion (CSV) is waited for until it is C(Succeeded).
  - What is installed as wanted costs three requests for all operators together.
  - A package, channel or version that no catalog offers is refused before anything is written, with those there are.
  - A failure shows what the CatalogSource, the Subscription, the InstallPlan and the CSV say.
options:
  operators:
    description: The operators.
    type: list
    elements: dict
    required: true
    suboptions:
      package:
        description: Name of the package, such as V(quay-operator). The Subscription is found by it, whatever its own name.
        type: str
        required: true
      namespace:
        description: Where the operator runs. Without it, the module's O(namespace). It is created where it is missing.
        type: str
      state:
        description:
          - V(present) makes sure that the operator is installed.
          - V(absent) deletes the Subscription and the CSV, which ends the operator, and the OperatorGroup if this collection made
            it and nothing else is subscribed there. Custom resource definitions, custom resources and what the operator made stay.
        type: str
        choices: [present, absent]
        default: present
      channel:
        description: The channel. Without it what is there stays; a new Subscription takes the package's default.
        type: str
      source:
        description: Name of the CatalogSource. Without it what is there stays; a new Subscription takes the one that offers the package.
        type: str
      source_namespace:
        description: Namespace of the CatalogSource.
        type: str
        default: openshift-marketplace
      approval:
        description:
          - Whether OLM upgrades by itself. Without it what is there stays; a new Subscription is V(Automatic).
          - With V(Manual) the first installation is approved, and upgrades as O(operators[].version) says.
        type: str
        choices: [Automatic, Manual]
      version:
        description:
          - The version to install, or to upgrade to step by step. That needs O(operators[].approval=Manual), since OLM upgrades past
            it otherwise. For a new Subscription it becomes C(startingCSV).
          - V(latest) approves whatever the channel has.
          - Without it, with V(Manual), a pending upgrade is reported and not approved.
        type: str
      target_namespaces:
        description:
          - The namespaces that the operator watches, V(*) for all, as its OperatorGroup says.
          - Without it an OperatorGroup that is there is taken as it is; a new one is for the operator's own namespace, or for all
            where the operator supports nothing else.
          - An OperatorGroup that this collection did not make is never changed.
        type: list
        elements: str
      config:
        description: The Subscription's C(spec.config), such as C(env), C(resources), C(nodeSelector) or C(tolerations), as a whole.
        type: dict
      delete_namespace:
        description:
          - Whether O(operators[].state=absent) also deletes the namespace.
          - Refused where it holds other Subscriptions or custom resources of the operator, and for namespaces of the cluster.
        type: bool
        default: false
  namespace:
    description: Namespace of the entries that name none.
    type: str
  wait:
    description:
      - Whether to wait for catalogs that are not ready yet, and until each CSV is C(Succeeded), and until what goes is gone.
      - Without it, a new Subscription with V(Manual) approval is approved by the next run.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 600
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
"""

EXAMPLES = r"""
- name: The Quay operator for its own namespace, which upgrades by itself
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-example
        channel: stable-3.13

- name: The next channel
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-example
        channel: stable-3.14

- name: Exactly this version, and for all namespaces the bridge operator
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-frozen
        channel: stable-3.13
        approval: Manual
        version: 3.13.0
      - package: quay-bridge-operator
        namespace: openshift-operators

- name: None of them
  quayside.registry.olm_operator:
    operators:
      - package: quay-operator
        namespace: quay-example
        state: absent
        delete_namespace: true
      - package: quay-operator
        namespace: quay-frozen
        state: absent
        delete_namespace: true
      - package: quay-bridge-operator
        namespace: openshift-operators
        state: absent
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be changed in check mode.
    - InstallPlans that came up and were approved later on are in RV(operators[].approved).
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      kind: Subscription
      namespace: quay-example
      name: quay-operator
operators:
  description: The operators that are present, in the order of the list.
  returned: success
  type: list
  elements: dict
  contains:
    package:
      description: Name of the package.
      type: str
      returned: success
    namespace:
      description: Where the operator runs.
      type: str
      returned: success
    name:
      description: Name of the Subscription.
      type: str
      returned: success
    channel:
      description: The channel it follows.
      type: str
      returned: success
    source:
      description: Name of the CatalogSource.
      type: str
      returned: success
    csv:
      description: Name of the installed CSV. Empty in check mode where there is none yet.
      type: str
      returned: success
    version:
      description: The version installed.
      type: str
      returned: success
    phase:
      description: The CSV's phase.
      type: str
      returned: success
    pending:
      description: Name of the CSV that OLM knows of and that is not installed, usually since its InstallPlan is not approved.
      type: str
      returned: success
    approved:
      description: Names of the InstallPlans that were approved while waiting.
      type: list
      elements: str
      returned: success
  sample:
    - package: quay-operator
      namespace: quay-example
      name: quay-operator
      channel: stable-3.13
      source: redhat-operators
      csv: quay-operator.v3.13.1
      version: 3.13.1
      phase: Succeeded
      pending: ""
      approved: []
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run
from ansible_collections.quayside.registry.plugins.module_utils.openshift.olm import OlmOperators

ARGUMENT_SPEC = {
    "operators": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "package": {"type": "str", "required": True},
            "namespace": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "channel": {"type": "str"},
            "source": {"type": "str"},
            "source_namespace": {"type": "str", "default": "openshift-marketplace"},
            "approval": {"type": "str", "choices": ["Automatic", "Manual"]},
            "version": {"type": "str"},
            "target_namespaces": {"type": "list", "elements": "str"},
            "config": {"type": "dict"},
            "delete_namespace": {"type": "bool", "default": False},
        },
    },
    "namespace": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
}


def main() -> None:
    run(OlmOperators, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
