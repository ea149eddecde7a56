"""The type of a saga's input, output or result: what fits it, and how stored JSON becomes that type again."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, Protocol

from django_saga.dsl.fitting import fit_for
from django_saga.dsl.scalars import Fit, Misfit, SchemaError, UnsupportedType


class Schema(Protocol):
    """Two directions, both raising ``SchemaError`` for what does not fit."""

    def to_plain(self, value: Any, name: str) -> Any:
        """Check ``value`` and give what ``encoding.encode`` stores for it; ``name`` is the root of paths."""
        ...

    def from_plain(self, data: Any, name: str) -> Any:
        """Give ``data``, as ``encoding.decode`` gave it back, as the declared type."""
        ...


class TypeSchema:
    """A dataclass, or another type hint, checked field by field."""

    def __init__(self, hint: Any) -> None:
        self._fit: Fit = fit_for(hint)

    def to_plain(self, value: Any, name: str) -> Any:
        """Give ``value`` as the declared type; dicts become dataclasses. Raises ``SchemaError``."""
        try:
            return self._fit(value)
        except Misfit as misfit:
            raise misfit.as_error(name) from misfit.__cause__
        except RecursionError:
            raise SchemaError("nested too deeply, or within itself", path=name) from None

    from_plain = to_plain


def schema_for(declared: Any) -> Schema | None:
    """Give the schema of what a saga declares as input or output; None for None, which takes any JSON.

    Raises ``UnsupportedType`` for what is neither a dataclass, a pydantic model nor a serializer class.
    """
    if declared is None:
        return None
    if isinstance(declared, type):
        if is_dataclass(declared):
            return TypeSchema(declared)
        if callable(getattr(declared, "model_validate", None)):
            from django_saga.dsl.pydantic_schema import PydanticSchema

            return PydanticSchema(declared)
        if callable(getattr(declared, "run_validation", None)):
            from django_saga.dsl.serializer_schema import SerializerSchema

            return SerializerSchema(declared)
    raise UnsupportedType(f"{declared!r} is neither a dataclass, a pydantic model nor a serializer class")
