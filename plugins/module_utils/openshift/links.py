# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of Secrets to service accounts that exist, beside the links that others made. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.quayside.registry.plugins.module_utils.errors import InputError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SERVICE_ACCOUNT,
    Object,
    changes,
)
from ansible_collections.quayside.registry.plugins.module_utils.openshift.service_accounts import Account
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change

_Key = tuple[str, str]  # namespace, name


class Links:
    """Links of Secrets to service accounts, each account written at most once."""

    def __init__(self, accounts: Mapping[_Key, Object]) -> None:
        self._accounts = accounts
        self._wanted: dict[_Key, Account] = {}
        self._missing: dict[tuple[str, str], list[str]] = {}

    def add(self, secret: _Key, where: str, pull: Sequence[str], mount: Sequence[str]) -> None:
        """Link the Secret for pulling and for mounting. ``where`` is the entry, for the message."""
        namespace, name = secret
        for account in pull:
            wanted = self._existing(namespace, account, f"{where}.pull")
            if wanted:
                self._wanted[namespace, account] = replace(wanted, pull_secrets=(*wanted.pull_secrets, name))
        for account in mount:
            wanted = self._existing(namespace, account, f"{where}.mount")
            if wanted:
                self._wanted[namespace, account] = replace(wanted, mount_secrets=(*wanted.mount_secrets, name))

    def remove(self, secret: _Key) -> None:
        """Take the Secret away from every account of its namespace: a link to nothing is of no use."""
        namespace, name = secret
        for (where, account), item in self._accounts.items():
            linked = [*(item.get("imagePullSecrets") or []), *(item.get("secrets") or [])]
            if where == namespace and any(link.get("name") == name for link in linked):
                wanted = self._account(namespace, account)
                self._wanted[namespace, account] = replace(wanted, unlink_secrets=(*wanted.unlink_secrets, name))

    def changes(self) -> list[Change]:
        """Links come after their Secrets, and go before them."""
        for (where, account), namespaces in self._missing.items():
            raise InputError(
                f"{where}: there is no service account {account} in {listing(sorted(namespaces))}. Create it first"
                " (quayside.registry.service_accounts), or leave it out."
            )
        planned: list[Change] = []
        for key, wanted in self._wanted.items():
            before = self._accounts[key]
            stage = 2 if wanted.pull_secrets or wanted.mount_secrets else 1
            planned += changes(SERVICE_ACCOUNT, before, wanted.merged(before), stage)
        return planned

    def _existing(self, namespace: str, name: str, where: str) -> Account | None:
        if (namespace, name) in self._accounts:
            return self._account(namespace, name)
        self._missing.setdefault((where, name), []).append(namespace)
        return None

    def _account(self, namespace: str, name: str) -> Account:
        return self._wanted.get((namespace, name)) or Account(namespace, name)


def listing(names: Sequence[str], most: int = 5) -> str:
    """Names for a message, not hundreds of them."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
