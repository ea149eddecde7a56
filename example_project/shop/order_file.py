"""Reads a CSV file of orders line by line: what can be ordered, and what is wrong with the rest."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

COLUMNS = ("reference", "customer", "email", "sku", "quantity", "card")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order as the file has it; whether it can be placed is for the shop to say."""

    number: int
    reference: str
    customer: str
    email: str
    sku: str
    quantity: int
    card: str

    def as_json(self) -> dict[str, str | int]:
        """Return what the API takes."""
        return {
            "customer": self.customer,
            "email": self.email,
            "sku": self.sku,
            "quantity": self.quantity,
            "card": self.card,
        }


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not an order: the field at fault (empty: the whole line), and what is wrong with it."""

    number: int
    field: str
    problem: str


class BadFile(Exception):
    """The file as a whole cannot be read as orders."""


def read_orders(file: TextIO) -> Iterator[OrderLine | BadLine]:
    """Read orders; open ``file`` by ``open_orders``. Raises ``BadFile`` when there is no proper head line."""
    positions = _positions(file.readline())
    for number, text in enumerate(file, start=2):
        try:
            row = _fields(text)
        except csv.Error as problem:
            yield BadLine(number, "", f"not CSV: {problem}")
            continue
        if row:
            yield _order_line(number, row, positions)


def open_orders(path: str) -> TextIO:
    """Open a file for ``read_orders``. Raises ``OSError``."""
    # Bytes that are no UTF-8 become lone surrogates, so that they spoil their own line only; "sig" drops the
    # mark that spreadsheets put in front.
    return open(path, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _fields(text: str) -> list[str]:
    # Line by line, since no field of an order holds a line break: an open quote spoils its own line only.
    return next(csv.reader([text], strict=True), [])


def _positions(head_line: str) -> dict[str, int]:
    try:
        head = [name.strip().lower() for name in _fields(head_line)]
    except csv.Error as problem:
        raise BadFile(f"line 1 is not CSV: {problem}") from None
    if missing := [name for name in COLUMNS if name not in head]:
        raise BadFile(f"line 1 has no column {', '.join(missing)}; it should be: {','.join(COLUMNS)}")
    if twice := [name for name in COLUMNS if head.count(name) > 1]:
        raise BadFile(f"line 1 has the column {', '.join(twice)} twice")
    return {name: head.index(name) for name in COLUMNS} | {"": len(head)}


def _order_line(number: int, row: list[str], positions: dict[str, int]) -> OrderLine | BadLine:
    if len(row) != positions[""]:
        return BadLine(number, "", f"it has {len(row)} fields, the head line has {positions['']}")
    values = {name: row[positions[name]].strip() for name in COLUMNS}
    for name, value in values.items():
        if not value:
            return BadLine(number, name, "it is empty")
        if _LONE_SURROGATE.search(value):
            return BadLine(number, name, "it is not UTF-8")
        if "\0" in value:
            return BadLine(number, name, "it contains a NUL character")
    quantity = values.pop("quantity")
    if not _WHOLE_NUMBER.fullmatch(quantity):
        return BadLine(number, "quantity", f"{quantity!r} is not a whole number")
    return OrderLine(number=number, quantity=int(quantity), **values)
