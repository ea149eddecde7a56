"""The fake shipping service: ``POST /shipments`` and ``POST /cancellations``."""

import sys

from example_project.services.ledger import Answer, Book, Request
from example_project.services.server import BadCall, Service, main, parser, text_field

TOO_LARGE = {"PIANO-GRAND"}  # nobody has a lorry for it


def ship(request: Request, book: Book) -> Answer:
    """Send ``quantity`` of ``sku`` for ``reference``."""
    sku = text_field(request.body, "sku")
    quantity = request.body.get("quantity")
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity < 1:
        raise BadCall(400, "The field 'quantity' must be a whole number of at least 1.")
    if book.is_closed():
        return Answer(
            410, {"error": f"Shipping for {request.reference} was cancelled; nothing is sent any more."}
        )
    if sku in TOO_LARGE:
        return Answer(422, {"error": f"No carrier has the capacity for {sku}."})
    number = book.record(str(quantity))
    return Answer(201, {"shipment_id": f"sh_{number:06}", "tracking": f"TRK{number:09}"})


def cancel(request: Request, book: Book) -> Answer:
    """Call back what was sent for ``reference``, and let nothing be sent for it later."""
    book.close()
    sent = sum(int(row["amount"]) for row in book.effects("shipments"))
    cancelled = sum(int(row["amount"]) for row in book.effects("cancellations"))
    due = sent - cancelled
    if not due:
        return Answer(200, {"cancellation_id": None})
    number = book.record(str(due))
    return Answer(201, {"cancellation_id": f"ca_{number:06}"})


SERVICE = Service(name="shipping", work={"/shipments": ship, "/cancellations": cancel})

if __name__ == "__main__":
    sys.exit(main(SERVICE, parser("shipping", 8102).parse_args()))
