"""The booking service, as the travel agency calls it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from example_project.clients import http


@dataclass(frozen=True, slots=True)
class Booking:
    """A seat, a room or a car that is held."""

    booking_id: str


def book(*, item: str, reference: str, idempotency_key: str) -> Booking:
    """Book ``item``; at most once per key, however often this is called."""
    answer = http.post(
        f"{settings.BOOKINGS_URL}/bookings",
        {"item": item, "reference": reference},
        idempotency_key=idempotency_key,
    )
    return Booking(answer["booking_id"])


def find(*, reference: str, key: str) -> Booking | None:
    """Return what was booked under ``key``; None if nothing was, and nothing will be."""
    answer = http.find_out(settings.BOOKINGS_URL, reference=reference, key=key)
    return None if answer is None else Booking(answer["booking_id"])


def cancel(*, reference: str, idempotency_key: str) -> str | None:
    """Cancel whatever was booked for ``reference``; return the cancellation's number, or None."""
    answer = http.post(
        f"{settings.BOOKINGS_URL}/cancellations", {"reference": reference}, idempotency_key=idempotency_key
    )
    number: str | None = answer["cancellation_id"]
    return number


def hand_over(*, item: str, reference: str, idempotency_key: str) -> str:
    """Get the keys of the car ``item``; return the number of the contract."""
    answer = http.post(
        f"{settings.BOOKINGS_URL}/handovers",
        {"item": item, "reference": reference},
        idempotency_key=idempotency_key,
    )
    return str(answer["contract"])


def find_contract(*, reference: str, key: str) -> str | None:
    """Return the contract of the keys got under ``key``; None if none were, and none will be."""
    answer = http.find_out(settings.BOOKINGS_URL, reference=reference, key=key)
    return None if answer is None else str(answer["contract"])
