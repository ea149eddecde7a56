"""The books of the bank: money is neither made nor lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from example_project.bank.models import Account, Transfer
from example_project.bank.sagas import TransferSaga
from example_project.cases.books import Books, End, end_of


class TransferBooks(Books[Transfer]):
    """Transfers, and the entries on the accounts."""

    cases = Transfer
    saga = TransferSaga.name
    promise = "transfers moved money and neither made nor lost any"

    def rows(self) -> Any:
        return Transfer.objects.prefetch_related("entries")

    def problems(self, cases: Sequence[Transfer]) -> Iterable[str]:
        for transfer in cases:
            yield from _transfer_problems(transfer)
        yield from _account_problems()


def _transfer_problems(transfer: Transfer) -> Iterator[str]:
    end = end_of(transfer)
    if end is None:
        yield f"{transfer.reference}: it and its saga do not tell the same end."
    if end not in {End.COMPLETED, End.UNDONE}:
        return
    moved = {transfer.sender_id: Decimal(0), transfer.recipient_id: Decimal(0)}
    for entry in transfer.entries.all():
        moved[entry.account_id] = moved.get(entry.account_id, Decimal(0)) + entry.amount
    due = transfer.amount if end is End.COMPLETED else Decimal(0)
    if moved != {transfer.sender_id: -due, transfer.recipient_id: due}:
        yield f"{transfer.reference} is {end.value} and should have moved {due}, but moved {moved}."


def _account_problems() -> Iterator[str]:
    for account in Account.objects.prefetch_related("entries"):
        # Added up here: SQLite would do it with floats.
        expected = account.opened_with + sum(entry.amount for entry in account.entries.all())
        if account.balance != expected:
            yield f"Account {account} should have {expected} by its entries, but has {account.balance}."
