"""The books of the travel agency: a trip has all of its parts and is paid, or none and is not."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from example_project.cases.books import Books, Dealing, end_of
from example_project.travel.models import Kind, Trip
from example_project.travel.sagas import trip


class TripBooks(Books[Trip]):
    """Trips, their bookings and their payments."""

    cases = Trip
    saga = trip.name
    promise = "each completed trip has one flight, one hotel and one car, and was paid once"

    def dealings(self, case: Trip) -> Iterable[Dealing]:
        end = end_of(case)
        yield Dealing(reference=case.reference, done="charges", undone="refunds", amount=case.amount, end=end)
        for name, done in [*((kind, "bookings") for kind in Kind), ("keys", "handovers")]:
            yield Dealing(
                reference=f"{case.reference}-{name}",
                done=done,
                undone="cancellations",
                amount=Decimal(1),
                end=end,
            )
