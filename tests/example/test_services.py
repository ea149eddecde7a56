"""The fake services: a key has its effect once, whatever goes wrong, and an undone order stays undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from django_saga import OutcomeUnknown
from example_project.clients import http
from example_project.services import bookings, payments, shipping
from example_project.services.faults import Fault, FaultPlan
from tests.example.services import RunningService, running

CHARGE = {"card": "tok_visa", "amount": "12.50", "reference": "order-1"}
SHIPMENT = {"sku": "MUG-BLUE", "quantity": 3, "reference": "order-1"}


@pytest.fixture
def payment_service(tmp_path: Path) -> Iterator[RunningService]:
    with running(payments.SERVICE, tmp_path) as service:
        yield service


@pytest.fixture
def shipping_service(tmp_path: Path) -> Iterator[RunningService]:
    with running(shipping.SERVICE, tmp_path) as service:
        yield service


def test_a_charge_sent_again_under_its_key_is_answered_alike_and_made_once(
    payment_service: RunningService,
) -> None:
    answers = [payment_service.post("/charges", CHARGE) for _ in range(3)]

    assert answers == [(201, {"charge_id": "ch_000001", "amount": "12.50"})] * 3
    assert payment_service.effects() == [("charges", "order-1", "k-1", "12.50")]


def test_many_callers_at_once_with_one_key_make_one_charge(payment_service: RunningService) -> None:
    answers = []
    callers = [
        threading.Thread(target=lambda: answers.append(payment_service.post("/charges", CHARGE)))
        for _ in range(20)
    ]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert answers == [(201, {"charge_id": "ch_000001", "amount": "12.50"})] * 20
    assert payment_service.effects() == [("charges", "order-1", "k-1", "12.50")]


def test_a_key_used_for_something_else_is_refused(payment_service: RunningService) -> None:
    payment_service.post("/charges", CHARGE)

    answer = payment_service.post("/charges", CHARGE | {"amount": "99.00"})

    assert answer == (422, {"error": "This idempotency key was used for another request."})
    assert payment_service.effects() == [("charges", "order-1", "k-1", "12.50")]


@pytest.mark.parametrize(("card", "said"), payments.REFUSED_CARDS.items())
def test_a_bad_card_is_refused_each_time(payment_service: RunningService, card: str, said: str) -> None:
    answers = [payment_service.post("/charges", CHARGE | {"card": card}) for _ in range(2)]

    assert answers == [(422, {"error": said})] * 2
    assert payment_service.effects() == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([], 400, "The body is not a JSON object."),
        ({"reference": "order-1"}, 400, "The field 'amount' is missing or not a text."),
        (CHARGE | {"reference": ""}, 400, "The field 'reference' is missing or not a text."),
        (CHARGE | {"amount": "twelve"}, 400, "The field 'amount' is not a decimal number."),
        (CHARGE | {"amount": "NaN"}, 400, "The field 'amount' must be more than 0."),
        (CHARGE | {"amount": "0"}, 400, "The field 'amount' must be more than 0."),
        (CHARGE | {"card": 7}, 400, "The field 'card' is missing or not a text."),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_by_name(
    payment_service: RunningService, body: object, status: int, said: str
) -> None:
    assert payment_service.post("/charges", body) == (status, {"error": said})
    assert payment_service.effects() == []


def test_a_call_without_a_key_is_refused(payment_service: RunningService) -> None:
    answer = payment_service.post("/charges", CHARGE, key="")

    assert answer == (400, {"error": "The header Idempotency-Key is missing."})


def test_a_bad_call_does_not_use_up_its_key(payment_service: RunningService) -> None:
    payment_service.post("/charges", CHARGE | {"amount": "twelve"})

    assert payment_service.post("/charges", CHARGE)[0] == 201


def test_a_refund_gives_back_what_was_charged_once(payment_service: RunningService) -> None:
    payment_service.post("/charges", CHARGE)

    answers = [
        payment_service.post("/refunds", {"reference": "order-1"}, key=key) for key in ("r-1", "r-1", "r-2")
    ]

    given_back = (201, {"refund_id": "re_000002", "amount": "12.50"})
    assert answers == [given_back, given_back, (200, {"refund_id": None, "amount": "0"})]
    assert payment_service.effects() == [
        ("charges", "order-1", "k-1", "12.50"),
        ("refunds", "order-1", "r-1", "12.50"),
    ]


def test_a_charge_that_arrives_after_its_refund_is_refused(payment_service: RunningService) -> None:
    refund = payment_service.post("/refunds", {"reference": "order-1"}, key="r-1")

    charge = payment_service.post("/charges", CHARGE)

    assert refund == (200, {"refund_id": None, "amount": "0"})
    assert charge == (410, {"error": "Payments for order-1 were refunded; none is taken any more."})
    assert payment_service.effects() == []


def test_a_shipment_is_sent_once_and_called_back_once(shipping_service: RunningService) -> None:
    sent = [shipping_service.post("/shipments", SHIPMENT) for _ in range(2)]
    called_back = [
        shipping_service.post("/cancellations", {"reference": "order-1"}, key=key)
        for key in ("c-1", "c-1", "c-2")
    ]

    assert sent == [(201, {"shipment_id": "sh_000001", "tracking": "TRK000000001"})] * 2
    assert called_back == [(201, {"cancellation_id": "ca_000002"})] * 2 + [(200, {"cancellation_id": None})]
    assert shipping_service.effects() == [
        ("shipments", "order-1", "k-1", "3"),
        ("cancellations", "order-1", "c-1", "3"),
    ]


def test_nobody_ships_a_piano(shipping_service: RunningService) -> None:
    answer = shipping_service.post("/shipments", SHIPMENT | {"sku": "PIANO-GRAND", "quantity": 1})

    assert answer == (422, {"error": "No carrier has the capacity for PIANO-GRAND."})


def test_an_unavailable_service_says_so_before_the_effect(tmp_path: Path) -> None:
    with running(payments.SERVICE, tmp_path, FaultPlan(unavailable=1.0)) as service:
        answer = service.post("/charges", CHARGE)

        assert answer == (503, {"error": "The service is not available just now."})
        assert service.effects() == []


def test_a_dropped_connection_leaves_the_effect_behind_and_the_key_still_answers(tmp_path: Path) -> None:
    with running(payments.SERVICE, tmp_path, FaultPlan(dropped=1.0)) as service:
        with pytest.raises(OutcomeUnknown):  # a step that ends so is compensated when it is not tried again
            service.post("/charges", CHARGE)

        assert service.effects() == [("charges", "order-1", "k-1", "12.50")]

    with running(payments.SERVICE, tmp_path) as service:
        assert service.post("/charges", CHARGE) == (201, {"charge_id": "ch_000001", "amount": "12.50"})
        assert service.effects() == [("charges", "order-1", "k-1", "12.50")]


def test_a_slow_service_outlasts_the_patience_of_its_caller(tmp_path: Path) -> None:
    faults = FaultPlan(slow=1.0, delay=timedelta(seconds=0.5))
    with running(payments.SERVICE, tmp_path, faults) as service:
        with pytest.raises(http.ServiceTrouble, match="timed out"):
            service.post("/charges", CHARGE, timeout=0.1)

        assert service.post("/charges", CHARGE, key="k-1") == (
            201,
            {"charge_id": "ch_000001", "amount": "12.50"},
        )
        assert service.effects() == [("charges", "order-1", "k-1", "12.50")]


def test_the_ledger_counts_calls_and_faults(tmp_path: Path) -> None:
    with running(shipping.SERVICE, tmp_path, FaultPlan(unavailable=1.0)) as service:
        service.post("/shipments", SHIPMENT)
        service.post("/shipments", SHIPMENT)
        report = http.call("GET", f"{service.url}/ledger", timeout=timedelta(seconds=5)).body

    assert report == {"service": "shipping", "calls": 2, "faults": {"unavailable": 2}, "effects": []}


def test_faults_depend_on_the_seed_and_the_call_alone() -> None:
    def drawn(seed: int) -> list[Fault]:
        plan = FaultPlan(seed=seed, unavailable=0.2, dropped=0.2, slow=0.2)
        return [plan.choose("charges", f"order-{order}", nth) for order in range(200) for nth in (1, 2)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == set(Fault)


@pytest.mark.parametrize("rates", [{"unavailable": -0.1}, {"unavailable": 0.6, "dropped": 0.5}])
def test_impossible_fault_rates_are_refused(rates: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault rates must not be negative nor add up to more than 1"):
        FaultPlan(**rates)


def inquiry(key: str) -> dict[str, str]:
    return {"reference": "order-1", "key": key}


def test_a_service_that_is_asked_what_came_of_a_key_says_what_it_answered(tmp_path: Path) -> None:
    with running(payments.SERVICE, tmp_path) as service:
        service.post("/charges", CHARGE, key="k-1")
        service.post("/charges", CHARGE | {"card": "tok_stolen"}, key="k-2")

        found = [service.post("/inquiries", inquiry(key), key=f"{key}:asked") for key in ("k-1", "k-2")]

    assert found == [
        (200, {"happened": True, "answer": {"charge_id": "ch_000001", "amount": "12.50"}}),
        (200, {"happened": False, "answer": None}),
    ]


def test_a_call_that_comes_after_it_was_said_not_to_have_happened_is_refused(tmp_path: Path) -> None:
    with running(payments.SERVICE, tmp_path) as service:
        asked = service.post("/inquiries", inquiry("k-1"), key="k-1:asked")
        late = service.post("/charges", CHARGE, key="k-1")

        assert asked == (200, {"happened": False, "answer": None})
        assert late[0] == 410
        assert service.effects() == []


def test_bookings_are_made_once_cancelled_and_not_made_late(tmp_path: Path) -> None:
    flight = {"reference": "trip-1-flight", "item": "FLIGHT-OSLO"}
    with running(bookings.SERVICE, tmp_path) as service:
        made = [service.post("/bookings", flight, key="k-1") for _ in range(2)]
        service.post("/cancellations", {"reference": "trip-1-flight"}, key="k-2")
        late = service.post("/bookings", flight, key="k-3")

        assert made == [(201, {"booking_id": "bo_000001"})] * 2
        assert late[0] == 410
        assert [(action, amount) for action, _, _, amount in service.effects()] == [
            ("bookings", "1"),
            ("cancellations", "1"),
        ]


@pytest.mark.parametrize(
    ("path", "item", "status", "said"),
    [
        ("/bookings", "HOTEL-GRAND", 422, "Hotel HOTEL-GRAND is booked out."),
        ("/handovers", "CAR-CABRIO", 409, "There is no CAR-CABRIO at the desk."),
    ],
)
def test_what_is_not_to_be_had_is_refused_by_name(
    tmp_path: Path, path: str, item: str, status: int, said: str
) -> None:
    with running(bookings.SERVICE, tmp_path) as service:
        assert service.post(path, {"reference": "trip-1", "item": item}) == (status, {"error": said})
