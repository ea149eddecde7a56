"""The demo's check: books that agree pass, and every way of not agreeing is named."""

from __future__ import annotations

from decimal import Decimal

import pytest

from example_project.cases.books import Dealing, Effect, End, disagreements
from example_project.shop.stock import stock_disagreements


def order(number: int, end: End | None) -> list[Dealing]:
    return [
        Dealing(reference=f"order-{number}", done=done, undone=undone, amount=Decimal(amount), end=end)
        for done, undone, amount in (("charges", "refunds", "9.80"), ("shipments", "cancellations", "2"))
    ]


def effect(action: str, number: int, amount: str, *, key: str = "") -> Effect:
    return Effect(
        action=action, reference=f"order-{number}", key=key or f"{action}-{number}", amount=Decimal(amount)
    )


CHARGE_1, SHIPMENT_1 = effect("charges", 1, "9.80"), effect("shipments", 1, "2")
CHARGE_2, REFUND_2 = effect("charges", 2, "9.80"), effect("refunds", 2, "9.80")
ORDERS = [*order(1, End.COMPLETED), *order(2, End.UNDONE), *order(3, End.UNDONE)]
EFFECTS = [CHARGE_1, SHIPMENT_1, CHARGE_2, REFUND_2]


def test_books_that_agree_have_nothing_to_tell() -> None:
    assert disagreements(ORDERS, EFFECTS) == []


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        (
            [SHIPMENT_1],
            "order-1 is completed and should have one of charges, of 9.80: charges [], refunds [].",
        ),
        (
            [CHARGE_1, effect("charges", 1, "9.80", key="other"), SHIPMENT_1],
            "order-1 is completed and should have one of charges, of 9.80: charges [9.80, 9.80], refunds [].",
        ),
        (
            [effect("charges", 1, "9.81"), SHIPMENT_1],
            "order-1 is completed and should have one of charges, of 9.80: charges [9.81], refunds [].",
        ),
        (
            [CHARGE_1, effect("refunds", 1, "9.80"), SHIPMENT_1],
            "order-1 is completed and should have one of charges, of 9.80: charges [9.80], refunds [9.80].",
        ),
        (
            [CHARGE_1],
            "order-1 is completed and should have one of shipments, of 2: shipments [], cancellations [].",
        ),
        (
            [CHARGE_1, SHIPMENT_1, CHARGE_2],
            "order-2 is undone, but not evened out: charges [9.80], refunds [].",
        ),
        (
            [CHARGE_1, SHIPMENT_1, REFUND_2],
            "order-2 is undone, but not evened out: charges [], refunds [9.80].",
        ),
        (
            [CHARGE_1, SHIPMENT_1, effect("shipments", 3, "2")],
            "order-3 is undone, but not evened out: shipments [2], cancellations [].",
        ),
    ],
)
def test_an_effect_too_many_or_too_few_is_named(effects: list[Effect], said: str) -> None:
    assert disagreements(ORDERS, effects) == [said]


def test_a_key_that_had_its_effect_twice_is_named() -> None:
    found = disagreements(ORDERS, [*EFFECTS, CHARGE_2, REFUND_2])

    assert found == ["Key charges-2 had its effect 2 times.", "Key refunds-2 had its effect 2 times."]


def test_an_effect_for_an_order_that_does_not_exist_is_named() -> None:
    stray = effect("charges", 9, "1.00")

    found = disagreements(ORDERS, [*EFFECTS, stray])

    assert found == [f"There is an effect for order-9, which no app knows: {stray}"]


def test_a_case_and_a_saga_that_differ_are_named_once_whatever_they_deal_with() -> None:
    found = disagreements([*order(1, None), *ORDERS[2:]], EFFECTS)

    assert found == ["order-1: it and its saga do not tell the same end."]


def test_an_open_case_is_not_judged() -> None:
    assert disagreements([*order(1, End.OPEN), *ORDERS[2:]], [CHARGE_1, CHARGE_2, REFUND_2]) == []


def test_a_stock_that_does_not_add_up_is_named() -> None:
    sold = [("MUG", 2, End.COMPLETED), ("MUG", 5, End.UNDONE)]

    assert list(stock_disagreements(sold, {"MUG": 10}, {"MUG": 8})) == []
    assert list(stock_disagreements(sold, {"MUG": 10}, {"MUG": 7})) == [
        "MUG: 10 were in stock and 2 were sold, but 7 are left."
    ]


@pytest.mark.parametrize("end", [End.OPEN, None])
def test_the_stock_of_what_is_not_settled_is_not_judged(end: End | None) -> None:
    assert list(stock_disagreements([("MUG", 2, end)], {"MUG": 10}, {"MUG": 8})) == []
