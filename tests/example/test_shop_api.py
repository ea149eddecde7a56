"""The shop's endpoint: an order is placed once or refused by name, and its saga carries it through."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.example.services import RunningService
from tests.example.site import Site

ORDER = {
    "customer": "Zoë",
    "email": "zoe@example.com",
    "sku": "MUG-BLUE",
    "quantity": 3,
    "card": "tok_visa",
}


def stock(site: Site) -> dict[str, int]:
    code = (
        "import json; from example_project.shop.models import Product; "
        "print(json.dumps(dict(Product.objects.values_list('sku', 'stock'))))"
    )
    found: dict[str, int] = json.loads(site.run("shell", "--verbosity", "0", "--command", code))
    return found


def steps(order: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in order["saga"]["steps"]}


def effects_for(order: dict[str, Any], service: RunningService) -> list[tuple[str, str]]:
    return [
        (action, amount)
        for action, reference, _, amount in service.effects()
        if reference == f"order-{order['id']}"
    ]


def test_an_order_is_taken_with_its_saga_and_the_answer_says_where_to_look(site: Site) -> None:
    answer = site.post_order(ORDER)

    placed = answer.body
    assert answer.status == 202
    assert answer.headers["Location"] == placed["url"] == f"{site.url}/api/orders/{placed['id']}/"
    assert answer.headers["Idempotency-Replayed"] == "false"
    assert {name: placed[name] for name in ("sku", "quantity", "amount", "status", "reason")} == {
        "sku": "MUG-BLUE",
        "quantity": 3,
        "amount": "29.40",
        "status": "placed",
        "reason": "",
    }
    assert steps(placed) == {"accept_order": "scheduled"}
    assert site.get(f"/api/orders/{placed['id']}/").body == placed


class Ended(NamedTuple):
    """How an order ended: for the customer, for its saga, step by step, and in the books of the services."""

    order: str
    saga: str
    reason: str
    steps: dict[str, str]
    payments: list[tuple[str, str]]
    shipping: list[tuple[str, str]]


CASES: dict[str, tuple[dict[str, object], Ended]] = {
    "good": (
        {"sku": "CLOCK-WALL", "quantity": 2},
        Ended(
            "completed",
            "completed",
            "",
            {
                "accept_order": "succeeded",
                "reserve_inventory": "succeeded",
                "charge_payment": "succeeded",
                "ship_order": "succeeded",
                "confirm_order": "succeeded",
            },
            [("charges", "85.80")],
            [("shipments", "2")],
        ),
    ),
    "more than there is": (
        {"sku": "DESK-STAND", "quantity": 1000},
        Ended(
            "cancelled",
            "compensated",
            "failed at reserve_inventory: 1000 of DESK-STAND were ordered, 45 are left.",
            {"accept_order": "undone", "reserve_inventory": "failed"},
            [],
            [],
        ),
    ),
    "bad card": (
        {"sku": "TEA-ASSAM", "card": "tok_stolen"},
        Ended(
            "cancelled",
            "compensated",
            "failed at charge_payment: The card was reported stolen.",
            {"accept_order": "undone", "reserve_inventory": "undone", "charge_payment": "failed"},
            [],
            [],
        ),
    ),
    "too large to ship": (
        {"sku": "PIANO-GRAND", "quantity": 1},
        Ended(
            "cancelled",
            "compensated",
            "failed at ship_order: No carrier has the capacity for PIANO-GRAND.",
            {
                "accept_order": "undone",
                "reserve_inventory": "undone",
                "charge_payment": "undone",
                "ship_order": "failed",
            },
            [("charges", "24900.00"), ("refunds", "24900.00")],
            [],
        ),
    ),
}


def test_a_worker_completes_good_orders_and_undoes_the_others_wherever_they_were_done(
    site: Site, shop_services: dict[str, RunningService]
) -> None:
    before = stock(site)
    placed = {name: site.post_order(ORDER | change).body for name, (change, _) in CASES.items()}

    site.run("saga_worker", "--once")

    orders = {name: site.get(f"/api/orders/{order['id']}/").body for name, order in placed.items()}
    ended = {
        name: Ended(
            order["status"],
            order["saga"]["status"],
            order["reason"],
            steps(order),
            effects_for(order, shop_services["payments"]),
            effects_for(order, shop_services["shipping"]),
        )
        for name, order in orders.items()
    }
    assert ended == {name: expected for name, (_, expected) in CASES.items()}
    after = stock(site)
    changed = {sku: left - before[sku] for sku, left in after.items() if sku != ORDER["sku"]}
    assert {sku: change for sku, change in changed.items() if change} == {"CLOCK-WALL": -2}
    assert re.fullmatch(r"ch_\d{6}", orders["good"]["charge_id"])
    assert re.fullmatch(r"TRK\d{9}", orders["good"]["tracking"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ({}, {name: ["This field is required."] for name in ORDER}),
        (ORDER | {"sku": "UNICORN"}, {"sku": ["There is no product 'UNICORN'."]}),
        (ORDER | {"customer": "Z\0"}, {"customer": ["Null characters are not allowed."]}),
        (ORDER | {"quantity": 0}, {"quantity": ["Ensure this value is greater than or equal to 1."]}),
        (ORDER | {"quantity": 1001}, {"quantity": ["Ensure this value is less than or equal to 1000."]}),
        (ORDER | {"quantity": "many"}, {"quantity": ["A valid integer is required."]}),
        (ORDER | {"customer": "\ud800"}, {"customer": ["Surrogate characters are not allowed: U+D800."]}),
        (ORDER | {"email": "nowhere"}, {"email": ["Enter a valid email address."]}),
        (
            ORDER | {"card": "4111111111111111"},
            {"card": ["Not a card token such as tok_visa. Card numbers are not taken."]},
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_field(site: Site, body: object, said: object) -> None:
    before = site.orders()

    answer = site.post_order(body)

    assert (answer.status, answer.body) == (400, said)
    assert site.orders() == before


def test_an_order_sent_again_under_its_key_is_the_same_order(site: Site) -> None:
    key = str(uuid4())
    first = site.post_order(ORDER, key=key)
    before = site.orders()

    again = site.post_order(ORDER, key=key)

    assert (again.status, again.body) == (202, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert site.orders() == before


def test_many_callers_at_once_with_one_key_place_one_order(site: Site) -> None:
    key = str(uuid4())
    before = site.orders()

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda _: site.post_order(ORDER, key=key), range(16)))

    assert {(answer.status, answer.body["id"]) for answer in answers} == {(202, answers[0].body["id"])}
    assert site.orders() == before + 1


def test_a_key_used_for_another_order_is_refused(site: Site) -> None:
    key = str(uuid4())
    site.post_order(ORDER, key=key)
    before = site.orders()

    answer = site.post_order(ORDER | {"quantity": 4}, key=key)

    assert (answer.status, answer.body) == (
        422,
        {"detail": "This Idempotency-Key was used for another order."},
    )
    assert site.orders() == before


def test_a_key_that_is_too_long_is_refused(site: Site) -> None:
    answer = site.post_order(ORDER, key="k" * 201)

    assert (answer.status, answer.body) == (
        400,
        {"Idempotency-Key": ["It has 201 characters; the limit is 200."]},
    )


def test_the_list_shows_orders_page_by_page_and_nobody_by_name(site: Site) -> None:
    ids = [site.post_order(ORDER).body["id"] for _ in range(3)]

    page = site.get("/api/orders/?limit=2").body

    assert [order["id"] for order in page["results"]] == [ids[2], ids[1]]
    assert set(page["results"][0]) == {
        *("id", "url", "placed_at", "sku", "quantity", "amount", "status", "reason"),
        *("charge_id", "tracking", "saga"),
    }


@pytest.mark.parametrize("number", ["0", "999999999", "99999999999999999999"])
def test_an_order_that_does_not_exist_is_not_found(site: Site, number: str) -> None:
    assert site.get(f"/api/orders/{number}/").status == 404
