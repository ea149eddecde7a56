"""Answers that a test plans for steps that wait, and the matrix of sagas that wait."""

from __future__ import annotations

import pytest

from django_saga.testing import assert_completed, saga_matrix
from tests.sagas.outside_sagas import InvoiceSaga, RefundSaga


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
