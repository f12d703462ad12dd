#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_mirrors
short_description: Mirrors from which the nodes of an OpenShift cluster pull instead of an image's source
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Manages ImageDigestMirrorSets and ImageTagMirrorSets. Workloads keep naming the source; nodes pull from the mirrors.
  - One task manages any number of sets with three requests and one write for each set that changes.
  - Every change makes nodes roll. A warning and RV(rolls_nodes) say so, in check mode, too.
options:
  mirrors:
    description:
      - The mirrors of each source. Entries of the same O(mirrors[].kind) and O(mirrors[].name) are in the same object.
      - Sources that others added to such an object stay, unless it is this collection's and O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description: What images are called by. V(HOST[:PORT][/NAMESPACE][/REPOSITORY]), or V(*.HOST) for all below a domain.
        type: str
        required: true
      mirrors:
        description: Where to look instead, the first one first. They replace what the set has for the source.
        type: list
        elements: str
      mirror_source_policy:
        description:
          - Whether nodes ask the source when no mirror has the image. Without it what is there stays; a new entry asks.
          - A source must have the same policy everywhere, or nodes get no mirrors at all. That is refused before it is written.
        type: str
        choices: [AllowContactingSource, NeverContactSource]
      kind:
        description: Whether images named by digest or those named by tag are looked for.
        type: str
        choices: [digest, tag]
        default: digest
      name:
        description: Name of the object. Without it, one made from the source, such as V(docker-io-library).
        type: str
      state:
        description: V(absent) removes the source from the object, and an object of this collection that is then empty.
        type: str
        choices: [present, absent]
        default: present
  purge:
    description:
      - Whether to remove what this collection made (label C(app.kubernetes.io/managed-by=quayside.registry)) and what is not
        listed.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until every MachineConfigPool is up to date. That takes minutes for each node.
      - Paused pools are not waited for. Where there are no pools (hosted control planes), nothing can be observed; a warning says so.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 3600
notes:
  - Needs OpenShift 4.13 or newer. An ImageContentSourcePolicy of older ones is shown in a warning, and not touched.
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
seealso:
  - module: quayside.registry.image_config
"""

EXAMPLES = r"""
- name: Pull what was on the Docker Hub from elsewhere, by tag and by digest
  quayside.registry.image_mirrors:
    mirrors:
      - source: docker.io/example
        mirrors: [ghcr.io/example]
        kind: tag
      - source: docker.io/example
        mirrors: [ghcr.io/example]

- name: One set for all that a disconnected cluster pulls
  quayside.registry.image_mirrors:
    mirrors:
      - source: quay.io
        mirrors: [mirror.example.com:5000/quay]
        mirror_source_policy: NeverContactSource
        name: disconnected
      - source: registry.redhat.io
        mirrors: [mirror.example.com:5000/redhat]
        mirror_source_policy: NeverContactSource
        name: disconnected

- name: None that this collection made
  quayside.registry.image_mirrors:
    mirrors: []
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, kind: ImageTagMirrorSet, namespace: "", name: docker-io-example}]
rolls_nodes:
  description: Whether these changes make the nodes roll.
  returned: success
  type: bool
  sample: true
mirror_sets:
  description: The sets of O(mirrors) that are present, with all their sources, also those of others.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(digest) or V(tag).
      type: str
      returned: success
    name:
      description: Name of the object.
      type: str
      returned: success
    mirrors:
      description: Its sources, each with C(mirrors) and C(mirror_source_policy).
      type: list
      elements: dict
      returned: success
  sample:
    - kind: tag
      name: docker-io-example
      mirrors:
        - source: docker.io/example
          mirrors: [ghcr.io/example]
          mirror_source_policy: AllowContactingSource
deprecated_policies:
  description: Names of the cluster's ImageContentSourcePolicies.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_mirrors import ImageMirrors
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

ARGUMENT_SPEC = {
    "mirrors": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "source": {"type": "str", "required": True},
            "mirrors": {"type": "list", "elements": "str"},
            "mirror_source_policy": {"type": "str", "choices": ["AllowContactingSource", "NeverContactSource"]},
            "kind": {"type": "str", "choices": ["digest", "tag"], "default": "digest"},
            "name": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 3600},
}


def main() -> None:
    run(ImageMirrors, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
