"""Steps with a condition: asked before they begin, and passed over when it says no."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from django_saga import OutcomeUnknown, PermanentFailure, Retry, Saga, SagaBuilder, part, signals, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import assert_compensated, assert_completed, assert_saga_invariants, saga_steps
from django_saga.testing.plan import Crash
from tests import ledger

TWICE = Retry(attempts=2, delay=60)


@dataclass
class Order:
    amount: int


@dataclass
class Approval:
    by: str


@pytest.fixture
def ran():
    """What ran, in that order."""
    return []


@pytest.fixture
def answers():
    """What the condition gives before it looks at the amount: errors that it raises."""
    return []


@pytest.fixture
def saga(lab, ran, answers):
    with registry.isolated():

        class Asked(Saga):
            name = "asked"
            input = Order

            @step
            def reserve(self, ctx):
                ran.append("reserve")

            @reserve.compensation
            def release(self, ctx):
                ran.append(f"release, approval {ctx.results.get('approve', 'none')}")

            def is_large(self, ctx):
                ran.append(f"is_large {ctx.attempt}")
                if answers:
                    raise answers.pop(0)
                return ctx.input.amount > 100

            @step(when=is_large, retry=TWICE)
            def approve(self, ctx) -> Approval:
                ran.append(f"approve {ctx.attempt}")
                return Approval("Ada")

            @approve.compensation
            def withdraw(self, ctx):
                ran.append(f"withdraw {ctx.outcome}")

            @step(no_compensation=True)
            def ship(self, ctx):
                ran.append(f"ship, approval {ctx.results[Asked.approve]}")
                return ctx.results["approve"]

        assert not Asked.program.problems
        yield Asked
        assert_saga_invariants()


def kinds(handle, step="approve"):
    told = SagaEvent.objects.filter(saga_id=handle.id, step=step).order_by("id")
    return [(event.kind, event.attempt, bool((event.data or {}).get("asking"))) for event in told]


def test_a_step_whose_condition_is_met_runs_once_the_answer_is_recorded(lab, saga, ran):
    handle = saga.start(Order(200))

    lab.run()

    assert_completed(handle)
    approval = "Approval(by='Ada')"
    assert ran == ["reserve", "is_large 1", "approve 1", f"ship, approval {approval}"]
    assert kinds(handle) == [("condition_met", 1, False), ("step_succeeded", 1, False)]


def test_a_step_whose_condition_is_not_met_is_skipped_and_its_result_is_none(lab, saga, ran):
    handle = saga.start(Order(100))

    lab.run()

    assert (handle.status, handle.result(timeout=1)) == ("completed", None)
    assert saga_steps(handle) == {"reserve": "succeeded", "approve": "skipped", "ship": "succeeded"}
    assert ran == ["reserve", "is_large 1", "ship, approval None"]
    assert kinds(handle) == [("condition_not_met", 1, False)]
    row = SagaStep.objects.get(saga_id=handle.id, name="approve")
    assert (row.reason, row.attempt, row.outcome, row.due_at) == ("condition not met", 0, "", None)


def test_what_was_skipped_is_not_undone_and_keeps_the_order_of_what_is(lab, saga, ran):
    lab.fail_at("ship", PermanentFailure("no"))
    handle = saga.start(Order(100))

    lab.run()

    assert_compensated(handle)
    assert saga_steps(handle) == {"reserve": "undone", "approve": "skipped", "ship": "failed"}
    assert ran[-1] == "release, approval None"


def test_a_condition_that_raises_is_asked_again_as_the_step_is_tried(lab, saga, ran, answers):
    answers.append(OSError("no line"))
    handle = saga.start(Order(200))

    lab.run()

    assert handle.status == "completed"
    assert ran[1:4] == ["is_large 1", "is_large 2", "approve 1"]
    assert kinds(handle)[:2] == [("step_failed", 1, True), ("condition_met", 2, False)]


@pytest.mark.parametrize("often", [[PermanentFailure("no")], [OSError("no line")] * 2])
def test_a_condition_that_gives_no_answer_fails_its_step_which_is_not_undone(lab, saga, ran, answers, often):
    answers += often
    handle = saga.start(Order(200))

    lab.run()

    assert_compensated(handle)
    assert saga_steps(handle)["approve"] == "failed"
    row = SagaStep.objects.get(saga_id=handle.id, name="approve")
    assert (row.reason, row.error) == ("condition failed", str(often[-1]))
    assert not [line for line in ran if line.startswith(("approve", "withdraw"))]


def test_an_error_that_leaves_a_step_in_doubt_says_nothing_of_it_in_a_condition(lab, saga, ran, answers):
    answers += [OutcomeUnknown("no answer"), TimeoutError()]
    handle = saga.start(Order(200))

    lab.run()

    assert_compensated(handle)
    assert [kind for kind, _, _ in kinds(handle)] == ["step_failed", "step_failed"]


def test_a_crash_while_it_is_asked_costs_no_more_than_asking_again(lab, saga, ran, answers):
    answers.append(Crash())
    handle = saga.start(Order(100))

    lab.run()

    assert saga_steps(handle)["approve"] == "skipped"
    assert kinds(handle) == [("step_unknown", 1, True), ("condition_not_met", 2, False)]


def test_after_a_crash_of_the_step_itself_it_is_not_asked_again(lab, saga, ran):
    lab.crash_at("approve", after_effect=True)
    handle = saga.start(Order(200))

    lab.run()

    assert handle.status == "completed"
    assert [line for line in ran if "large" in line or "approve" in line] == [
        "is_large 1",
        "approve 1",
        "approve 2",
    ]


def test_a_step_in_doubt_is_undone_and_never_skipped(lab, saga, ran):
    lab.fail_at("approve", OutcomeUnknown("no answer"), after_effect=True, times=2)
    handle = saga.start(Order(200))

    lab.run()

    assert saga_steps(handle)["approve"] == "undone"
    assert ran.count("is_large 1") == 1
    assert "withdraw unknown" in ran


def test_a_saga_cancelled_before_the_condition_is_asked_never_begins_the_step(lab, saga, ran):
    handle = saga.start(Order(200))
    lab.step()
    handle.cancel()

    lab.run()

    assert saga_steps(handle) == {"reserve": "undone", "approve": "skipped"}
    assert SagaStep.objects.get(saga_id=handle.id, name="approve").reason == ""


def test_a_saga_cancelled_by_the_time_of_the_answer_never_begins_the_step(lab, ran):
    with registry.isolated():

        def cancels(ctx):
            handle.cancel()
            return True

        def never(ctx):
            raise AssertionError

        built = SagaBuilder("late").step(never, when=cancels, no_compensation=True).build()
        handle = built.start()
        lab.run()

        assert (handle.status, saga_steps(handle)) == ("compensated", {"never": "skipped"})
        assert kinds(handle, "never") == [("condition_met", 1, False)]
        assert_saga_invariants()


def test_those_who_listen_hear_of_a_step_that_is_skipped_and_of_no_beginning(lab, saga):
    began, skipped = [], []
    signals.step_started.connect(on_start := lambda step, **facts: began.append(step))
    signals.step_skipped.connect(on_skip := lambda step, **facts: skipped.append(step))
    try:
        saga.start(Order(100))
        lab.run()
    finally:
        signals.step_started.disconnect(on_start)
        signals.step_skipped.disconnect(on_skip)

    assert (began, skipped) == (["reserve", "ship"], ["approve"])


def test_the_state_of_a_time_knows_what_was_skipped(lab, saga):
    handle = saga.start(Order(100))
    lab.run()

    assert handle.state_at(lab.now).steps["approve"].omitted


@pytest.mark.parametrize("amount", [100, 200])
def test_an_atomic_step_is_asked_apart_from_its_transaction(lab, amount):
    with registry.isolated():

        def book(ctx):
            ledger.effect(ctx.idempotency_key)
            return ctx.step

        built = (
            SagaBuilder("booked", input=Order)
            .step(book, atomic=True, when=lambda ctx: ctx.input.amount > 100, no_compensation=True)
            .build()
        )
        handle = built.start(Order(amount))
        lab.run()

        assert handle.result(timeout=1) == ("book" if amount > 100 else None)
        assert saga_steps(handle)["book"] == ("succeeded" if amount > 100 else "skipped")
        assert_saga_invariants()


def test_an_async_step_is_asked_in_a_thread_and_runs_on_the_loop(lab):
    with registry.isolated():

        async def call(ctx):
            return "called"

        built = SagaBuilder("async").step(call, when=lambda ctx: ctx.input, no_compensation=True).build()
        handles = [built.start(wanted) for wanted in (True, False)]
        assert set(SagaStep.objects.values_list("executor", flat=True)) == {"thread"}
        lab.step()
        assert SagaStep.objects.get(saga_id=handles[0].id).executor == "async"
        lab.run()

        assert [handle.result(timeout=1) for handle in handles] == ["called", None]


def test_a_condition_that_gives_something_to_await_is_refused(lab):
    with registry.isolated():

        async def later(ctx):
            return False

        built = (
            SagaBuilder("awaited")
            .step(lambda ctx: 1, name="one", when=lambda ctx: later(ctx), no_compensation=True)
            .build()
        )
        handle = built.start()
        lab.run()

        assert handle.status == "compensated"
        assert "call no async def in it" in SagaStep.objects.get().error


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (False, False), (True, True)])
def test_a_join_goes_on_whichever_of_its_branches_is_skipped(lab, wanted):
    with registry.isolated():

        def one(ctx):
            return "one"

        def two(ctx):
            return "two"

        def join(ctx):
            return [ctx.results["one"], ctx.results["two"]]

        built = (
            SagaBuilder("joined")
            .parallel(
                part(one, when=lambda ctx: ctx.input[0], no_compensation=True),
                part(two, when=lambda ctx: ctx.input[1], no_compensation=True),
            )
            .step(join, no_compensation=True)
            .build()
        )
        handle = built.start(list(wanted))
        lab.run()

        assert handle.result(timeout=1) == ["one" if wanted[0] else None, "two" if wanted[1] else None]
        assert_saga_invariants()


def test_a_result_that_the_saga_declares_is_none_where_its_last_step_is_skipped(lab):
    with registry.isolated():

        def approve(ctx) -> Approval:
            return Approval("Ada")

        built = (
            SagaBuilder("typed", output=Approval)
            .step(approve, when=lambda ctx: ctx.input, no_compensation=True)
            .build()
        )
        handles = [built.start(wanted) for wanted in (True, False)]
        lab.run()

        assert [handle.result(timeout=1) for handle in handles] == [Approval("Ada"), None]
