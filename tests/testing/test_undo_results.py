"""What a compensation returns is there for those that run after it."""

from __future__ import annotations

import pytest

from django_saga import PermanentFailure, Saga, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import assert_saga_invariants, saga_steps


@pytest.fixture
def seen():
    """What each compensation saw of those before it."""
    return {}


@pytest.fixture
def isolated(lab):
    with registry.isolated():
        yield
        assert_saga_invariants()


def chain(seen, returned):
    class ChainSaga(Saga):
        name = "undo_results"

        @step
        def reserve(self, ctx): ...

        @reserve.compensation
        def release(self, ctx):
            seen["release"] = dict(ctx.undone.items())
            seen["by step"] = ctx.undone.get(type(self).charge)
            seen["by compensation"] = ctx.undone.get(type(self).refund)

        @step
        def charge(self, ctx):
            return {"charge": 1}

        @charge.compensation
        def refund(self, ctx):
            seen["refund"] = dict(ctx.undone.items())
            return returned

        @step(no_compensation=True)
        def ship(self, ctx):
            raise PermanentFailure("no van")

    return ChainSaga


def test_a_compensation_sees_what_those_before_it_returned(lab, isolated, seen):
    saga = chain(seen, {"credit_note": 7}).start()

    lab.run()

    assert saga.status == "compensated"
    found = {"credit_note": 7}
    assert seen == {"refund": {}, "release": {"charge": found}, "by step": found, "by compensation": found}
    assert SagaStep.objects.get(saga_id=saga.id, name="charge").undo_result == found
    assert SagaStep.objects.get(saga_id=saga.id, name="charge").result == {"charge": 1}


def test_a_compensation_that_returns_nothing_leaves_nothing(lab, isolated, seen):
    saga = chain(seen, None).start()

    lab.run()

    assert seen == {"refund": {}, "release": {}, "by step": None, "by compensation": None}
    assert saga.status == "compensated"


def test_what_is_not_json_is_left_out_and_holds_nothing_up(lab, isolated, seen):
    saga = chain(seen, object()).start()

    lab.run()

    assert saga_steps(saga) == {"reserve": "undone", "charge": "undone", "ship": "failed"}
    assert seen["release"] == {}
    told = SagaEvent.objects.get(saga_id=saga.id, step="charge", kind="step_succeeded", data__undo=True)
    assert told.error.startswith("what the compensation returned was not kept: result of the compensation of")


def test_what_is_asked_for_and_is_not_there_is_an_error_that_says_what_is(lab, isolated):
    class AskingSaga(Saga):
        name = "undo_results_asking"

        @step
        def reserve(self, ctx): ...

        @reserve.compensation
        def release(self, ctx):
            with pytest.raises(
                KeyError, match=r"nothing that the compensation of 'chrge' returned.*: charge"
            ):
                ctx.undone["chrge"]

        @step
        def charge(self, ctx): ...

        @charge.compensation
        def refund(self, ctx):
            return 1

        @step(no_compensation=True)
        def ship(self, ctx):
            raise PermanentFailure("no van")

    assert AskingSaga.run().status == "compensated"


def test_in_a_graph_the_results_of_all_branches_are_there_however_it_was_carried(lab, isolated, seen):
    class GraphSaga(Saga):
        name = "undo_results_graph"

        @step
        def begin(self, ctx): ...

        @begin.compensation
        def unbegin(self, ctx):
            seen.update(ctx.undone)

        @step(after=[begin])
        def left(self, ctx): ...

        @left.compensation
        def unleft(self, ctx):
            return "left"

        @step(after=[begin])
        def right(self, ctx): ...

        @right.compensation(atomic=True)
        def unright(self, ctx):
            return ["right", 2]

        @step(after=[left, right], no_compensation=True)
        def join(self, ctx):
            raise PermanentFailure("no")

    saga = GraphSaga.start()

    lab.run()

    assert (saga.status, seen) == ("compensated", {"left": "left", "right": ["right", 2]})
