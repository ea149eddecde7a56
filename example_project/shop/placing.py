"""Places the orders of a file through the REST endpoint, one by one, at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from example_project.clients import http
from example_project.clients.posting import NoAnswer, post_patiently
from example_project.shop.order_file import BadLine, OrderLine


@dataclass(frozen=True, slots=True)
class Placed:
    """The shop took the order of a line; ``is_new`` is False when it had taken it before."""

    number: int
    url: str
    is_new: bool


class NoShop(Exception):
    """The endpoint cannot be reached or does not take orders: going on is of no use."""


def place_orders(
    lines: Iterable[OrderLine | BadLine], api: str, *, rate: float | None = None
) -> Iterator[Placed | BadLine]:
    """Place each order at ``api`` and say how that went, for every line; ``rate`` is in orders a second.

    Raises ``NoShop``. An order carries its reference as idempotency key: placing a file again is harmless.
    """
    began = time.monotonic()
    sent = 0
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        if rate:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        sent += 1
        yield from _place(line, api)


def _place(line: OrderLine, api: str) -> Iterator[Placed | BadLine]:
    answer = _answer(line, api)
    if answer.status == 202:
        yield Placed(
            number=line.number,
            url=answer.headers.get("Location", ""),
            is_new=answer.headers.get("Idempotency-Replayed") != "true",
        )
    elif answer.status == 422:
        yield BadLine(line.number, "reference", f"{line.reference!r} was used for another order")
    elif answer.status == 400 and isinstance(answer.body, dict):
        for field, problems in answer.body.items():
            said = problems if isinstance(problems, list) else [problems]
            yield BadLine(line.number, field, " ".join(str(problem) for problem in said))
    else:
        raise NoShop(
            f"POST {api} was answered with status {answer.status} instead of 202; "
            "is it the orders endpoint, such as http://127.0.0.1:8000/api/orders/?"
        )


def _answer(line: OrderLine, api: str) -> http.Answer:
    try:
        return post_patiently(api, line.as_json(), idempotency_key=line.reference)
    except NoAnswer as problem:
        raise NoShop(f"line {line.number} could not be placed: {problem}") from None
