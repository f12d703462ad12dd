# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials for the module ``registry_auth``, fetched where Ansible runs and only when the host has none that is good."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.quayside.registry.plugins.module_utils import credentials
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift import sources
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import connect

_MODULE = "quayside.registry.registry_auth"
_LOGINS = {"type": "list", "elements": "dict", "required": True, "options": credentials.LOGIN}
_CONNECTION = {name for key, spec in AUTH_ARG_SPEC.items() for name in (key, *spec.get("aliases", []))}


class ActionModule(ActionBase):
    """Runs the module; where it says that it needs tokens, asks the cluster for them and runs it again with them."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        connection = {name: given.pop(name) for name in list(given) if name in _CONNECTION}
        warnings: list[str] = []
        try:
            registries = self._registries(given, warnings)
            arguments = {**given, "registries": [_without_empty(entry) for entry in registries]}
            result = self._run_module(arguments, task_vars)
            needs = result.pop("needs", [])
            if needs:
                self._fetch(registries, needs, connection, warnings)
                arguments = {**given, "registries": [_without_empty(entry) for entry in registries]}
                result = self._run_module(arguments, task_vars)
        except RegistryError as error:
            return {"failed": True, "changed": False, "changes": [], "msg": str(error), "warnings": warnings}
        if warnings:
            result["warnings"] = [*warnings, *result.get("warnings", [])]
        return result

    def _run_module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return dict(self._execute_module(module_name=_MODULE, module_args=arguments, task_vars=task_vars))

    def _registries(self, given: dict[str, Any], warnings: list[str]) -> list[dict[str, Any]]:
        """The option ``registries``, with the passwords that files and environment variables of the controller hold."""
        validation = ArgumentSpecValidator({"registries": _LOGINS}).validate({"registries": given.get("registries")})
        if validation.error_messages:
            raise AnsibleActionFail("; ".join(validation.error_messages))
        registries: list[dict[str, Any]] = validation.validated_parameters["registries"]
        for number, entry in enumerate(registries):
            if entry["state"] == "absent":
                continue
            what = f"registries[{number}] ({entry['registry']})"
            sources.Source(entry, what).check()
            if entry["password_file"] is not None:
                entry["password_file"] = self._loader.path_dwim(entry["password_file"])  # from the playbook's folder
            password, warning = credentials.read_local(entry, what, os.environ)
            if password is not None:
                entry.update(password=password, password_file=None, password_env=None)
            if warning:
                warnings.append(warning)
        return registries

    def _fetch(
        self,
        registries: list[dict[str, Any]],
        needs: Sequence[int],
        connection: dict[str, Any],
        warnings: list[str],
    ) -> None:
        """Ask the sources of these entries, and set what they made as the passwords."""
        validation = ArgumentSpecValidator(AUTH_ARG_SPEC).validate(connection)
        if validation.error_messages:
            raise AnsibleActionFail("; ".join(validation.error_messages))
        asked = [
            sources.Source(registries[number], f"registries[{number}] ({registries[number]['registry']})")
            for number in needs
        ]
        made = sources.ask(asked, lambda: connect(validation.validated_parameters))
        for number, source, new in zip(needs, asked, made, strict=True):
            registries[number].update(username=new.credential.username, password=new.credential.password)
            warning = credentials.too_short(source.options, new.expires_at, time.time())
            if warning:
                warnings.append(warning)


def _without_empty(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry as the host gets it: without the connection to another cluster."""
    given = {name: value for name, value in entry.items() if value is not None}
    for source in ("service_account", "secret"):
        if source in given:
            given[source] = {
                name: value for name, value in given[source].items() if name != "cluster" and value is not None
            }
    return given
