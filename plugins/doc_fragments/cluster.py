# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to a cluster: kubernetes.core's options, with the OAuth server's user and password."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    support: full
    description: Use C(group/quayside.registry.cluster) in C(module_defaults) to set the connection options of all modules for clusters.
    membership:
      - quayside.registry.cluster
requirements:
  - python >= 3.10
  - kubernetes >= 24.2.0
  - openshift >= 0.13 and requests-oauthlib (only for O(username) and O(password))
notes:
  - The options of the connection and their environment variables C(K8S_AUTH_*) are those of the modules of
    the collection C(kubernetes.core), so that credentials of AWX work unchanged.
  - With O(username), O(password) and O(host) the module logs in on OpenShift's OAuth server and logs out when it is done.
    O(ca_cert) must then hold the CA of the API server and the CA of the router, which the OAuth server is behind.
"""
