"""Whether a value fits a type hint: one small function for each hint, made once, called for each value."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, InitVar, fields, is_dataclass, replace
from enum import Enum
from typing import Annotated, Any, Literal, NewType, TypeAlias, TypeVar, Union, get_args, get_origin

from django_saga.core.problem import did_you_mean
from django_saga.dsl.scalars import (
    SIMPLE,
    Fit,
    Misfit,
    UnsupportedType,
    fit_enum,
    fit_literal,
    fit_none,
    kind_of,
    unexpected,
)

_Fits: TypeAlias = dict[Any, Fit]


def fit_for(hint: Any, known: _Fits | None = None) -> Fit:
    """Give a function that returns a value as ``hint`` or raises ``Misfit``; it converts what loses nothing.

    Raises ``UnsupportedType``.
    """
    known = {} if known is None else known
    hint = _unwrapped(hint)
    if hint in SIMPLE:
        return SIMPLE[hint]
    if hint is None:
        return fit_none
    if hint in (list, tuple, dict, Sequence, Iterable, Mapping):
        hint = {list: list[Any], tuple: tuple[Any, ...], dict: dict[str, Any], Mapping: dict[str, Any]}.get(
            hint, list[Any]
        )
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union([fit_for(arg, known) for arg in args], describe(hint))
    if origin is Literal:
        return fit_literal(args)
    if origin in (list, Sequence, Iterable):
        return _list(fit_for(args[0], known))
    if origin is tuple:
        return _tuple(args, known)
    if origin in (dict, Mapping):
        return _dict(args[0], fit_for(args[1], known))
    if isinstance(hint, type):
        if issubclass(hint, Enum):
            return fit_enum(hint)
        if is_dataclass(hint):
            return known.get(hint) or _Dataclass(hint, known)
        if callable(getattr(hint, "model_validate", None)):
            from django_saga.dsl.pydantic_schema import fit_model

            return fit_model(hint)
    raise UnsupportedType(f"{describe(hint)} is not a type that JSON can carry")


def describe(hint: Any) -> str:
    """Give a hint as people write it."""
    hint = _unwrapped(hint)
    if hint in (None, type(None)):
        return "None"
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    return str(getattr(hint, "__name__", hint))


# --- combinations ---------------------------------------------------------------------------------


def _union(members: list[Fit], described: str) -> Fit:
    if fit_none in members and len(members) == 2:
        return _optional(next(member for member in members if member is not fit_none))

    def fit(value: Any) -> Any:
        converted = _NOTHING
        misfits = []
        for member in members:
            try:
                fitted = member(value)
            except Misfit as misfit:
                misfits.append(misfit)
                continue
            if fitted is value:
                return value
            if converted is _NOTHING:
                converted = fitted
        if converted is not _NOTHING:
            return converted
        # The member that got furthest tells most.
        deepest = max(misfits, key=lambda misfit: len(misfit.trail))
        raise deepest if deepest.trail else unexpected(described, value)

    return fit


_NOTHING: Any = object()


def _optional(member: Fit) -> Fit:
    return lambda value: None if value is None else member(value)


# --- containers -----------------------------------------------------------------------------------


def _list(item: Fit) -> Fit:
    def fit(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise unexpected("list", value)
        return _each(value, item)

    return fit


def _tuple(args: tuple[Any, ...], known: _Fits) -> Fit:
    if len(args) == 2 and args[1] is Ellipsis:
        item = fit_for(args[0], known)
        return lambda value: tuple(_each(_sequence(value), item))
    members = [fit_for(arg, known) for arg in args]

    def fit(value: Any) -> tuple[Any, ...]:
        if len(_sequence(value)) != len(members):
            raise Misfit(f"expected {len(members)} values, got {len(value)}")
        fitted = []
        for index, (member, part) in enumerate(zip(members, value, strict=True)):
            fitted.append(_below(index, member, part))
        return tuple(fitted)

    return fit


def _sequence(value: Any) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    raise unexpected("tuple", value)


def _each(values: Sequence[Any], item: Fit) -> list[Any]:
    fitted: list[Any] = []
    try:
        for value in values:
            fitted.append(item(value))  # noqa: PERF401 - its length is the index of a misfit
    except Misfit as misfit:
        raise misfit.within(len(fitted)) from misfit.__cause__
    return fitted


def _dict(hint: Any, item: Fit) -> Fit:
    hint = _unwrapped(hint)
    if hint is Any:
        hint = str
    elif hint is not str and not _is_text(hint):
        raise UnsupportedType(f"dict with keys of {describe(hint)}: keys in JSON are str")
    key_fit = fit_for(hint)

    def fit(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise unexpected("dict", value)
        fitted = {}
        for key, part in value.items():
            try:
                fitted_key = key_fit(key)
            except Misfit as misfit:
                raise Misfit(f"the key {key!r:.40}: {misfit.problem}") from None
            fitted[fitted_key] = _below(key, item, part)
        return fitted

    return fit


def _is_text(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return all(type(choice) is str for choice in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, str) and issubclass(hint, Enum)


class _Dataclass:
    """Fits instances of a dataclass, and dicts that make one."""

    def __init__(self, kind: type, known: _Fits) -> None:
        known[kind] = self  # before its fields, which may name it again
        self._kind: Any = kind
        try:
            hints = typing.get_type_hints(kind)
        except Exception as error:
            raise UnsupportedType(f"the annotations of {kind.__name__} cannot be read: {error}") from error
        if extra := [name for name, hint in hints.items() if isinstance(hint, InitVar)]:
            raise UnsupportedType(f"{kind.__name__}.{extra[0]}: an InitVar is not stored")
        self._fields: dict[str, tuple[Field[Any], Fit]] = {}
        for field in fields(kind):
            try:
                self._fields[field.name] = field, fit_for(hints[field.name], known)
            except UnsupportedType as error:
                raise UnsupportedType(f"{kind.__name__}.{field.name}: {error}") from None

    def __call__(self, value: Any) -> Any:
        if isinstance(value, self._kind):
            return self._instance(value)
        if isinstance(value, dict):
            return self._from_dict(value)
        raise unexpected(self._kind.__name__, value)

    def _instance(self, value: Any) -> Any:
        if type(value) is not self._kind and {spec.name for spec in fields(value)} != self._fields.keys():
            raise Misfit(f"expected {self._kind.__name__}, got {kind_of(value)}, which has more fields")
        changed = {}
        for name, (_, fit) in self._fields.items():
            given = getattr(value, name)
            fitted = _below(name, fit, given)
            if fitted is not given and (type(fitted) is not type(given) or fitted != given):
                changed[name] = fitted
        return self._made(lambda: replace(value, **changed)) if changed else value

    def _from_dict(self, value: dict[Any, Any]) -> Any:
        given = {}
        for name, part in value.items():
            if name not in self._fields:
                known = [field for field, (spec, _) in self._fields.items() if spec.init]
                raise Misfit(f"unknown field.{did_you_mean(str(name), known)}").within(name)
            spec, fit = self._fields[name]
            if spec.init:  # the others are computed again
                given[name] = _below(name, fit, part)
        for name, (spec, _) in self._fields.items():
            if (
                name not in given
                and spec.init
                and spec.default is MISSING
                and spec.default_factory is MISSING
            ):
                raise Misfit("missing").within(name)
        return self._made(lambda: self._kind(**given))

    def _made(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Exception as error:
            raise Misfit(f"{self._kind.__name__} refuses it: {str(error) or type(error).__name__}") from error


def _below(key: object, fit: Fit, value: Any) -> Any:
    try:
        return fit(value)
    except Misfit as misfit:
        raise misfit.within(key) from misfit.__cause__


def _unwrapped(hint: Any) -> Any:
    """Give what stands behind names for types."""
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeVar):
            return Any
        elif hasattr(hint, "__value__"):  # type X = ..., from Python 3.12 on
            hint = hint.__value__
        else:
            return hint
