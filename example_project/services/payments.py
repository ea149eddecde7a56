"""The fake payment service: ``POST /charges``, ``/refunds`` and ``/inquiries``."""

import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from example_project.services.inquiries import inquire
from example_project.services.ledger import Answer, Book, Request
from example_project.services.server import BadCall, Service, main, parser, text_field

REFUSED_CARDS = {
    "tok_declined": "The card was declined.",
    "tok_expired": "The card has expired.",
    "tok_stolen": "The card was reported stolen.",
}


def charge(request: Request, book: Book) -> Answer:
    """Take ``amount`` from ``card`` for ``reference``."""
    amount = _money(request.body)
    card = text_field(request.body, "card")
    if book.is_closed():
        return Answer(
            410, {"error": f"Payments for {request.reference} were refunded; none is taken any more."}
        )
    if card in REFUSED_CARDS:
        return Answer(422, {"error": REFUSED_CARDS[card]})
    number = book.record(str(amount))
    return Answer(201, {"charge_id": f"ch_{number:06}", "amount": str(amount)})


def refund(request: Request, book: Book) -> Answer:
    """Give back what was charged for ``reference``, and let nothing be charged for it later.

    The caller may not know whether there was a charge, so having none is no error; and the charge
    that it gave up waiting for may still be under way, so the reference is closed.
    """
    book.close()
    charged = sum((Decimal(row["amount"]) for row in book.effects("charges")), Decimal(0))
    refunded = sum((Decimal(row["amount"]) for row in book.effects("refunds")), Decimal(0))
    due = charged - refunded
    if not due:
        return Answer(200, {"refund_id": None, "amount": "0"})
    number = book.record(str(due))
    return Answer(201, {"refund_id": f"re_{number:06}", "amount": str(due)})


def _money(body: dict[str, Any]) -> Decimal:
    try:
        amount = Decimal(text_field(body, "amount"))
    except InvalidOperation:
        raise BadCall(400, "The field 'amount' is not a decimal number.") from None
    if not amount.is_finite() or amount <= 0:
        raise BadCall(400, "The field 'amount' must be more than 0.")
    return amount


SERVICE = Service(name="payments", work={"/charges": charge, "/refunds": refund, "/inquiries": inquire})

if __name__ == "__main__":
    sys.exit(main(SERVICE, parser("payments", 8101).parse_args()))
