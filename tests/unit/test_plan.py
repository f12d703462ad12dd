"""A plan is applied stage by stage, stops at the first failure, and is made anew after a conflict."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.quayside.registry.plugins.module_utils.errors import Conflict, RegistryError
from ansible_collections.quayside.registry.plugins.module_utils.plan import (
    ATTEMPTS,
    Change,
    Plan,
    apply,
    converge,
    diff,
    hide,
)


def change(name: str, stage: int = 0, action: str = "create") -> Change:
    return Change(action, "Thing", name, "ns", None, {"name": name}, stage)


def test_lower_stages_are_finished_before_higher_ones_begin() -> None:
    order: list[str] = []
    apply([change("c", 2), change("a"), change("b", 1)], lambda item: order.append(item.name), [])
    assert order == ["a", "b", "c"]


def test_changes_of_a_stage_run_at_the_same_time() -> None:
    barrier = threading.Barrier(4, timeout=5)  # breaks unless four writers meet
    done: list[Change] = []
    apply([change(str(number)) for number in range(4)], lambda _item: barrier.wait(), done)
    assert len(done) == 4


def test_a_failure_stops_what_has_not_begun_and_tells_what_was_done() -> None:
    def write(item: Change) -> None:
        if item.name == "bad":
            raise RegistryError("no")

    plan = Plan([change("good"), change("bad", 1), change("never", 2)])
    with pytest.raises(RegistryError) as failure:
        converge(lambda: plan, write, check_mode=False)
    assert failure.value.details == {"changed": True, "changes": [change("good").summary()]}


def test_check_mode_writes_nothing_and_reports_the_same_changes() -> None:
    written: list[Change] = []
    plan = Plan([change("a"), change("b")])
    predicted = converge(lambda: plan, written.append, check_mode=True)
    assert not written
    assert converge(lambda: plan, written.append, check_mode=False).changes == predicted.changes


def test_changes_are_reported_in_the_order_of_the_plan() -> None:
    last = threading.Event()

    def write(item: Change) -> None:
        if item.name == "b":
            last.set()
        elif item.stage == 0:
            assert last.wait(5)

    changes = [change("z", 1), change("a"), change("b")]
    predicted = converge(lambda: Plan(list(changes)), write, check_mode=True).changes
    assert [item.name for item in predicted] == ["a", "b", "z"]
    assert converge(lambda: Plan(list(changes)), write, check_mode=False).changes == predicted


def test_a_conflict_is_planned_anew() -> None:
    answers = [Conflict("someone else"), None]
    plans = iter([Plan([change("a")]), Plan([change("b")])])

    def write(_item: Change) -> None:
        answer = answers.pop(0)
        if answer:
            raise answer

    outcome = converge(lambda: next(plans), write, check_mode=False, pause=lambda _seconds: None)
    assert [item.name for item in outcome.changes] == ["b"]


def test_a_conflict_that_never_ends_fails() -> None:
    pauses: list[float] = []

    def write(_item: Change) -> None:
        raise Conflict("Could not update it: modified.")

    with pytest.raises(RegistryError, match=f"{ATTEMPTS} times in a row"):
        converge(lambda: Plan([change("a")]), write, check_mode=False, pause=pauses.append)
    assert len(pauses) == ATTEMPTS - 1


def test_hidden_values_tell_only_whether_they_change() -> None:
    before, after = hide({"kept": "x", "changed": "x", "gone": "x"}, {"kept": "x", "changed": "y", "new": "z"})
    assert before == {"kept": "VALUE_HIDDEN", "changed": "VALUE_HIDDEN", "gone": "VALUE_HIDDEN"}
    assert after == {"kept": "VALUE_HIDDEN", "changed": "VALUE_HIDDEN_NEW", "new": "VALUE_HIDDEN_NEW"}


def test_diff_names_each_change() -> None:
    (entry,) = diff([change("a")])
    assert entry["before"] == ""
    assert '"name": "a"' in entry["after"]
    assert entry["after_header"] == "create Thing ns/a (after)"
