"""In the test classes of Django, which know no fixtures."""

from __future__ import annotations

from typing import ClassVar

import pytest
from django.test import TestCase, TransactionTestCase

from django_saga.testing import (
    SagaLab,
    assert_compensated,
    assert_completed,
    assert_saga_invariants,
    saga_matrix,
)
from tests.ledger import effects
from tests.models import Account
from tests.sagas import lab_sagas
from tests.sagas.lab_sagas import Bank, LabSaga

FIVE = {"amount": 5}


@pytest.mark.usefixtures("bank")
class LabInTestCase(TestCase):
    account: ClassVar[Account]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.account = Account.objects.create(name="ada", balance=5)

    def setUp(self) -> None:
        self.lab = self.enterContext(SagaLab())

    def tearDown(self) -> None:
        assert_saga_invariants()

    def test_a_saga_is_carried_in_the_transaction_of_the_test(self) -> None:
        self.lab.crash_at("reserve", after_effect=True)

        saga = LabSaga.run({"amount": self.account.balance})

        assert_completed(saga)
        assert effects() == {f"{saga.id}:reserve:do": 1}

    def test_nothing_of_another_test_is_there(self) -> None:
        assert (effects(), self.lab.step()) == ({}, None)


@pytest.mark.usefixtures("bank")
class LabInTransactionTestCase(TransactionTestCase):
    def test_a_saga_is_carried_with_every_step_committed(self) -> None:
        with SagaLab() as lab:
            saga = LabSaga.start(FIVE)
            lab.fail_at("ship")
            lab.run()

        assert_compensated(saga)
        assert sorted(effects()) == [f"{saga.id}:reserve:{way}" for way in ("do", "undo")]


class MatrixInTestCase(TestCase):
    def test_every_case_is_a_subtest_that_leaves_nothing_behind(self) -> None:
        for case in saga_matrix(LabSaga):
            lab_sagas.bank = bank = Bank()
            with self.subTest(str(case)), case.run(FIVE) as saga:
                assert bank.balance == (6 if saga.status == "completed" else 0)
            assert effects() == {}
