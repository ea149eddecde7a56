"""The transfer saga, whatever goes wrong: `manage.py test example_project.bank`."""

from __future__ import annotations

from decimal import Decimal

from django.core import mail
from django.test import TestCase

from django_saga.testing import SagaLab, assert_compensated, assert_completed, saga_matrix, saga_steps
from example_project.bank.books import TransferBooks
from example_project.bank.models import Account, Transfer
from example_project.bank.sagas import TransferInput, TransferSaga
from example_project.bank.transfers import place_transfer
from example_project.cases.progress import with_sagas

AMOUNT = Decimal("30.00")


class TransferSagaTests(TestCase):
    def setUp(self) -> None:
        self.ada, self.bo = (
            Account.objects.create(
                number=number, owner=owner, email=f"{owner}@example.org", opened_with=100, balance=100
            )
            for number, owner in (("A-1", "ada"), ("A-2", "bo"))
        )

    def balances(self) -> list[Decimal]:
        return list(Account.objects.order_by("number").values_list("balance", flat=True))

    def transfer(self, amount: Decimal = AMOUNT) -> Transfer:
        return Transfer(sender=self.ada, recipient=self.bo, amount=amount)

    def test_the_money_is_on_one_account_or_on_the_other_whatever_goes_wrong(self) -> None:
        for case in saga_matrix(TransferSaga):
            with self.subTest(str(case)):
                books = TransferBooks()
                transfer = self.transfer()
                transfer.save()
                wanted = TransferInput(transfer.pk, "A-1", "A-2", AMOUNT)
                with case.run(wanted) as saga:
                    moved = AMOUNT if saga_steps(saga).get("credit") == "succeeded" else Decimal(0)
                    assert self.balances() == [100 - moved, 100 + moved]
                    assert (saga.status == "compensated") is not bool(moved)
                    if saga_steps(saga)["accept"] != "failed":
                        Transfer.objects.filter(pk=transfer.pk).update(saga_id=saga.id)
                        assert list(books.problems(books.read())) == []

    def test_a_transfer_to_a_closed_account_is_given_back(self) -> None:
        Account.objects.filter(pk=self.bo.pk).update(is_open=False)
        with SagaLab() as lab:
            transfer, _ = place_transfer(self.transfer())
            lab.run()

            transfer.refresh_from_db()
            assert (transfer.status, transfer.reason) == (
                "cancelled",
                "failed at credit: Account A-2 is closed.",
            )
            assert self.balances() == [100, 100]
            assert [entry.amount for entry in transfer.entries.all()] == [-AMOUNT, AMOUNT]

    def test_what_an_account_does_not_have_is_not_moved(self) -> None:
        with SagaLab() as lab:
            transfer, _ = place_transfer(self.transfer(Decimal(101)))
            lab.run()

            transfer.refresh_from_db()
            assert transfer.reason == "failed at debit: Account A-1 does not have 101."

    def test_a_transfer_stands_though_nobody_can_be_told_of_it(self) -> None:
        Account.objects.filter(pk=self.bo.pk).update(email="")
        with SagaLab() as lab:
            transfer, _ = place_transfer(self.transfer())
            lab.run()

            [transfer] = with_sagas([transfer])
            saga = transfer.saga
            assert saga
            assert (saga.status, saga.reason) == ("completed", "step skipped")
            assert self.balances() == [70, 130]
            assert mail.outbox == []

    def test_transfers_of_one_account_wait_for_each_other(self) -> None:
        with SagaLab() as lab:
            first, second = (
                TransferSaga.start(TransferInput(self.saved(), "A-1", "A-2", AMOUNT)) for _ in range(2)
            )
            assert (first.status, second.status) == ("running", "pending")
            lab.run()

            assert_completed(first)
            assert_completed(second)
            assert self.balances() == [40, 160]
            assert [sent.to for sent in mail.outbox] == [["bo@example.org"]] * 2

    def test_of_two_that_want_the_last_money_one_gets_it(self) -> None:
        with SagaLab() as lab:
            first, second = (
                TransferSaga.start(TransferInput(self.saved(), "A-1", "A-2", Decimal(80))) for _ in range(2)
            )
            lab.run()

            assert_completed(first)
            assert_compensated(second)
            assert self.balances() == [20, 180]

    def saved(self) -> int:
        transfer = self.transfer()
        transfer.save()
        return transfer.pk
