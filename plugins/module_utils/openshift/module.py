# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module for a cluster has in common: options, check and diff mode, results and failures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster, connect
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan, converge, diff

State = TypeVar("State")


class Subject(Protocol, Generic[State]):
    """One subject of a cluster, made from a module's parameters; its constructor refuses what cannot be meant."""

    def read(self, cluster: Cluster) -> State:
        """The actual state, with the fewest requests there are."""

    def plan(self, state: State) -> Plan:
        """The changes that make it as wanted. Pure."""

    def wait(self, cluster: Cluster, plan: Plan) -> dict[str, Any]:
        """Wait until the cluster agrees; what the module returns beside ``plan.result``. Not called in check mode."""


def run(
    subject: Callable[[Mapping[str, Any]], Subject[Any]],
    argument_spec: Mapping[str, Any],
    harmless: Callable[[Mapping[str, Any]], set[str]] | None = None,
    **options: Any,
) -> None:
    """Run a module: its parameters make the subject, the subject reads, plans and waits; this applies in between.

    ``harmless``: the texts within options of ``no_log`` that are no secrets. Ansible would hide each wherever it occurs.
    """
    module = AnsibleModule(argument_spec={**AUTH_ARG_SPEC, **argument_spec}, supports_check_mode=True, **options)
    if harmless:
        module.no_log_values -= harmless(module.params)
    changes: list[Change] = []
    plan = Plan()
    try:
        wanted = subject(module.params)
        with connect(module.params) as cluster:

            def make_plan() -> Plan:
                nonlocal plan
                plan = wanted.plan(wanted.read(cluster))
                return plan

            # a subject that writes more than objects of the cluster has a method of its own for it
            write = functools.partial(wanted.write, cluster) if hasattr(wanted, "write") else cluster.write
            changes = converge(make_plan, write, module.check_mode).changes
            result = dict(plan.result)
            if not module.check_mode:
                result.update(wanted.wait(cluster, plan))
    except RegistryError as error:
        _warn(module, plan)
        module.fail_json(
            msg=str(error),
            **{"changed": bool(changes), "changes": [change.summary() for change in changes], **error.details},
        )
    _warn(module, plan)
    if module._diff:
        result["diff"] = diff(changes)
    module.exit_json(changed=bool(changes), changes=[change.summary() for change in changes], **result)


def _warn(module: AnsibleModule, plan: Plan) -> None:
    for warning in plan.warnings:
        module.warn(warning)
