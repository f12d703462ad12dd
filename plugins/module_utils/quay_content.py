# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``quay_content``: a document and the Quay that shall be like it, and the places that keep robots' tokens."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.quayside.registry.plugins.module_utils.errors import RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.host.files import Files
from ansible_collections.quayside.registry.plugins.module_utils.host.kept_file import KeptFile
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import connect as connect_cluster
from ansible_collections.quayside.registry.plugins.module_utils.openshift.names import check_object, check_project
from ansible_collections.quayside.registry.plugins.module_utils.openshift.objects import (
    SECRET,
    Object,
    changes,
    name_of,
    namespace_of,
    new,
    texts_of,
)
from ansible_collections.quayside.registry.plugins.module_utils.options import Module
from ansible_collections.quayside.registry.plugins.module_utils.plan import Change, Plan, converge, diff
from ansible_collections.quayside.registry.plugins.module_utils.quay import application_tokens, calls, robots, stores
from ansible_collections.quayside.registry.plugins.module_utils.quay.client import Quay, Server, connect
from ansible_collections.quayside.registry.plugins.module_utils.quay.content import Content
from ansible_collections.quayside.registry.plugins.module_utils.quay.export import export, names


class Places:
    """The Secrets and files that keep tokens."""

    def __init__(self, cluster: Cluster | None, files: Files, wanted: Sequence[stores.Place]) -> None:
        self._cluster, self._wanted = cluster, wanted
        self._files = {path: KeptFile(files, path) for kind, _namespace, path in wanted if kind == "File"}
        self._secrets: dict[tuple[str, str], Object] = {}

    def read(self) -> dict[stores.Place, dict[str, str]]:
        """What they hold."""
        namespaces = {namespace for kind, namespace, _name in self._wanted if kind == "Secret"}
        if self._cluster and namespaces:
            found = self._cluster.list_in(SECRET, namespaces)
            self._secrets = {(namespace_of(item), name_of(item)): item for item in found}
        stored: dict[stores.Place, dict[str, str]] = {}
        for kind, namespace, name in self._wanted:
            if kind == "File":
                stored[kind, namespace, name] = self._files[name].read() or {}
                continue
            stored[kind, namespace, name] = texts_of(self._secrets.get((namespace, name), {}))
        return stored

    def check(self) -> None:
        """Raise before anything is written where these could not be."""
        for kept in self._files.values():
            kept.check()

    def save(self, place: stores.Place, content: Mapping[str, str]) -> None:
        """Keep this."""
        kind, namespace, name = place
        if kind == "File":
            self._files[name].save(content)
            return
        if self._cluster is None:
            raise RegistryError("There is no connection to a cluster.")
        data = {key: base64.b64encode(text.encode()).decode() for key, text in content.items()}
        before = self._secrets.get((namespace, name))
        after = {**before, "data": {**(before.get("data") or {}), **data}} if before else None
        after = after or new(SECRET, name, namespace, type="Opaque", data=data)
        for step in changes(SECRET, before, after):
            self._cluster.write(step)


def run(argument_spec: Mapping[str, Any]) -> None:
    """The module."""
    module = Module(argument_spec={**AUTH_ARG_SPEC, **argument_spec}, supports_check_mode=True)
    params = module.params
    done: list[Change] = []
    plan = Plan()
    try:
        host = Server.of(params).host
        content = Content(params, host)
        wanted = content.places()
        for kind, namespace, name in wanted:
            if kind == "Secret":
                check_project(namespace, "store.secret.namespace")
                check_object(name, "store.secret.name")
        with contextlib.ExitStack() as stack:
            quay = stack.enter_context(connect(params))
            in_cluster = any(kind == "Secret" for kind, _namespace, _name in wanted)
            cluster = stack.enter_context(connect_cluster(params)) if in_cluster else None
            places = Places(cluster, Files(module), wanted)
            outcome = converge(
                _planner(content, quay, places),
                _writer(quay, places),
                module.check_mode,
                calls.WORKERS,
            )
            done, plan = outcome.changes, outcome.plan
    except RegistryError as error:
        module.fail_json(
            msg=str(error),
            **{"changed": bool(done), "changes": [change.summary() for change in done], **error.details},
        )
    for warning in plan.warnings:
        module.warn(warning)
    result: dict[str, Any] = {"diff": diff(done)} if module._diff else {}
    module.exit_json(changed=bool(done), changes=[change.summary() for change in done], **result)


def _planner(content: Content, quay: Quay, places: Places) -> Callable[[], Plan]:
    def make_plan() -> Plan:
        state = content.read(quay)
        state.stored = places.read()
        plan = content.plan(state, time.time())
        if plan.changes:
            places.check()
        return plan

    return make_plan


def _writer(quay: Quay, places: Places) -> Callable[[Change], None]:
    made: dict[str, dict[str, str]] = {}

    def write(change: Change) -> None:
        request = change.request
        if isinstance(request, stores.Store):
            places.save(request.place, {**request.content, **made.get(request.of, {})})
            return
        answer = calls.write(quay, change)
        new = robots.made(change, answer) or application_tokens.made(change, answer)
        if new:
            made[new[0]] = new[1]

    return write


def run_info(argument_spec: Mapping[str, Any]) -> None:
    """The module ``quay_content_info``."""
    module = Module(argument_spec=dict(argument_spec), supports_check_mode=True)
    try:
        with connect(module.params) as quay:
            wanted = module.params["organizations"]
            wanted = names(quay) if wanted is None else wanted
            found = export(quay, wanted, module.params["users"], module.params["tags"])
    except RegistryError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(changed=False, content=found.content, left_out=found.left_out)
