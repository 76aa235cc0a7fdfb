"""Faults of tasks as values and by name, and how they are sorted."""

from collections import deque
from typing import Any

import pytest

from nbp_async.fake import faults as f
from nbp_async.fake import task_faults as t
from nbp_async.fake.fault_injection import fault_named, poll_fault_rates_of
from nbp_async.fake.tasks.task_fault_plan import plan_of


def test_faults_of_tasks_are_values() -> None:
    assert len({t.stuck(), t.stuck(), t.lost(), t.several(t.stuck(), f.reset())}) == 3


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("stuck", t.stuck()),
        ("lost", t.lost()),
        ("failed", t.failed()),
        ("unknown", t.unknown_state()),
        ("swapped", t.swapped()),
        ("late:30", t.late(30)),
        ("hidden:7.5", t.hidden(7.5)),
    ],
)
def test_faults_of_tasks_have_names(name: str, fault: f.Fault) -> None:
    assert fault_named(name) == fault


@pytest.mark.parametrize(
    "make",
    [
        lambda: t.late(-1),
        lambda: t.hook(times=-1),
        lambda: t.look(f.bad_json()),
        lambda: t.look(t.stuck()),
        lambda: t.look(f.status(500, billed=True)),
        lambda: t.several(t.several()),
        lambda: poll_fault_rates_of("stuck=0.1"),
        lambda: poll_fault_rates_of({f.bad_image(): 0.1}),
    ],
)
def test_invalid_task_faults_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_several_faults_are_sorted_by_when_they_matter() -> None:
    plan = plan_of(t.several(f.reset(), t.look(f.ok()), t.look(f.hang()), f.no_image(), t.late(5)))
    assert plan.submit == f.reset()
    assert plan.polls == deque([f.ok(), f.hang()])
    assert plan.damage == f.no_image()
    assert plan.late == 5
    assert not plan.unbilled


@pytest.mark.parametrize(
    ("fault", "made", "unbilled"),
    [
        (None, True, False),
        (f.rate_limited(), False, False),
        (f.status(504, billed=True), True, False),
        (f.hang(), True, False),
        (f.hang(before=True), False, False),
        (f.raw(b"", before=True), False, False),
        (f.blocked(), True, True),
        (t.stuck(), True, True),
        (t.stuck(billed=True), True, False),
        (t.lost(), True, False),
        (t.lost(billed=False), True, True),
        (t.failed(), True, True),
        (t.failed(billed=True), True, False),
    ],
)
def test_a_fault_decides_whether_a_task_is_made_and_rendered(
    fault: f.Fault | None, made: bool, unbilled: bool
) -> None:
    plan = plan_of(fault)
    assert (plan.makes_task, plan.unbilled) == (made, unbilled)
