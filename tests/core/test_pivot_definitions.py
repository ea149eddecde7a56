"""What may be wrong with a pivot and with what is to happen past it, and how stand-ins stand in the graph."""

from __future__ import annotations

import pytest

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.states import ForwardRecovery
from django_saga.core.validation import problems

UNDO = UndoDefinition(function="refund")
ALTERNATE = ForwardRecovery.ALTERNATE
SINGLE = (ForwardRecovery.MANUAL, ForwardRecovery.RETRY, ForwardRecovery.SKIP)


def step(name, after="", **options):
    return StepDefinition(name=name, after=tuple(after), **options)


def saga(*steps, **options):
    return SagaDefinition(name="order", steps=steps, **options)


RESERVE = step("a", undo=UNDO)
PAY = step("p", "a", pivot=True)
SHIP = step("s", "p", forward_recovery=ALTERNATE, alternate="t")
POST = step("t", "p")
THANK = step("u", "s")
ORDER = saga(RESERVE, PAY, SHIP, POST, THANK)


@pytest.mark.parametrize(
    "right",
    [
        ORDER,
        saga(RESERVE, step("p", "a", pivot=True, undo=UNDO), step("s", "p")),
        saga(step("p", pivot=True), *(step(r, "p", forward_recovery=r) for r in SINGLE)),
        saga(RESERVE, PAY, step("s", "p", forward_recovery=ForwardRecovery.COMPENSATE)),
    ],
)
def test_a_right_pivot_has_no_problem_and_nothing_past_it_has_to_say_that_it_needs_no_compensation(right):
    assert problems(right) == []


@pytest.mark.parametrize(
    ("wrong", "code", "at", "said"),
    [
        (saga(RESERVE, PAY, step("q", "p", pivot=True)), "second-pivot", "q", "so is 'p'"),
        (saga(RESERVE, PAY, step("b", "a", undo=UNDO)), "beside-pivot", "b", "beside the pivot 'p'"),
        (saga(RESERVE, PAY, step("s", "p", undo=UNDO)), "compensated-past-pivot", "s", "'refund'"),
        (saga(step("a", undo=UNDO, forward_recovery=ForwardRecovery.SKIP)), "forward-recovery", "a", "pivot"),
        (saga(RESERVE, PAY, step("s", "p", forward_recovery="skp")), "forward-recovery", "s", "'skp'"),
        (saga(RESERVE, PAY, step("s", "p", forward_recovery=ALTERNATE)), "alternate", "s", "which step"),
        (
            saga(RESERVE, PAY, step("ship", "p", forward_recovery=ALTERNATE, alternate="pst"), POST),
            "alternate",
            "ship",
            "'pst' is not a step",
        ),
        (
            saga(RESERVE, PAY, step("s", "p", forward_recovery=ALTERNATE, alternate="s")),
            "alternate",
            "s",
            "itself",
        ),
        (
            saga(RESERVE, PAY, SHIP, step("v", "p", forward_recovery=ALTERNATE, alternate="t"), POST),
            "alternate",
            "t",
            "both 's' and 'v'",
        ),
        (saga(RESERVE, PAY, SHIP, POST, step("u", "t")), "alternate", "u", "comes after 't'"),
    ],
)
def test_a_wrong_pivot_has_this_one_problem(wrong, code, at, said):
    [problem] = problems(wrong)

    assert (problem.code, problem.step) == (code, at)
    assert said in problem.message
    assert problem.hint


def test_stand_ins_that_stand_in_for_each_other_are_a_problem_and_not_a_hang():
    one = step("s", "p", forward_recovery=ALTERNATE, alternate="t")
    other = step("t", "p", forward_recovery=ALTERNATE, alternate="s")

    assert {problem.code for problem in problems(saga(RESERVE, PAY, one, other))} == {"alternate"}


def test_a_stand_in_stands_between_its_step_and_what_waits_for_that():
    assert ORDER.roots == ("a",)
    assert ORDER.sinks == ("u",)
    assert ORDER.opens == {"a": ("p",), "p": ("s",), "s": ("u",), "t": ("u",), "u": ()}
    assert ORDER.order == ("a", "p", "s", "t", "u")
    assert ORDER.ancestors["u"] == {"a", "p", "s", "t"}
    assert ORDER.past_pivot == {"s", "t", "u"}
    assert ORDER.is_chain
    assert all(not others for others in ORDER.consulted.values()), "recording a success reads one row"


def test_the_pivot_and_what_happens_past_it_are_part_of_the_fingerprint():
    without = saga(RESERVE, step("p", "a", no_compensation=True), step("s", "p", no_compensation=True))
    pivot = saga(RESERVE, PAY, step("s", "p", no_compensation=True))
    skips = saga(RESERVE, PAY, step("s", "p", no_compensation=True, forward_recovery=ForwardRecovery.SKIP))

    assert len({without.fingerprint, pivot.fingerprint, skips.fingerprint}) == 3
