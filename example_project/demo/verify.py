"""Whether the books agree: what the shop says of its orders against what the two services really did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class End(Enum):
    """How an order ended."""

    COMPLETED = "completed"
    UNDONE = "undone"
    OPEN = "open"  # under way still, or waiting for a person: nothing can be said of it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFact:
    """What the shop says of an order; ``end`` is None when its order and its saga do not agree."""

    reference: str
    sku: str
    quantity: int
    amount: Decimal
    end: End | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One line of a service's ledger."""

    action: str
    reference: str
    key: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All that is compared."""

    orders: Sequence[OrderFact]
    effects: Sequence[Effect]
    stock_before: Mapping[str, int]
    stock_after: Mapping[str, int]


def disagreements(books: Books) -> list[str]:
    """Return what does not fit, one sentence each; empty when all is well."""
    by_reference: dict[str, list[Effect]] = {order.reference: [] for order in books.orders}
    found = [
        f"Key {key} had its effect {count} times."
        for key, count in Counter(effect.key for effect in books.effects).items()
        if count > 1
    ]
    for effect in books.effects:
        if effect.reference in by_reference:
            by_reference[effect.reference].append(effect)
        else:
            found.append(f"There is an effect for {effect.reference}, which the shop does not know: {effect}")
    for order in books.orders:
        found.extend(_order_disagreements(order, by_reference[order.reference]))
    found.extend(_stock_disagreements(books))
    return found


def _order_disagreements(order: OrderFact, effects: Iterable[Effect]) -> Iterator[str]:
    if order.end is None:
        yield f"{order.reference}: the order and its saga do not tell the same end."
        return
    if order.end is End.OPEN:
        return
    amounts: dict[str, list[Decimal]] = {}
    for effect in effects:
        amounts.setdefault(effect.action, []).append(effect.amount)
    for done, undone, due in (
        ("charges", "refunds", order.amount),
        ("shipments", "cancellations", Decimal(order.quantity)),
    ):
        made, taken_back = amounts.get(done, []), amounts.get(undone, [])
        if order.end is End.COMPLETED and (made != [due] or taken_back):
            yield (
                f"{order.reference} is completed and should have one of {done}, of {due}: "
                f"{done} {_listed(made)}, {undone} {_listed(taken_back)}."
            )
        if order.end is End.UNDONE and sum(made) != sum(taken_back):
            yield (
                f"{order.reference} is undone, but not evened out: "
                f"{done} {_listed(made)}, {undone} {_listed(taken_back)}."
            )


def _stock_disagreements(books: Books) -> Iterator[str]:
    unsettled = {order.sku for order in books.orders if order.end not in {End.COMPLETED, End.UNDONE}}
    sold = Counter[str]()
    for order in books.orders:
        if order.end is End.COMPLETED:
            sold[order.sku] += order.quantity
    for sku, before in books.stock_before.items():
        expected, there = before - sold[sku], books.stock_after.get(sku)
        if sku not in unsettled and there != expected:
            yield f"{sku}: {before} were in stock and {sold[sku]} were sold, but {there} are left."


def _listed(amounts: Sequence[Decimal]) -> str:
    return "[" + ", ".join(str(amount) for amount in amounts) + "]"
