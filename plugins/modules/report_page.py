#!/usr/bin/python
# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report_page
short_description: Write the page about the registries of many clusters
version_added: 0.1.0
author: quayside.registry contributors (@quayside)
description:
  - Puts what M(quayside.registry.registry_report_info) has found of one cluster into a folder, and makes one page, and the same
    as JSON, of all clusters in that folder. So clusters may be read one after the other, at the same time, or in slices of an
    inventory.
  - The page is one file. It needs no server, and asks none for anything.
  - Runs where Ansible runs, whatever host the task is for.
options:
  directory:
    description:
      - The folder, made where it is missing. It gets C(index.html), C(report.json) and the folder C(clusters) with a file for
        each cluster.
      - To take a cluster out of the page delete its file. The next run makes the page without it.
    type: path
    required: true
  cluster:
    description: The name under which the page shows the cluster.
    type: str
    required: true
  report:
    description: What RV(quayside.registry.registry_report_info#module:report) is. Exclusive with O(error).
    type: dict
  error:
    description: Why the cluster could not be read. Exclusive with O(report).
    type: str
extends_documentation_fragment:
  - quayside.registry.attributes
attributes:
  diff_mode:
    support: none
  idempotent:
    support: full
    details: That a cluster was read once more at another time, with the same outcome, is no change, though the files tell the time.
seealso:
  - module: quayside.registry.registry_report_info
"""

EXAMPLES = r"""
- name: Read a cluster
  quayside.registry.registry_report_info:
  register: cluster

- name: Put it on the page
  quayside.registry.report_page:
    directory: /tmp/quayside-examples/report
    cluster: production
    report: "{{ cluster.report }}"
  register: page

- name: Where it is
  ansible.builtin.debug:
    msg: "{{ page.page }}"

- name: A cluster that could not be read has its place on the page, too
  quayside.registry.report_page:
    directory: /tmp/quayside-examples/report
    cluster: staging
    error: The API server cannot be reached.
"""

RETURN = r"""
page:
  description: The page.
  returned: success
  type: str
  sample: /srv/www/registries/index.html
json:
  description: The same as data.
  returned: success
  type: str
  sample: /srv/www/registries/report.json
"""
