"""The books of the club: each completed order has its points once, or had them taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from example_project.cases.books import End
from example_project.club.handlers import MOST_AT_ONCE
from example_project.club.models import PointEntry


def points_by_order() -> dict[int, list[int]]:
    """Give the entries of every order, oldest first."""
    found: dict[int, list[int]] = defaultdict(list)
    for order, points in PointEntry.objects.order_by("id").values_list("order", "points"):
        found[order].append(points)
    return dict(found)


def points_disagreements(
    orders: Sequence[tuple[int, int, End | None]], entries: Mapping[int, Sequence[int]]
) -> Iterator[str]:
    """Return what does not fit between orders (number, whole euros, end) and the entries of their points."""
    for number, euros, end in orders:
        expected = []
        if end is End.COMPLETED:
            expected = [euros] if euros <= MOST_AT_ONCE else [euros, -euros]
        there = list(entries.get(number, []))
        if end in {End.COMPLETED, End.UNDONE} and there != expected:
            yield f"order-{number}: its points should be {expected}, and are {there}."
