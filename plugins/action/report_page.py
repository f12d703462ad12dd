# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the report's page where Ansible runs: a cluster's part, and the page of all parts in the folder."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.quayside.registry.plugins.module_utils import report_page
from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError

_ARGUMENT_SPEC = {
    "directory": {"type": "path", "required": True},
    "cluster": {"type": "str", "required": True},
    "report": {"type": "dict"},
    "error": {"type": "str"},
}
_TEMPLATE = Path(__file__).parents[2] / "roles" / "report" / "files" / "page.html"


class ActionModule(ActionBase):
    """Reads and writes nothing but the folder of the report."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        validation = ArgumentSpecValidator(
            _ARGUMENT_SPEC, mutually_exclusive=[("report", "error")], required_one_of=[("report", "error")]
        ).validate(dict(self._task.args))
        if validation.error_messages:
            raise AnsibleActionFail("; ".join(validation.error_messages))
        given = validation.validated_parameters
        report = given["report"]
        if report is None:
            now = datetime.datetime.now(datetime.timezone.utc)
            report = {"error": given["error"], "read_at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        folder = Path(given["directory"]).absolute()
        try:
            changed = report_page.write(
                folder, _TEMPLATE.read_text(encoding="utf-8"), given["cluster"], report, self._task.check_mode
            )
        except RegistryError as error:
            return {**result, "failed": True, "changed": False, "msg": str(error)}
        page, data = folder / report_page.PAGE, folder / report_page.DATA
        return {**result, "changed": changed, "page": str(page), "json": str(data)}
