"""The saga of a trip, put together by a builder: the three bookings are one function, three times a step.

It shows branches side by side, a failure policy with a grace, probes, a pivot, and a step that stands in for
another one past it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.mail import send_mail

from django_saga import (
    Context,
    FailurePolicy,
    ForwardRecovery,
    NothingToUndo,
    Probe,
    Retry,
    SagaBuilder,
    part,
)
from example_project.cases.models import CaseStatus
from example_project.clients import payments
from example_project.clients.patience import CALL, UNDO_CALL
from example_project.travel import bookings
from example_project.travel.models import Kind, Trip

# A seat that is not there soon is not there: then ask what came of it, rather than try for long.
TWICE = Retry(attempts=2, delay=0.5)
# Of a company that always has one, at the same price.
OTHER_CAR = "CAR-OF-ANOTHER-COMPANY"


@dataclass(frozen=True, slots=True)
class TripInput:
    """What the saga has to know of a trip; its parts by the code of their offer."""

    trip_id: int
    email: str
    flight: str
    hotel: str
    car: str
    amount: Decimal
    card: str

    @property
    def reference(self) -> str:
        """What the trip is called outside; its parts have names of their own, as each is undone by itself."""
        return f"trip-{self.trip_id}"

    @property
    def keys(self) -> str:
        """What the car that is handed over is called outside, whichever it is: nobody gets two."""
        return f"{self.reference}-keys"


def accept(ctx: Context) -> None:
    Trip.put(ctx.input.trip_id, CaseStatus.PROCESSING)


def cancel(ctx: Context) -> None:
    Trip.put(ctx.input.trip_id, CaseStatus.CANCELLED, reason=ctx.error)


def book(ctx: Context) -> bookings.Booking:
    return bookings.book(**ctx.input, idempotency_key=ctx.idempotency_key)


def was_booked(ctx: Context) -> Any:
    return _told(bookings.find(reference=ctx.input["reference"], key=ctx.idempotency_key))


def unbook(ctx: Context) -> None:
    reference = ctx.input["reference"]
    if not bookings.cancel(reference=reference, idempotency_key=ctx.idempotency_key):
        raise NothingToUndo("Nothing had been booked.")


def pay(ctx: Context) -> payments.Charge:
    trip = ctx.input
    return payments.charge(
        card=trip.card,
        amount=trip.amount,
        reference=trip.reference,
        idempotency_key=ctx.idempotency_key,
    )


def was_paid(ctx: Context) -> Any:
    return _told(payments.find_charge(reference=ctx.input.reference, key=ctx.idempotency_key))


def refund(ctx: Context) -> None:
    payments.refund(reference=ctx.input.reference, idempotency_key=ctx.idempotency_key)


def collect_car(ctx: Context) -> str:
    return _keys(ctx, ctx.input.car)


def was_collected(ctx: Context) -> Any:
    return _told(bookings.find_contract(reference=ctx.input.keys, key=ctx.idempotency_key))


def rent_elsewhere(ctx: Context) -> str:
    return _keys(ctx, OTHER_CAR)


def send_tickets(ctx: Context) -> None:
    numbers = ", ".join(ctx.results[f"book_{kind}"].booking_id for kind in Kind)
    send_mail("Your trip", f"Your bookings: {numbers}.", from_email=None, recipient_list=[ctx.input.email])


def confirm(ctx: Context) -> None:
    Trip.put(ctx.input.trip_id, CaseStatus.COMPLETED, contract=ctx.results["collect_car"])


def _keys(ctx: Context, car: str) -> str:
    return bookings.hand_over(item=car, reference=ctx.input.keys, idempotency_key=ctx.idempotency_key)


def _told(found: object) -> Any:
    """Give what a probe says of an effect that was ``found``, or was not."""
    return Probe.DID_NOT_HAPPEN if found is None else Probe.HAPPENED(found)


def _booking(kind: Kind) -> Any:
    """Give the step that books the part ``kind`` of a trip."""

    def input(ctx: Context) -> dict[str, str]:
        return {"item": getattr(ctx.input, kind), "reference": f"{ctx.input.reference}-{kind}"}

    return part(
        book,
        name=f"book_{kind}",
        input=input,
        retry=TWICE,
        timeout=30,
        probe=part(was_booked, retry=UNDO_CALL, timeout=30),
        compensate=part(unbook, retry=UNDO_CALL, timeout=30),
    )


trip = (
    SagaBuilder(
        "trip",
        description="Book a flight, a hotel and a car side by side, charge the card, hand out all of it.",
        input=TripInput,
        # What is being booked when another part turns out to be gone usually ends within a moment: then
        # it is known what to undo.
        failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE(10),
    )
    .step(accept, compensate=part(cancel, atomic=True), atomic=True)
    .parallel(*(_booking(kind) for kind in Kind))
    # Who has paid gets the trip. A charge that stays in doubt is the one thing that still turns back.
    .step(
        pay,
        pivot=True,
        retry=CALL,
        timeout=30,
        probe=part(was_paid, retry=UNDO_CALL, timeout=30),
        compensate=part(refund, retry=UNDO_CALL, timeout=30),
    )
    .parallel(
        part(
            collect_car,
            retry=CALL,
            timeout=30,
            # Only of what certainly did not happen may another step take the place.
            probe=part(was_collected, retry=UNDO_CALL, timeout=30),
            forward_recovery=ForwardRecovery.ALTERNATE(part(rent_elsewhere, retry=UNDO_CALL, timeout=30)),
        ),
        part(send_tickets, timeout=30, forward_recovery=ForwardRecovery.RETRY),
    )
    .step(confirm, atomic=True, forward_recovery=ForwardRecovery.RETRY)
    .build()
)
