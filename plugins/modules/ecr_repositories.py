#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_repositories
short_description: Repositories of Amazon ECR, and the policy that lets nodes pull from them
version_added: 0.2.0
author: quayside.registry contributors (@quayside)
description:
  - Makes sure that repositories exist in a private registry of Amazon ECR, which refuses a push to one that does not.
  - Returns the registry's host and the IAM policy with which the instance role of a cluster's nodes may pull these repositories
    without any Secret. Given that role, IAM's simulation tells whether it may already.
  - Repositories are never deleted, and those that exist are not changed.
options:
  repositories:
    description: Names of the repositories.
    type: list
    elements: str
    required: true
  region:
    description: Region of the registry. The account is the one that the credentials for AWS belong to.
    type: str
    required: true
  profile:
    description: Profile of the AWS configuration. Without it boto3 looks in the environment, shared files and the instance role.
    type: str
  role_arn:
    description: ARN of a role to assume first.
    type: str
  node_role_arn:
    description:
      - ARN of the role of the cluster's nodes (C(arn:aws:iam::ACCOUNT:role/NAME)), to check whether they may pull these repositories.
        What they may not do is a warning. Nothing is attached to the role.
      - The caller needs C(iam:SimulatePrincipalPolicy). Without it the check is left out with a warning.
      - AWS simulates the role's policies and its permissions boundary. It knows nothing here of policies of the repositories, which
        nodes of another account need too.
    type: str
extends_documentation_fragment:
  - quayside.registry.attributes
requirements:
  - python >= 3.10
  - boto3
seealso:
  - module: quayside.registry.pull_secrets
    description: Where nodes have no such role, a token in a Secret, renewed in time.
  - module: quayside.registry.registry_auth
    description: The login for a push.
"""

EXAMPLES = r"""
- name: Repositories to push to
  quayside.registry.ecr_repositories:
    region: eu-west-1
    repositories: [shop/web, shop/api]
  register: ecr

- name: The policy for the role of the cluster's nodes
  ansible.builtin.debug:
    var: ecr.node_pull_policy

- name: Whether the nodes may pull them already
  quayside.registry.ecr_repositories:
    region: eu-west-1
    repositories: [shop/web, shop/api]
    node_role_arn: arn:aws:iam::123456789012:role/worker
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: create, kind: EcrRepository, namespace: "", name: shop/web}
registry:
  description: The registry's host.
  returned: success
  type: str
  sample: 123456789012.dkr.ecr.eu-west-1.amazonaws.com
node_pull_policy:
  description: The IAM policy that nodes need to pull these repositories without any Secret.
  returned: success
  type: dict
  sample:
    Version: "2012-10-17"
    Statement:
      - {Effect: Allow, Action: ["ecr:GetAuthorizationToken"], Resource: ["*"]}
      - Effect: Allow
        Action: ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource: ["arn:aws:ecr:eu-west-1:123456789012:repository/shop/web"]
node_pull_denied:
  description:
    - What of RV(node_pull_policy) IAM's simulation does not allow the role, each as action and resource. Empty where it may pull.
    - None where the caller may not ask.
  returned: success, with O(node_role_arn)
  type: list
  elements: str
  sample:
    - ecr:BatchGetImage arn:aws:ecr:eu-west-1:123456789012:repository/shop/web
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.ecr import Repositories
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import converge, diff

ARGUMENT_SPEC = {
    "repositories": {"type": "list", "elements": "str", "required": True},
    "region": {"type": "str", "required": True},
    "profile": {"type": "str"},
    "role_arn": {"type": "str"},
    "node_role_arn": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        subject = Repositories(module.params)
        outcome = converge(lambda: subject.plan(subject.read()), subject.write, module.check_mode)
    except RegistryError as error:
        module.fail_json(msg=str(error), **{"changed": False, "changes": [], **error.details})
    for warning in outcome.plan.warnings:
        module.warn(warning)
    result = dict(outcome.plan.result)
    if module._diff:
        result["diff"] = diff(outcome.changes)
    module.exit_json(changed=bool(outcome.changes), changes=[change.summary() for change in outcome.changes], **result)


if __name__ == "__main__":
    main()
