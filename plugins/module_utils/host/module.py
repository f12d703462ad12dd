# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for hosts have in common: check and diff mode, results and failures. Standard library only."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files, Write
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan, converge, diff

State = TypeVar("State")


class Subject(Protocol, Generic[State]):
    """One subject of a host; its constructor refuses what cannot be meant."""

    def read(self) -> State:
        """The actual state."""

    def plan(self, state: State) -> Plan:
        """The changes that make it as wanted. Pure."""

    def write(self, change: Change) -> None:
        """Carry out one change."""


def finish(module: AnsibleModule, subject: Subject[Any], files: Files, workers: int = 1) -> None:
    """Read, plan, apply and exit. Files are written one at a time, since that is quick and the order is easy to follow.

    That a file cannot be written is found before the first one is, and in check mode as well.
    """

    def make_plan() -> Plan:
        plan = subject.plan(subject.read())
        for change in plan.changes:
            if isinstance(change.request, Write):
                files.check_writable(change.request.path)
        return plan

    outcome = converge(make_plan, subject.write, module.check_mode, workers)
    for warning in outcome.plan.warnings:
        module.warn(warning)
    result = dict(outcome.plan.result)
    if module._diff:
        result["diff"] = diff(outcome.changes)
    module.exit_json(changed=bool(outcome.changes), changes=[change.summary() for change in outcome.changes], **result)


def fail(module: AnsibleModule, error: RegistryError) -> None:
    module.fail_json(msg=str(error), **{"changed": False, "changes": [], **error.details})
