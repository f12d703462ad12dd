# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection to Quay."""

    DOCUMENTATION = r"""
options:
  quay_host:
    description:
      - Quay's host as V(HOST) or V(HOST:PORT), or a URL with C(https) or C(http).
      - Without it the environment variable E(QUAY_HOST) is taken.
    type: str
    required: true
  quay_token:
    description:
      - An OAuth token of Quay. Every request with one costs Quay a bcrypt. O(quay_username) and O(quay_password) are much cheaper.
      - Without it the environment variable E(QUAY_TOKEN) is taken.
    type: str
  quay_username:
    description:
      - User to sign in as, with O(quay_password). Preferred to O(quay_token) where both are given.
      - Without it the environment variable E(QUAY_USERNAME) is taken.
    type: str
  quay_password:
    description:
      - The user's password.
      - Without it the environment variable E(QUAY_PASSWORD) is taken.
    type: str
  quay_ca_cert:
    description:
      - The CA certificates to verify Quay's certificate with, as PEM text or as the file that holds them. By default those that
        Python's requests trusts.
      - Without it the environment variable E(QUAY_CA_CERT) is taken.
    type: str
  quay_validate_certs:
    description:
      - Whether Quay's certificate is verified.
      - Without it the environment variable E(QUAY_VALIDATE_CERTS) is taken.
    type: bool
    default: true
requirements:
  - python >= 3.10
  - requests
"""

    SERVER = r"""
options:
  quay_host:
    description:
      - Quay's host as V(HOST) or V(HOST:PORT), or a URL with C(https) or C(http).
      - Without it the environment variable E(QUAY_HOST) is taken.
    type: str
    required: true
  quay_ca_cert:
    description:
      - The CA certificates to verify Quay's certificate with, as PEM text or as the file that holds them. By default those that
        Python's requests trusts.
      - Without it the environment variable E(QUAY_CA_CERT) is taken.
    type: str
  quay_validate_certs:
    description:
      - Whether Quay's certificate is verified.
      - Without it the environment variable E(QUAY_VALIDATE_CERTS) is taken.
    type: bool
    default: true
requirements:
  - python >= 3.10
  - requests
"""
