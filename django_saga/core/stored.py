"""A definition as plain data, as the database keeps it, and back."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.validation import problems

# All else that checks refuse today may have been allowed when it was stored.
_NO_GRAPH = frozenset({"cycle", "duplicate-step", "no-steps", "unknown-step"})
_APART = frozenset({"name", "version", "description"})  # columns of the row


def to_data(definition: SagaDefinition) -> dict[str, Any]:
    """Give the graph, policies and options of ``definition`` as JSON-able data; what is as by default is left
    out, except what drawings need.
    """
    data: dict[str, Any] = {name: value for name, value in _plain(definition).items() if name not in _APART}
    data["steps"] = [step_data(step) for step in definition.steps]
    for step in data["steps"]:
        if main := definition.mains.get(step["name"]):
            step["stands_in_for"] = main
    if shown := str(definition.limits):
        data["limits_shown"] = shown
    return data


def step_data(step: StepDefinition) -> dict[str, Any]:
    """Give one step as JSON-able data."""
    drawn = {
        "name": step.name,
        "after": list(step.after),
        "atomic": step.atomic,
        "queue": step.queue,
        "compensation": step.undo.function if step.undo else None,
    }
    if shown := str(step.limits):
        drawn["limits_shown"] = shown
    if step.wait:
        drawn["wait_shown"] = str(step.wait)
    return {**drawn, **_plain(step)}


def from_data(name: str, version: int, data: Any) -> SagaDefinition:
    """Build a definition from what ``to_data`` gave. Raises ``ValueError`` when it is none.

    Types of errors in retry policies stay behind: nothing that was decided depends on them.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("steps"), list):
        raise ValueError(f"what is stored of saga {name} v{version} is no graph")
    try:
        steps = tuple(_step(step) for step in data["steps"])
        given = {key: value for key, value in data.items() if key not in {*_APART, "steps"}}
        definition = SagaDefinition(name=name, version=version, steps=steps, **_values(SagaDefinition, given))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"what is stored of saga {name} v{version} cannot be read: {error}") from error
    for problem in problems(definition, max_steps=len(steps)):
        if problem.code in _NO_GRAPH:
            raise ValueError(f"what is stored of saga {name} v{version} cannot run: {problem}")
    return definition


def _step(data: Mapping[str, Any]) -> StepDefinition:
    values = _values(StepDefinition, data)
    if values.get("undo") is None and data.get("compensation"):
        values["undo"] = UndoDefinition(function=str(data["compensation"]))
    values.setdefault("no_compensation", values.get("undo") is None)
    return StepDefinition(**values)


# --- values as data -------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        held = {spec: getattr(value, spec.name) for spec in fields(value)}
        return {spec.name: _plain(given) for spec, given in held.items() if given != _default(spec)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, type) or callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _default(spec: Field[Any]) -> Any:
    return spec.default_factory() if spec.default_factory is not MISSING else spec.default


# --- data as values -------------------------------------------------------------------------------


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _values(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values of the fields of ``cls`` that ``data`` holds; what it holds beside them is ignored."""
    hints = _hints(cls)
    return {name: _value(hints[name], value) for name, value in data.items() if _is_kept(hints.get(name))}


def _is_kept(hint: Any) -> bool:
    """True for what can be built again, which code cannot: types of errors, and functions."""
    code = {type, Callable}
    return hint is not None and not any(get_origin(part) in code for part in (hint, *get_args(hint)))


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hints = [arg for arg in get_args(hint) if arg is not types.NoneType]
        if value is None:
            return None
        hint = timedelta if timedelta in hints else hints[0]
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if hint is timedelta:
        return timedelta(seconds=value)
    if is_dataclass(hint) and isinstance(hint, type):
        return hint(**_values(hint, value))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if isinstance(hint, type) and not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value
