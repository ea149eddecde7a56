"""A dead compensation on real rows: what each policy undoes beside it, and that a retry undoes the rest."""

from __future__ import annotations

import pytest

from django_saga import CompensationPolicy, PermanentFailure, Retry, Saga, operations, runtime, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaStep
from django_saga.testing import assert_saga_invariants

pytestmark = pytest.mark.django_db(transaction=True)

# Of plan, pay, hotel and trip. The compensations of pay and trip have their turn first, together.
LEFT = {
    CompensationPolicy.CONTINUE: ("undone", "undo_failed", "undone", "undone"),
    CompensationPolicy.STOP: ("succeeded", "undo_failed", "succeeded", "undone"),
    CompensationPolicy.SKIP_DEPENDENTS: ("succeeded", "undo_failed", "undone", "undone"),
}


@pytest.fixture
def undone():
    """The compensations that were run, in order; ``pay`` fails as long as the bank is closed."""
    return []


@pytest.fixture
def make(undone):
    with registry.isolated():

        def define(policy: CompensationPolicy) -> type[Saga]:
            class TripSaga(Saga):
                compensation_policy = policy

                @step
                def plan(self, ctx): ...

                @plan.compensation
                def forget(self, ctx):
                    undone.append("plan")

                @step
                def pay(self, ctx): ...

                @pay.compensation(retry=Retry(attempts=1))
                def pay_back(self, ctx):
                    undone.append("pay")
                    if undone.count("pay") == 1:
                        raise RuntimeError("the bank is closed")

                @step(after=[plan])
                def hotel(self, ctx): ...

                @hotel.compensation
                def cancel_hotel(self, ctx):
                    undone.append("hotel")

                @step
                def trip(self, ctx): ...

                @trip.compensation(retry=Retry(delay=0.01))
                def cancel_trip(self, ctx):
                    if "pay" not in undone:
                        raise RuntimeError("not before the bank was asked")
                    undone.append("trip")

                @step(after=[pay, trip], no_compensation=True)
                def go(self, ctx):
                    raise PermanentFailure("no ship today")

            return TripSaga

        yield define


def work() -> None:
    runtime.build_worker(using="default", concurrency=1, once=True).run()


def statuses(saga) -> tuple[str, ...]:
    found = dict(SagaStep.objects.filter(saga_id=saga.id).values_list("name", "status"))
    return found["plan"], found["pay"], found["hotel"], found["trip"]


@pytest.mark.fault("F46")
@pytest.mark.parametrize("policy", CompensationPolicy)
def test_the_policy_says_what_is_undone_beside_a_dead_compensation(make, policy, undone):
    saga = make(policy).run()

    assert (saga.status, statuses(saga)) == ("stuck", LEFT[policy])
    assert_saga_invariants()

    operations.retry_compensation(saga.id, "pay", by="ada", why="the bank is open")
    work()

    assert (saga.status, statuses(saga)) == ("compensated", ("undone",) * 4)
    assert sorted(undone) == ["hotel", "pay", "pay", "plan", "trip"]
    assert_saga_invariants()


@pytest.mark.fault("F46")
@pytest.mark.parametrize("policy", CompensationPolicy)
def test_what_a_dead_compensation_held_back_is_undone_once_it_is_skipped(make, policy, undone):
    saga = make(policy).run()
    undone.append("pay")  # by hand

    operations.skip_compensation(saga.id, "pay", by="ada", why="paid back in cash")
    work()

    assert (saga.status, statuses(saga)) == ("compensated", ("undone",) * 4)
    assert sorted(undone) == ["hotel", "pay", "pay", "plan", "trip"]
    assert_saga_invariants()


def test_another_policy_is_another_version():
    with registry.isolated():

        class Kept(Saga):
            @step(no_compensation=True)
            def only(self, ctx): ...

        class Changed(Kept):
            compensation_policy = CompensationPolicy.STOP

    assert Kept.program.definition.fingerprint != Changed.program.definition.fingerprint
