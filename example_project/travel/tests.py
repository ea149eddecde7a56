"""The trip saga, whatever goes wrong: `manage.py test example_project.travel`."""

from __future__ import annotations

from decimal import Decimal

from django.core import mail
from django.test import TestCase

from django_saga import OutcomeUnknown, PermanentFailure
from django_saga.testing import (
    SagaLab,
    assert_compensated,
    assert_completed,
    saga_matrix,
    saga_steps,
)
from example_project.clients import payments
from example_project.clients.fakes import FakePayments, standing_in
from example_project.travel import bookings
from example_project.travel.models import Kind, Offer, Trip
from example_project.travel.sagas import OTHER_CAR, TripInput, trip

AMOUNT = Decimal("700.00")


class FakeBookings:
    """The booking service in memory: one booking for a reference, and none for what was cancelled."""

    def __init__(self) -> None:
        self.booked: dict[str, str] = {}  # item by reference
        self.handed_over: dict[str, str] = {}  # car by reference

    def book(self, *, item: str, reference: str, idempotency_key: str) -> bookings.Booking:
        self.booked[reference] = item
        return bookings.Booking(f"bo-{reference}")

    def find(self, *, reference: str, key: str) -> bookings.Booking | None:
        return bookings.Booking(f"bo-{reference}") if reference in self.booked else None

    def cancel(self, *, reference: str, idempotency_key: str) -> str | None:
        return self.booked.pop(reference, None) and f"bc-{reference}"

    def find_contract(self, *, reference: str, key: str) -> str | None:
        return f"co-{reference}" if reference in self.handed_over else None

    def hand_over(self, *, item: str, reference: str, idempotency_key: str) -> str:
        if item == "CAR-CABRIO":
            raise PermanentFailure("There is no CAR-CABRIO at the desk.")
        self.handed_over[reference] = item
        return f"co-{reference}"


class TripSagaTests(TestCase):
    def setUp(self) -> None:
        offers = {
            kind: Offer.objects.create(code=f"A-{kind}".upper(), kind=kind, price=price)
            for kind, price in zip(Kind, (300, 250, 150), strict=True)
        }
        self.trip = Trip.objects.create(
            email="ada@example.org",
            flight=offers[Kind.FLIGHT],
            hotel=offers[Kind.HOTEL],
            car=offers[Kind.CAR],
            amount=AMOUNT,
            card="tok_visa",
        )
        self.open_services()

    def open_services(self) -> None:
        """Stand in for both services, with nothing booked and nothing charged."""
        self.payments, self.bookings = FakePayments(), FakeBookings()
        self.enterContext(standing_in(payments, self.payments))
        self.enterContext(standing_in(bookings, self.bookings))

    def input(self, *, car: str = "A-CAR") -> TripInput:
        return TripInput(self.trip.pk, "ada@example.org", "A-FLIGHT", "A-HOTEL", car, AMOUNT, "tok_visa")

    def reference(self, part: str) -> str:
        return f"{self.trip.reference}-{part}"

    def test_a_trip_is_paid_and_booked_in_all_its_parts_or_in_none_whatever_goes_wrong(self) -> None:
        for case in saga_matrix(trip):
            self.open_services()
            with self.subTest(str(case)), case.run(self.input()) as saga:
                self.trip.refresh_from_db()
                if saga_steps(saga).get("pay") == "succeeded":
                    assert self.payments.charged == {self.trip.reference: AMOUNT}
                    assert self.bookings.booked == {
                        self.reference("flight"): "A-FLIGHT",
                        self.reference("hotel"): "A-HOTEL",
                        self.reference("car"): "A-CAR",
                    }
                    assert (self.trip.status == "completed") is (saga.status == "completed")
                    continue
                assert_compensated(saga)
                assert (self.payments.charged, self.bookings.booked) == ({}, {})

    def test_a_car_that_is_not_at_the_desk_is_rented_elsewhere(self) -> None:
        with SagaLab() as lab:
            # After a call without an answer the refusal alone does not say that there was no car.
            lab.fail_at("collect_car", OutcomeUnknown("no answer"))
            saga = trip.run(self.input(car="CAR-CABRIO"))

        assert_completed(saga)
        self.trip.refresh_from_db()
        keys = self.reference("keys")
        assert self.bookings.handed_over == {keys: OTHER_CAR}
        assert self.trip.contract == f"co-{keys}"
        assert [sent.to for sent in mail.outbox] == [["ada@example.org"]]

    def test_a_booking_in_doubt_is_asked_for_and_kept(self) -> None:
        with SagaLab() as lab:
            lab.fail_at("book_hotel", OutcomeUnknown("no answer"), after_effect=True, times=2)
            saga = trip.run(self.input())

        assert_completed(saga)
        assert len(self.bookings.booked) == len(Kind)

    def test_a_booking_in_doubt_that_never_was_turns_the_trip_back(self) -> None:
        with SagaLab() as lab:
            lab.fail_at("book_hotel", OutcomeUnknown("no answer"), times=2)
            saga = trip.run(self.input())

        assert_compensated(saga)
        assert saga_steps(saga)["book_hotel"] == "failed"
        assert self.bookings.booked == {}

    def test_what_is_being_booked_when_another_part_fails_is_booked_and_undone(self) -> None:
        with SagaLab() as lab:
            lab.fail_at("book_flight", PermanentFailure("Flight A-FLIGHT is booked out."))
            saga = trip.run(self.input())

        assert_compensated(saga)
        self.trip.refresh_from_db()
        assert self.trip.reason == "failed at book_flight: Flight A-FLIGHT is booked out."
        assert {name: saga_steps(saga)[name] for name in ("book_hotel", "book_car")} == {
            "book_hotel": "undone",
            "book_car": "undone",
        }
