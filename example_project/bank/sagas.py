"""The saga of a transfer, written as a class.

It shows semantic locks that wait for their turn, atomic steps, a pivot, and forward recovery past it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.core.mail import send_mail

from django_saga import Context, ForwardRecovery, LockPolicy, PermanentFailure, Retry, Saga, step
from example_project.bank.models import Account, Entry, Transfer
from example_project.cases.models import CaseStatus


@dataclass(frozen=True, slots=True)
class TransferInput:
    """What the saga has to know of a transfer; accounts by number."""

    transfer_id: int
    sender: str
    recipient: str
    amount: Decimal


class TransferSaga(Saga):
    """Take the money from one account, put it on the other, tell who gets it."""

    name = "transfer"
    input = TransferInput
    # Between debit and credit the money is on neither account. Who reads, checks or moves the balances of the
    # two meanwhile would see a state that is not there in the end: other transfers wait for this one.
    lock_policy = LockPolicy.WAIT

    @staticmethod
    def locks(input: TransferInput) -> list[str]:
        return [f"account:{input.sender}", f"account:{input.recipient}"]

    @step(atomic=True)
    def accept(self, ctx: Context) -> None:
        Transfer.put(ctx.input.transfer_id, CaseStatus.PROCESSING)

    @accept.compensation(atomic=True)
    def cancel(self, ctx: Context) -> None:
        Transfer.put(ctx.input.transfer_id, CaseStatus.CANCELLED, reason=ctx.error)

    @step(atomic=True)
    def debit(self, ctx: Context) -> None:
        wanted = ctx.input
        if not _move(wanted.transfer_id, wanted.sender, -wanted.amount):
            raise PermanentFailure(f"Account {wanted.sender} does not have {wanted.amount}.")

    @debit.compensation(atomic=True)
    def give_back(self, ctx: Context) -> None:
        _move(ctx.input.transfer_id, ctx.input.sender, ctx.input.amount)

    # What is on the other account belongs to somebody else: from here on the transfer only goes forward.
    @step(atomic=True, pivot=True)
    def credit(self, ctx: Context) -> None:
        wanted = ctx.input
        if not Account.objects.filter(number=wanted.recipient, is_open=True).exists():
            raise PermanentFailure(f"Account {wanted.recipient} is closed.")
        _move(wanted.transfer_id, wanted.recipient, wanted.amount)

    @step(atomic=True, forward_recovery=ForwardRecovery.RETRY)
    def complete(self, ctx: Context) -> None:
        Transfer.put(ctx.input.transfer_id, CaseStatus.COMPLETED)

    # The transfer stands, even if nobody can be told of it.
    @step(retry=Retry(attempts=4), timeout=30, forward_recovery=ForwardRecovery.SKIP)
    def notify(self, ctx: Context) -> None:
        wanted = ctx.input
        account = Account.objects.get(number=wanted.recipient)
        if not account.email:
            raise PermanentFailure(f"{account.owner} has no mail address.")
        send_mail(
            "Money has arrived",
            f"{wanted.amount} came from account {wanted.sender}.",
            from_email=None,
            recipient_list=[account.email],
        )


def _move(transfer_id: int, number: str, amount: Decimal) -> bool:
    """Book ``amount``, which is negative for a debit; False when the account has too little.

    The row is locked, and the sum made here and not by the database: SQLite adds decimals as floats.
    """
    account = Account.objects.select_for_update().get(number=number)
    if account.balance + amount < 0:
        return False
    account.balance += amount
    account.save(update_fields=["balance"])
    Entry.objects.create(account=account, transfer_id=transfer_id, amount=amount)
    return True
