"""The fake booking service: ``POST /bookings``, ``/cancellations``, ``/handovers`` and ``/inquiries``."""

import sys

from example_project.services.inquiries import inquire
from example_project.services.ledger import Answer, Book, Request
from example_project.services.server import Service, main, parser, text_field

FULL = {"FLIGHT-BALI": "Flight", "HOTEL-GRAND": "Hotel"}
NOT_AT_THE_DESK = {"CAR-CABRIO"}  # booked gladly, and given to somebody else


def reserve(request: Request, book: Book) -> Answer:
    """Book ``item`` for ``reference``."""
    item = text_field(request.body, "item")
    if book.is_closed():
        return Answer(
            410, {"error": f"{request.reference} was cancelled; nothing is booked for it any more."}
        )
    if item in FULL:
        return Answer(422, {"error": f"{FULL[item]} {item} is booked out."})
    return Answer(201, {"booking_id": f"bo_{book.record('1'):06}"})


def cancel(request: Request, book: Book) -> Answer:
    """Cancel what was booked for ``reference``, and let nothing be booked for it later."""
    book.close()
    due = len(book.effects("bookings")) - len(book.effects("cancellations"))
    if not due:
        return Answer(200, {"cancellation_id": None})
    return Answer(201, {"cancellation_id": f"bc_{book.record(str(due)):06}"})


def hand_over(request: Request, book: Book) -> Answer:
    """Give the keys of the car ``item`` to whoever comes with ``reference``."""
    item = text_field(request.body, "item")
    if item in NOT_AT_THE_DESK:
        return Answer(409, {"error": f"There is no {item} at the desk."})
    return Answer(201, {"contract": f"co_{book.record('1'):06}"})


SERVICE = Service(
    name="bookings",
    work={
        "/bookings": reserve,
        "/cancellations": cancel,
        "/handovers": hand_over,
        "/inquiries": inquire,
    },
)

if __name__ == "__main__":
    options = parser("bookings", 8103)
    # It loses many an answer, so that some have to be asked for.
    options.set_defaults(dropped=0.12)
    sys.exit(main(SERVICE, options.parse_args()))
