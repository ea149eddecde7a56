"""Answers that a test plans for steps that wait, and the matrix of sagas that wait."""

from __future__ import annotations

import pytest

from django_saga import PermanentFailure
from django_saga.testing import assert_compensated, assert_completed, saga_matrix, saga_steps, saga_story
from tests.sagas.outside_sagas import InvoiceSaga, RefundSaga
from tests.sagas.remote_sagas import OrderSaga


def test_a_step_that_waits_gets_its_answer_before_its_time_is_up(lab, ledger):
    lab.answer(InvoiceSaga.paid, {"amount": 1})
    lab.answer("approved", {"amount": "2.00"})
    began = lab.now
    order, refund = InvoiceSaga.start("order-42"), RefundSaga.start()

    lab.run()

    assert_completed(order)
    assert refund.result(timeout=0)["approved_by"] == "the test"
    assert lab.now == began


def test_an_answer_is_for_a_step_that_there_is(lab):
    with pytest.raises(ValueError, match="payed"):
        lab.answer("payed")


@pytest.mark.django_db
@pytest.mark.parametrize("case", [*saga_matrix(InvoiceSaga), *saga_matrix(RefundSaga)])
def test_a_saga_that_waits_ends_well_whatever_goes_wrong(case, ledger):
    with case.run("order-42", answers={"paid": 1, "approved": {"amount": "2.00"}}) as saga:
        assert saga.status in ("completed", "compensated")


def test_a_command_is_answered_and_so_is_the_one_that_undoes_it(lab, ledger):
    lab.answer("reserve", {"left": 4})
    sent, kept = OrderSaga.start({"item": "shoe", "address": "here"}), OrderSaga.start({"item": "shoe"})

    lab.run()

    assert sent.result(timeout=0) == {"left": 4}
    assert_compensated(kept)
    assert saga_steps(kept)["reserve"] == "undone"


def test_a_command_that_is_to_fail_does(lab, ledger):
    lab.answer("reserve", PermanentFailure("sold out"))
    order = OrderSaga.start({"item": "shoe"})

    lab.run()

    assert_compensated(order)
    assert "stock.reserve failed: sold out" in saga_story(order)


@pytest.mark.django_db
@pytest.mark.parametrize("case", saga_matrix(OrderSaga))
def test_a_saga_with_a_remote_step_ends_well_whatever_goes_wrong(case, ledger):
    with case.run({"item": "shoe", "address": "here"}, answers={"reserve": 1}) as saga:
        assert saga.status in ("completed", "compensated")
