"""What operators do to a saga: done or refused, and recorded either way."""

from uuid import uuid4

import pytest

from django_saga import (
    OperationRefused,
    PermanentFailure,
    Retry,
    Saga,
    SagaNotFound,
    operations,
    runtime,
    step,
)
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaOperation, SagaStep
from django_saga.testing import assert_saga_invariants
from tests.commands.screen import written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bank():
    """Whether the bank is open: while it is closed a refund is dead after its first attempt."""
    return {"open": False}


@pytest.fixture
def saga(bank):
    with registry.isolated():

        class OrderSaga(Saga):
            @step
            def charge(self, ctx):
                return {"charge": 1}

            @charge.compensation(retry=Retry(attempts=1))
            def refund(self, ctx):
                if not bank["open"]:
                    raise RuntimeError("the bank is closed")

            @step(no_compensation=True)
            def ship(self, ctx):
                raise PermanentFailure("no parcels today")

        yield OrderSaga
        assert_saga_invariants()


def recorded() -> list[tuple[str, ...]]:
    rows = SagaOperation.objects.order_by("pk")
    return list(rows.values_list("action", "step", "actor", "why", "result", "before", "after"))


@pytest.mark.parametrize("as_given", [str, lambda key: key], ids=["text", "uuid"])
def test_a_saga_under_way_is_cancelled_by_its_id(saga, as_given):
    handle = saga.start()

    operations.cancel(as_given(handle.id), by="ada", why="ordered twice")

    assert handle.status == "compensated"
    assert recorded() == [("cancel", "", "ada", "ordered twice", "done", "running", "compensated")]


def test_a_dead_compensation_is_tried_again_and_ends_the_saga(saga, bank):
    handle = saga.run()
    assert handle.status == "stuck"

    bank["open"] = True
    operations.retry_compensation(str(handle.id), "charge", by="ada", why="the bank is open")
    assert handle.status == "compensating"
    runtime.build_worker(using="default", once=True).run()

    assert handle.status == "compensated"
    assert recorded() == [
        ("retry compensation", "charge", "ada", "the bank is open", "done", "stuck", "compensating")
    ]


@pytest.mark.fault("F46")
def test_a_dead_compensation_is_skipped_with_a_reason_and_the_saga_ends(saga, bank):
    handle = saga.run()

    operations.skip_compensation(handle.id, "charge", by="ada", why="refunded in the branch office")

    row = SagaStep.objects.get(saga_id=handle.id, name="charge")
    assert (handle.status, row.status, row.reason) == ("compensated", "undone", "compensation skipped")
    assert "the bank is closed" in row.error
    assert recorded() == [
        (
            *("skip compensation", "charge", "ada", "refunded in the branch office"),
            *("done", "stuck", "compensated"),
        )
    ]
    told = SagaEvent.objects.get(saga_id=handle.id, kind="undo_skipped")
    assert (told.step, told.error) == ("charge", "refunded in the branch office")
    shown = written("saga_show", str(handle.id))
    assert "└─ compensation skipped\n" in shown
    assert "an operator skipped the compensation of charge: refunded in the branch office" in shown
    assert "What to do" not in shown


@pytest.mark.fault("F46")
@pytest.mark.parametrize("why", ["", "  "])
def test_a_compensation_is_not_skipped_without_a_reason(saga, why):
    handle = saga.run()

    with pytest.raises(ValueError, match="skip_compensation of step charge: say why"):
        operations.skip_compensation(handle.id, "charge", by="ada", why=why)

    assert (handle.status, recorded()) == ("stuck", [])


@pytest.mark.fault("F53")
def test_only_a_dead_compensation_is_skipped(saga, bank):
    under_way, stuck = saga.start(), saga.run()

    with pytest.raises(OperationRefused, match="running takes no event undo_skipped"):
        operations.skip_compensation(under_way.id, "charge", by="ada", why="just so")
    for name, found in (("ship", "failed"), ("nobody", "not opened")):
        with pytest.raises(OperationRefused, match=f"step {name} is {found}: only a dead compensation"):
            operations.skip_compensation(stuck.id, name, by="ada", why="just so")

    assert [row[4:] for row in recorded()] == [
        ("refused", "running", "running"),
        *[("refused", "stuck", "stuck")] * 2,
    ]


@pytest.mark.fault("F53")
def test_what_the_state_does_not_allow_is_refused_and_recorded(saga):
    handle = saga.run()

    with pytest.raises(OperationRefused, match="stuck takes no event cancel_requested"):
        operations.cancel(handle.id, by="ada")
    with pytest.raises(OperationRefused, match="step ship is failed"):
        operations.retry_compensation(handle.id, "ship", by="ada")

    assert recorded() == [
        ("cancel", "", "ada", "", "refused", "stuck", "stuck"),
        ("retry compensation", "ship", "ada", "", "refused", "stuck", "stuck"),
    ]


@pytest.mark.fault("F53")
def test_a_saga_whose_code_is_gone_is_left_alone_and_the_refusal_recorded(saga):
    under_way, stuck = saga.start(), saga.run()

    with registry.isolated():
        with pytest.raises(OperationRefused, match=r"cancel refused .*: No saga is named 'order'"):
            operations.cancel(under_way.id, by="ada")
        with pytest.raises(OperationRefused, match=r"retry compensation refused .*: No saga is named"):
            operations.retry_compensation(stuck.id, "charge", by="ada")

    assert (under_way.status, stuck.status) == ("running", "stuck")
    assert recorded() == [
        ("cancel", "", "ada", "", "refused", "running", "running"),
        ("retry compensation", "charge", "ada", "", "refused", "stuck", "stuck"),
    ]


@pytest.mark.fault("F53")
def test_an_ended_saga_is_not_touched(saga, bank):
    bank["open"] = True
    handle = saga.run()

    for action in (operations.cancel, lambda key, by: operations.retry_compensation(key, "charge", by=by)):
        with pytest.raises(OperationRefused, match="a saga that is compensated takes no event"):
            action(handle.id, by="ada")

    assert [result for _, _, _, _, result, _, _ in recorded()] == ["refused", "refused"]
    assert handle.status == "compensated"


@pytest.mark.parametrize("unknown", [uuid4(), str(uuid4()), "order-4711"])
def test_an_id_that_nothing_has_is_not_found(saga, unknown):
    with pytest.raises(SagaNotFound, match=str(unknown)):
        operations.cancel(unknown, by="ada")

    assert recorded() == []
