"""What stands for a value while a ``@saga`` function is traced: it can be passed on, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from django_saga.core import encoding
from django_saga.dsl.expression import INPUT, LITERAL, RESULT, Reference, references
from django_saga.exceptions import EncodingError


class Placeholder:
    """The saga's input, a step's result, or a part of either: ``input.sku`` or ``r["id"]``.

    Both ways lead to a key of a dictionary, or a field of a dataclass or pydantic model; whole numbers to an
    item of a list. It has no value yet, so it can be passed to steps, by itself or in dicts and lists.
    """

    __slots__ = ("_saga_flow", "_saga_reference")
    _saga_flow: object
    _saga_reference: Reference

    def __init__(self, flow: object, reference: Reference) -> None:
        object.__setattr__(self, "_saga_flow", flow)
        object.__setattr__(self, "_saga_reference", reference)

    def __repr__(self) -> str:
        return f"<placeholder of {self._saga_reference}>"

    def __getattr__(self, name: str) -> Placeholder:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} takes names with _ in brackets: [{name!r}]")
        return self[name]

    def __getitem__(self, key: str | int) -> Placeholder:
        if type(key) not in (str, int):
            raise TypeError(f"{self!r} takes text or whole numbers in brackets, not {key!r}")
        step, path = self._saga_reference
        return Placeholder(self._saga_flow, Reference(step, (*path, key)))


def reference(value: object, flow: object) -> Reference | None:
    """Give what ``value`` stands for in ``flow``; None if it is no placeholder. Raises ``TypeError``."""
    if not isinstance(value, Placeholder):
        return None
    if value._saga_flow is not flow:
        raise TypeError(f"{value!r} belongs to another saga")
    return value._saga_reference


def as_data(value: Any, flow: object, name: str) -> Any:
    """Give ``value`` as the data of ``expression``. Raises ``TypeError`` that names what cannot be stored."""
    found = reference(value, flow)
    if found is not None:
        return {RESULT: [found.step, *found.path]} if found.step else {INPUT: list(found.path)}
    if isinstance(value, dict):
        data = {key: as_data(item, flow, encoding.join_path(name, key)) for key, item in value.items()}
        if any(not isinstance(key, str) for key in data):
            raise TypeError(f"{name}: keys must be str")
        if len(data) != 1 or not next(iter(data)).startswith("$"):
            return data
        if any(references(list(data.values()))):
            raise TypeError(f"{name}: a placeholder cannot be alone in a dict with a key that begins with $")
        return {LITERAL: _stored(value, name)}
    if isinstance(value, (list, tuple)):
        return [as_data(item, flow, encoding.join_path(name, at)) for at, item in enumerate(value)]
    if callable(value):
        raise TypeError(
            f"{name} is a function. Give data and placeholders; what has to be computed is a step, "
            "or flow.transform(function, input)."
        )
    return _stored(value, name)


_NO_LIMIT = 2**40


def _stored(value: Any, name: str) -> Any:
    """Give ``value`` as a step would see it, had it come from the database."""
    try:
        return encoding.decode(encoding.encode(value, max_bytes=_NO_LIMIT, name=name))
    except EncodingError as error:
        raise TypeError(str(error)) from error


def steps_in(data: Any) -> Iterator[str]:
    """Name the steps whose results ``data`` takes."""
    return (found.step for found in references(data) if found.step)


# --- what a placeholder cannot do -------------------------------------------------------------------

_COMPUTE = "cannot be computed with: do that in flow.transform(function, input)"
_REFUSALS = {
    "cannot decide an if, while, and, or, not: let a step look at it, or flow.transform(function, input)": [
        "bool"
    ],
    "cannot be looped over or unpacked: take its parts by [...], or pass it to a step whole": [
        *("iter", "next", "reversed", "len", "contains"),
    ],
    "cannot be compared: let a step look at it, or flow.transform(function, input)": [
        *("eq", "ne", "lt", "le", "gt", "ge"),
    ],
    "cannot be a key, nor a member of a set": ["hash"],
    "cannot be put into text: do that in flow.transform(function, input)": ["str", "format", "bytes"],
    "cannot be called: it is data, not an object with methods": ["call"],
    "cannot be changed: a step returns something new": ["setattr", "delattr", "setitem", "delitem"],
    "cannot be awaited or entered: nothing runs while the saga is traced": [
        *("await", "enter", "exit", "aenter", "aexit", "aiter"),
    ],
    _COMPUTE: [
        *("int", "float", "complex", "index", "round", "trunc", "floor", "ceil"),
        *("neg", "pos", "abs", "invert"),
        *(
            f"{side}{operation}"
            for operation in (
                *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
                *("lshift", "rshift", "and", "or", "xor"),
            )
            for side in ("", "r")
        ),
    ],
}


def _refusing(problem: str) -> Any:
    def refuse(self: Placeholder, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            f"{self!r} has no value yet: a @saga function is traced once, before any saga runs. It {problem}."
        )

    return refuse


for _problem, _names in _REFUSALS.items():
    for _name in _names:
        setattr(Placeholder, f"__{_name}__", _refusing(_problem))
