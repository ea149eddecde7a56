"""Whether the stock adds up: what is missing from it is what was sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from example_project.cases.books import End


def stock_disagreements(
    lines: Sequence[tuple[str, int, End | None]], before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[str]:
    """Return what does not fit between orders (SKU, pieces, end) and the stock before and after them."""
    unsettled = {sku for sku, _, end in lines if end not in {End.COMPLETED, End.UNDONE}}
    sold = Counter[str]()
    for sku, pieces, end in lines:
        if end is End.COMPLETED:
            sold[sku] += pieces
    for sku, was in before.items():
        expected, there = was - sold[sku], after.get(sku)
        if sku not in unsettled and there != expected:
            yield f"{sku}: {was} were in stock and {sold[sku]} were sold, but {there} are left."
