#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_streams
short_description: Image streams, their tags, and the images imported into them
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Makes sure that image streams exist (or not), that their tags point at the right images, and that those images have been
    imported. A tag whose import failed fails the task, with the registry's own words and what would help.
  - One task manages any number of streams in any number of projects. What is as wanted already costs no request of its own.
  - Tags, labels and annotations that others wrote stay. They are merged under the object's resource version.
  - The cluster imports by itself, with its own network and trust, and with every pull secret of the project
    (M(quayside.registry.service_accounts) need not link it).
options:
  image_streams:
    description: The image streams.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the image stream.
        type: str
        required: true
      namespace:
        description: Its project. Without it, the module's O(namespace).
        type: str
        aliases: [project]
      state:
        description: V(absent) deletes the stream with all its tags, also those that were pushed.
        type: str
        choices: [present, absent]
        default: present
      labels:
        description: Labels to set. One whose value is null is removed, others stay.
        type: dict
        default: {}
      annotations:
        description:
          - Annotations to set. One whose value is null is removed, others stay.
          - C(openshift.io/image.insecureRepository) set to V(true) is O(image_streams[].tags[].insecure) for all tags.
        type: dict
        default: {}
      lookup_local:
        description:
          - Whether pods of the project may name the stream as an image (C(spec.lookupPolicy.local)), as C(oc set image-lookup)
            does.
          - Without it, it stays as it is. A new stream then has it off.
        type: bool
      tags:
        description: Its tags. Those that are not listed stay as they are.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the tag.
            type: str
            required: true
          state:
            description: V(absent) deletes the tag with its history.
            type: str
            choices: [present, absent]
            default: present
          from:
            description:
              - What the tag points at. An image elsewhere (C(ghcr.io/acme/app:1.4), with tag or digest), or according to
                O(image_streams[].tags[].from_kind) a tag (C(STREAM:TAG)) or an image (C(STREAM@DIGEST)) of a stream.
              - Required unless the tag is to be absent.
            type: str
          from_kind:
            description:
              - What kind of thing O(image_streams[].tags[].from) is.
              - A V(ImageStreamTag) of the same stream is followed by the cluster. One of another stream is looked at when the
                tag is written, and again with O(import=when_changed).
            type: str
            choices: [DockerImage, ImageStreamTag, ImageStreamImage]
            default: DockerImage
          from_namespace:
            description: The project of the stream in O(image_streams[].tags[].from). Without it, this stream's own.
            type: str
          scheduled:
            description: Whether the cluster looks for a new image by itself, every 15 minutes unless configured otherwise.
            type: bool
            default: false
          insecure:
            description: Whether to import over plain HTTP or TLS that is not verified.
            type: bool
            default: false
          import_mode:
            description:
              - What of an image for several architectures is imported, V(Legacy) the one for linux/amd64, V(PreserveOriginal)
                all.
              - Without it, it stays as it is. For a new tag the cluster decides.
            type: str
            choices: [Legacy, PreserveOriginal]
          reference_policy:
            description:
              - From where the image is pulled, V(Source) from where it was imported from, V(Local) through the cluster's
                registry, which keeps a copy and needs no pull secret of its users.
            type: str
            choices: [Source, Local]
            default: Source
  namespace:
    description:
      - Project of the entries that name none.
      - With O(purge), this project is cleaned up also when no entry names it.
    type: str
    aliases: [project]
  import:
    description:
      - When an image that has been imported before is imported again. What was never imported, or whose last import failed, is
        always imported.
      - V(when_changed) asks the cluster what the sources are now, once for each stream, and imports those that differ. In check
        mode RV(drift) shows them.
      - V(always) imports all listed tags now, which is a change each time.
    type: str
    choices: [never, when_changed, always]
    default: never
  create_projects:
    description:
      - Whether projects that are missing are created, as a Namespace, or as a ProjectRequest where the account may not create
        namespaces.
      - Otherwise a missing project is an error, and nothing is written.
    type: bool
    default: false
  purge:
    description:
      - Whether to delete, in the projects that are mentioned, image streams that this collection created (label
        C(app.kubernetes.io/managed-by=quayside.registry)) and that are not listed.
    type: bool
    default: false
  wait:
    description: Whether to wait until the tags are imported. Without it, failed imports are not noticed.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait at most.
    type: int
    default: 300
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - quayside.registry.cluster
  - quayside.registry.attributes
attributes:
  idempotent:
    support: partial
    details: Not with O(import=always), and not while an import fails.
seealso:
  - module: quayside.registry.registry_access
    description: Who may pull from which project.
