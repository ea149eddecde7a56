"""Whether a single value fits a type hint, and the words for it when it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from django.utils.dateparse import parse_duration

from django_saga.core.encoding import join_path
from django_saga.exceptions import EncodingError, SagaError

Fit: TypeAlias = Callable[[Any], Any]


class SchemaError(EncodingError):
    """A value does not fit the declared type."""


class UnsupportedType(SagaError):
    """The type hint names nothing that JSON can carry."""


class Misfit(Exception):
    """What does not fit; gathers its way from the root while it rises."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.trail: list[object] = []

    def within(self, key: object) -> Misfit:
        """Say that it happened below ``key``."""
        self.trail.append(key)
        return self

    def as_error(self, name: str) -> SchemaError:
        """Give the error for the user, with the path from ``name``."""
        path = name
        for key in reversed(self.trail):
            path = join_path(path, key)
        return SchemaError(self.problem, path=path)


# --- fits by type ---------------------------------------------------------------------------------


def _exact(kind: type, *but_not: type) -> Fit:
    def fit(value: Any) -> Any:
        if isinstance(value, kind) and not isinstance(value, but_not):
            return value
        raise unexpected(kind.__name__, value)

    return fit


def fit_none(value: Any) -> None:
    """Fit None."""
    if value is not None:
        raise unexpected("None", value)


def _float(value: Any) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Misfit("expected float, got an int too large for one") from None
    raise unexpected("float", value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return Decimal(value)
        except InvalidOperation:
            raise Misfit("expected Decimal, got str that is not a number") from None
    if isinstance(value, float):
        raise Misfit("expected Decimal, got float; use a Decimal or str, which keep every digit")
    raise unexpected("Decimal", value)


def _from_text(kind: type, read: Callable[[str], Any], what: str, *but_not: type) -> Fit:
    def fit(value: Any) -> Any:
        if isinstance(value, kind) and not isinstance(value, but_not):
            return value
        if isinstance(value, str):
            try:
                return read(value)
            except ValueError:
                raise Misfit(f"expected {kind.__name__}, got str that is not {what}") from None
        raise unexpected(kind.__name__, value)

    return fit


def _duration(text: str) -> timedelta:
    length = parse_duration(text) if text.lstrip("+-").startswith("P") else None
    if length is None:
        raise ValueError
    return length


SIMPLE: dict[Any, Fit] = {
    Any: lambda value: value,
    object: lambda value: value,
    type(None): fit_none,
    bool: _exact(bool),
    int: _exact(int, bool),
    str: _exact(str),
    float: _float,
    Decimal: _decimal,
    date: _from_text(date, date.fromisoformat, "an ISO 8601 date", datetime),
    datetime: _from_text(datetime, datetime.fromisoformat, "an ISO 8601 date and time"),
    time: _from_text(time, time.fromisoformat, "an ISO 8601 time"),
    timedelta: _from_text(timedelta, _duration, "an ISO 8601 duration"),
    UUID: _from_text(UUID, UUID, "a UUID"),
}


def fit_enum(kind: type[Enum]) -> Fit:
    """Fit members of an Enum, and their values."""
    choices = " or ".join(repr(member.value) for member in kind)

    def fit(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        try:
            # A tuple was stored as a list.
            member = kind(tuple(value) if isinstance(value, list) else value)
        except (ValueError, TypeError):
            member = None
        if member is None or isinstance(value, bool) is not isinstance(member.value, bool):
            raise Misfit(f"expected {kind.__name__} ({choices}), got {kind_of(value)}")
        return member

    return fit


def fit_literal(choices: tuple[Any, ...]) -> Fit:
    """Fit one of ``choices``."""
    described = " or ".join(repr(choice) for choice in choices)

    def fit(value: Any) -> Any:
        for choice in choices:
            # 1 == True, and an Enum member of Literal comes back as its value.
            plain = choice.value if isinstance(choice, Enum) else choice
            if value is choice or (type(value) is type(plain) and value == plain):
                return choice
        raise Misfit(f"expected {described}, got {kind_of(value)}")

    return fit


def unexpected(expected: str, value: Any) -> Misfit:
    """Give the misfit of a value of another type."""
    return Misfit(f"expected {expected}, got {kind_of(value)}")


def kind_of(value: Any) -> str:
    """Name the type of ``value``; never the value itself, which may be secret."""
    return "None" if value is None else type(value).__name__
