"""Running a module of the collection in this process: as fast as a function call, with the module's own JSON answer."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from ansible.module_utils.common import warnings
from kubernetes.client import Configuration

try:
    from ansible.module_utils.testing import patch_module_args
except ImportError:  # ansible-core before 2.19
    from ansible.module_utils import basic

    @contextmanager
    def patch_module_args(args: dict[str, Any] | None = None) -> Iterator[None]:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
        yield
        basic._ANSIBLE_ARGS = None


def run_module(name: str, /, *, check: bool = False, diff: bool = True, **params: Any) -> dict[str, Any]:
    """The result of the module ``name`` as its process would print it. Options without a value (None) are left out."""
    module = importlib.import_module(f"ansible_collections.quayside.registry.plugins.modules.{name}")
    given = {key: value for key, value in params.items() if value is not None}
    given.update(_ansible_check_mode=check, _ansible_diff=diff, _ansible_remote_tmp="/tmp")
    warnings._global_warnings.clear()  # one process, many modules
    Configuration.set_default(None)  # where kubernetes keeps the kubeconfig that the process loaded last
    output = io.StringIO()
    with patch_module_args(given), redirect_stdout(output), redirect_stderr(io.StringIO()):
        try:
            module.main()
        except SystemExit:
            pass
        else:
            raise AssertionError(f"{name} ended without a result")
    result: dict[str, Any] = json.loads(output.getvalue().splitlines()[-1])
    if "warnings" in result:
        # ansible-core 2.19 and newer give events, older ones text
        result["warnings"] = [item if isinstance(item, str) else item["event"]["msg"] for item in result["warnings"]]
    return result


class Killed(Exception):
    """The end of a run from outside."""


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """A run that is killed right after its n-th write to a cluster: that is done, and nothing after it is."""
    from ansible_collections.quayside.registry.plugins.module_utils.openshift.client import Cluster

    original, left = Cluster.write, [writes]

    def write(self: Cluster, change: Any) -> Any:
        done = original(self, change)
        left[0] -= 1
        if not left[0]:
            raise Killed
        return done

    Cluster.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        Cluster.write = original  # type: ignore[method-assign]
