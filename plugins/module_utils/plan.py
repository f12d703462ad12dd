# Copyright (c) 2026, quayside.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan, apply: the part that knows neither Kubernetes nor Quay.

A *plan* is what a pure function makes of what is wanted and what there is: a list of changes. Check mode, diff mode and the
real run print the same plan; only the real run goes on to apply it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from ansible_collections.quayside.registry.plugins.module_utils import progress
from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError

#: Concurrent writes. Enough to hide the round trips, few enough for an API server's default priority level.
WORKERS = 16

#: Seconds between two looks at the bytes that have been moved.
_LOOK = 0.5

#: How often a plan is made anew because somebody else wrote at the same time.
ATTEMPTS = 8

HIDDEN = "VALUE_HIDDEN"
HIDDEN_NEW = "VALUE_HIDDEN_NEW"


@dataclasses.dataclass(frozen=True)
class Change:
    """One write that makes the world a bit more as it is wanted.

    `before` and `after` are what the diff shows: ``None`` where the object is not there. They hold no secret; ``hide`` makes
    them so. `request` belongs to the system that applies the change. Changes of a lower `stage` are finished before those of
    a higher one begin; within a stage they run at the same time and in any order.
    """

    action: str  # create, update or delete
    kind: str
    name: str
    namespace: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    stage: int = 0
    request: Any = dataclasses.field(default=None, compare=False, repr=False)

    def summary(self) -> dict[str, str]:
        """The change as a module returns it."""
        return {"action": self.action, "kind": self.kind, "namespace": self.namespace, "name": self.name}

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.action} {self.kind} {where}"


@dataclasses.dataclass
class Plan:
    """The changes, and what the module returns beside them as far as the plan can know.

    `prepare` fetches what the changes need before the first of them is written, such as a new token, and completes the plan
    with it. It is not called in check mode, and must not alter what is going to be changed. `moved` tells whoever watches how
    many bytes have been moved, and of how many.
    """

    changes: list[Change] = dataclasses.field(default_factory=list)
    result: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    prepare: Callable[[], None] | None = None
    moved: Callable[[], tuple[int, int]] | None = None


def hide(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """Both mappings with every value replaced by a word that only tells whether the value stays the same."""
    old, new = before or {}, after or {}
    return (
        None if before is None else dict.fromkeys(old, HIDDEN),
        None if after is None else {key: HIDDEN if old.get(key) == new[key] else HIDDEN_NEW for key in new},
    )


def diff(changes: Sequence[Change]) -> list[dict[str, str]]:
    """Ansible's diff of the changes: one entry for each, before and after as JSON in a fixed order."""

    def text(value: Mapping[str, Any] | None) -> str:
        return "" if value is None else json.dumps(value, indent=2, sort_keys=True) + "\n"

    return [
        {
            "before_header": f"{change} (before)",
            "after_header": f"{change} (after)",
            "before": text(change.before),
            "after": text(change.after),
        }
        for change in changes
    ]


def apply(
    changes: Sequence[Change],
    write: Callable[[Change], Any],
    done: list[Change],
    workers: int = WORKERS,
    moved: Callable[[], tuple[int, int]] | None = None,
) -> None:
    """Write the changes, stage by stage, and append each to `done` as soon as it is written.

    The first failure stops what has not begun; what is under way is finished. A conflict is raised only when nothing worse
    happened, because the caller can repair it.
    """
    for stage in sorted({change.stage for change in changes}):
        failures = _apply_stage([change for change in changes if change.stage == stage], write, done, workers, moved)
        if failures:
            raise min(failures, key=lambda failure: isinstance(failure, Conflict))


def _apply_stage(
    changes: Sequence[Change],
    write: Callable[[Change], Any],
    done: list[Change],
    workers: int,
    moved: Callable[[], tuple[int, int]] | None,
) -> list[BaseException]:
    failures: list[BaseException] = []
    finished_count = 0
    order = {id(change): number for number, change in enumerate(changes)}
    begin = len(done)
    waiting = list(reversed(changes))
    running: dict[Future[Any], Change] = {}
    size = max(1, min(workers, len(changes)))
    with progress.step("applying") as step, ThreadPoolExecutor(max_workers=size) as pool:
        while running or (waiting and not failures):
            while waiting and not failures and len(running) < workers:
                change = waiting.pop()
                running[pool.submit(write, change)] = change
            so_far = moved() if moved else (0, 0)
            step.update(str(next(reversed(running.values()))), finished_count, len(changes), so_far)
            pause = _LOOK if moved else None
            finished: set[Future[Any]] = wait(running, pause, FIRST_COMPLETED).done
            for future in finished:
                change = running.pop(future)
                finished_count += 1
                error = future.exception()
                if error is None:
                    done.append(change)
                else:
                    failures.append(error)
    done[begin:] = sorted(
        done[begin:], key=lambda change: order[id(change)]
    )  # as the plan (and so check mode) lists them
    return failures


@dataclasses.dataclass
class Outcome:
    """What was changed (in check mode: would be), and the plan that said so."""

    changes: list[Change]
    plan: Plan


def converge(
    make_plan: Callable[[], Plan],
    write: Callable[[Change], Any],
    check_mode: bool,
    workers: int = WORKERS,
    pause: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Plan and apply until the plan is carried out; after a conflict read, plan and apply anew.

    Raises the failure of a write as a `RegistryError` whose details tell what was changed before it.
    """
    done: list[Change] = []
    for attempt in range(1, ATTEMPTS + 1):
        plan = make_plan()
        if plan.prepare and not check_mode:
            plan.prepare()
        plan.changes.sort(key=lambda change: change.stage)
        if check_mode:
            return Outcome(plan.changes, plan)
        try:
            apply(plan.changes, write, done, workers, plan.moved)
            return Outcome(done, plan)
        except Conflict as conflict:
            if attempt == ATTEMPTS:
                raise RegistryError(
                    f"{conflict} This happened {ATTEMPTS} times in a row.",
                    _progress(done),
                ) from conflict
            pause(0.05 * attempt)
        except RegistryError as failure:
            failure.details.update(_progress(done))
            raise
    raise AssertionError("unreachable")


def _progress(done: Sequence[Change]) -> dict[str, Any]:
    return {"changed": bool(done), "changes": [change.summary() for change in done]}