"""

EXAMPLES = r"""
- name: An image from elsewhere, and a tag that follows it
  quayside.registry.image_streams:
    namespace: demo
    create_projects: true
    image_streams:
      - name: app
        tags:
          - name: "1.4"
            from: ghcr.io/acme/app:1.4
          - name: stable
            from: app:1.4
            from_kind: ImageStreamTag

- name: One that the cluster keeps up to date and serves from its own registry, for all architectures
  quayside.registry.image_streams:
    image_streams:
      - name: base
        namespace: demo
        lookup_local: true
        tags:
          - name: latest
            from: ghcr.io/acme/base:latest
            scheduled: true
            import_mode: PreserveOriginal
            reference_policy: Local

- name: Import again what has moved
  quayside.registry.image_streams:
    namespace: demo
    import: when_changed
    image_streams:
      - name: app
        tags:
          - name: "1.4"
            from: ghcr.io/acme/app:1.4
  register: streams

- name: An empty stream to push to, and one tag less in another
  quayside.registry.image_streams:
    namespace: demo
    image_streams:
      - name: pushed
        annotations:
          example.com/owner: tools
      - name: app
        tags:
          - name: stable
            state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be changed in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      kind: ImageStream
      namespace: demo
      name: app
image_streams:
  description: The image streams that are present, in the order of the list. In check mode, as they were before.
  returned: success, or when an import failed
  type: list
  elements: dict
  contains:
    namespace:
      description: Its project.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    repository:
      description: Where pods of the cluster pull it from.
      type: str
      returned: success
    public_repository:
      description: Where others pull it from. Empty while the registry has no route.
      type: str
      returned: success
    tags:
      description: The listed tags, with C(name), C(source), C(digest) and the C(image) that the digest is of.
      type: list
      elements: dict
      returned: success
  sample:
    - namespace: demo
      name: app
      repository: image-registry.openshift-image-registry.svc:5000/demo/app
      public_repository: ""
      tags:
        - name: "1.4"
          source: ghcr.io/acme/app:1.4
          digest: sha256:5d546152ff3bb280d5f91b7a69a830298be00f675f502c034e19db35070accf7
          image: ghcr.io/acme/app@sha256:5d546152ff3bb280d5f91b7a69a830298be00f675f502c034e19db35070accf7
drift:
  description:
    - Tags whose source had another image than was imported.
    - With O(import=when_changed) all of them, otherwise none.
  returned: success, or when an import failed
  type: list
  elements: dict
  sample:
    - namespace: demo
      name: app
      tag: "1.4"
      source: ghcr.io/acme/app:1.4
      imported: sha256:5d546152ff3bb280d5f91b7a69a830298be00f675f502c034e19db35070accf7
      current: sha256:c963f672bc2663edee30110aca2eef8449ed60dbebc8f97c89e7b8ebc0d0a192
failures:
  description: Tags that have not got their image, with the cluster's own reason and message.
  returned: when an import failed
  type: list
  elements: dict
  sample:
    - namespace: demo
      name: app
      tag: "1.4"
      source: ghcr.io/acme/app:1.4
      reason: NotFound
      message: dockerimage.image.openshift.io "ghcr.io/acme/app:1.4" not found
"""

from ansible_collections.quayside.registry.plugins.module_utils.openshift.image_streams import ImageStreams
from ansible_collections.quayside.registry.plugins.module_utils.openshift.module import run

TAG = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "from": {"type": "str"},
    "from_kind": {
        "type": "str",
        "choices": ["DockerImage", "ImageStreamTag", "ImageStreamImage"],
        "default": "DockerImage",
    },
    "from_namespace": {"type": "str"},
    "scheduled": {"type": "bool", "default": False},
    "insecure": {"type": "bool", "default": False},
    "import_mode": {"type": "str", "choices": ["Legacy", "PreserveOriginal"]},
    "reference_policy": {"type": "str", "choices": ["Source", "Local"], "default": "Source"},
}

ARGUMENT_SPEC = {
    "image_streams": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "aliases": ["project"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "labels": {"type": "dict", "default": {}},
            "annotations": {"type": "dict", "default": {}},
            "lookup_local": {"type": "bool"},
            "tags": {"type": "list", "elements": "dict", "default": [], "options": TAG},
        },
    },
    "namespace": {"type": "str", "aliases": ["project"]},
    "import": {"type": "str", "choices": ["never", "when_changed", "always"], "default": "never"},
    "create_projects": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 300},
}


def main() -> None:
    run(ImageStreams, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
