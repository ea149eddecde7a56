"""Plain data that stands for a step's input: what is in it, and what it takes from elsewhere.

``{"$input": "customer.id"}`` stands for a part of the saga's input, ``{"$result": "reserve.total"}`` for a
part of a step's result. The way to the part may be a list, ``["reserve", "total"]``, for keys that hold a
dot. ``{"$literal": ...}`` stands for what is in it. Only items of lists, keys of dictionaries and fields of
dataclasses and pydantic models are looked at: such data may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from django_saga.core.encoding import join_path
from django_saga.exceptions import PermanentFailure

INPUT, RESULT, LITERAL = "$input", "$result", "$literal"


class Reference(NamedTuple):
    """What a reference leads to: a step's result, or the saga's input (then ``step`` is empty), or a part."""

    step: str
    path: tuple[Any, ...]

    def __str__(self) -> str:
        place = f"result of step {self.step}" if self.step else "input"
        for key in self.path:
            place = join_path(place, key)
        return place


class WrongReference(Exception):
    """What is written like a reference, and is none."""


def references(data: Any) -> Iterator[Reference]:
    """Give every reference in ``data``. Raises ``WrongReference``."""
    if isinstance(data, Mapping):
        if (reference := _reference(data)) is not None:
            yield reference
        elif LITERAL not in data or len(data) > 1:
            for item in data.values():
                yield from references(item)
    elif isinstance(data, (list, tuple)):
        for item in data:
            yield from references(item)


def resolve(data: Any, ctx: Any, what: str = "input") -> Any:
    """Give ``data``, the ``what`` of a step, with every reference in it replaced.

    Raises ``PermanentFailure`` for one to nothing.
    """
    if isinstance(data, Mapping):
        if (reference := _reference(data)) is not None:
            return _look_up(reference, ctx, what)
        if LITERAL in data and len(data) == 1:
            return deepcopy(data[LITERAL])
        return {key: resolve(item, ctx, what) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [resolve(item, ctx, what) for item in data]
    return data


def _reference(data: Mapping[str, Any]) -> Reference | None:
    if len(data) != 1:
        return None
    [(kind, way)] = data.items()
    if not isinstance(kind, str) or not kind.startswith("$") or kind == LITERAL:
        return None
    if kind not in (INPUT, RESULT):
        raise WrongReference(f"{kind!r} is no reference: there are {INPUT}, {RESULT} and {LITERAL}")
    path = way.split(".") if isinstance(way, str) and way else way or []
    if not isinstance(path, (list, tuple)) or not all(type(key) in (str, int) for key in path):
        raise WrongReference(f"{kind} leads by text with dots, or by a list of keys, not by {way!r:.80}")
    if kind == INPUT:
        return Reference("", tuple(path))
    if not path or not isinstance(path[0], str) or not path[0]:
        raise WrongReference(f"{RESULT} names no step: write {{{RESULT!r}: 'step.key'}}")
    return Reference(path[0], tuple(path[1:]))


def _look_up(reference: Reference, ctx: Any, what: str) -> Any:
    try:
        found = ctx.results[reference.step] if reference.step else ctx.input
    except KeyError as error:
        raise PermanentFailure(f"The {what} of step {ctx.step!r} cannot be made: {error.args[0]}") from None
    for depth, key in enumerate(reference.path):
        try:
            found = _part(found, key)
        except LookupError as error:
            place = Reference(reference.step, reference.path[:depth])
            told = f"the {place} has no {key!r}; {error.args[0]}"
            raise PermanentFailure(f"The {what} of step {ctx.step!r} cannot be made: {told}.") from None
    return found


def _part(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        raise LookupError(_there_is(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        at = int(key) if isinstance(key, str) and key.isdecimal() else key
        if isinstance(at, int) and -len(value) <= at < len(value):
            return value[at]
        raise LookupError(f"it is a list of {len(value)}")
    names = _fields(value)
    if key in names:
        return getattr(value, key)
    raise LookupError(_there_is(names) if names else f"it is of type {type(value).__name__}")


def _fields(value: Any) -> Sequence[str]:
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    return list(getattr(type(value), "model_fields", ()))


def _there_is(keys: Any) -> str:
    listed = [repr(key) for key in keys]
    shown = f"{', '.join(listed[:10])}{', …' * (len(listed) > 10)}"
    return f"there is {shown}" if listed else "it is empty"
