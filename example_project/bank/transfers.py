"""Placing a transfer."""

from __future__ import annotations

from django_saga import SagaHandle
from example_project.bank.models import Transfer
from example_project.bank.sagas import TransferInput, TransferSaga
from example_project.cases.placing import place


def place_transfer(draft: Transfer, *, key: str | None = None) -> tuple[Transfer, bool]:
    """Place a transfer, and say whether it is a new one. Raises ``KeyTaken``."""
    return place(draft, _start, key=key)


def _start(transfer: Transfer) -> SagaHandle:
    return TransferSaga.start(
        TransferInput(
            transfer_id=transfer.pk,
            sender=transfer.sender.number,
            recipient=transfer.recipient.number,
            amount=transfer.amount,
        ),
        idempotency_key=transfer.reference,
    )
