"""What a payload has to be, as JSON Schema: of the types that handlers and participants declare.

Named types (dataclasses, models) are kept apart, each once, and referred to; so a type may be made of itself.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain, count
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

Schema = dict[str, Any]

_SIMPLE: dict[Any, Schema] = {
    Any: {},
    object: {},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    # On the way decimals are text: numbers of JSON would lose digits.
    Decimal: {"type": "string", "format": "decimal"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
}
# Fields of REST framework, the more special first.
_FIELDS: tuple[tuple[str, Schema], ...] = (
    ("BooleanField", _SIMPLE[bool]),
    ("IntegerField", _SIMPLE[int]),
    ("FloatField", _SIMPLE[float]),
    ("DecimalField", _SIMPLE[Decimal]),
    ("DateTimeField", _SIMPLE[datetime]),
    ("DateField", _SIMPLE[date]),
    ("TimeField", _SIMPLE[time]),
    ("DurationField", _SIMPLE[timedelta]),
    ("UUIDField", _SIMPLE[UUID]),
    ("CharField", _SIMPLE[str]),
)


class JsonSchemas:
    """Gives schemas, and keeps those of named types in ``named``, where ``known`` ones are already;
    ``where``: what references begin with.
    """

    def __init__(self, where: str, known: Mapping[str, Schema] | None = None) -> None:
        self.named: dict[str, Schema] = dict(known or {})
        self._names: dict[type, str] = {}
        self._where = where

    def of(self, declared: Any) -> Schema:
        """Give the schema of a type; None takes any JSON."""
        return {} if declared is None else self._of(declared)

    def _of(self, hint: Any) -> Schema:
        while (origin := get_origin(hint)) is Annotated or isinstance(hint, NewType):
            hint = get_args(hint)[0] if origin is Annotated else hint.__supertype__
        args = get_args(hint)
        if hint in _SIMPLE:
            return dict(_SIMPLE[hint])
        if origin in (Union, types.UnionType):
            return {"anyOf": [self._of(arg) for arg in args]}
        if origin is Literal:
            return {"enum": list(args)}
        if origin is tuple and args[-1:] != (Ellipsis,):
            items = [self._of(arg) for arg in args]
            return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
        if (origin or hint) in (dict, Mapping):
            return {"type": "object", "additionalProperties": self._of(args[1]) if args else {}}
        if (origin or hint) in (list, tuple, Sequence, Iterable):
            return {"type": "array", "items": self._of(args[0]) if args else {}}
        if issubclass(hint, Enum):
            return {"enum": [member.value for member in hint]}
        return self._named(hint)

    def _named(self, kind: type) -> Schema:
        if kind not in self._names:
            # Two modules may have a type of one name.
            names = chain([kind.__name__], (f"{kind.__name__}.{number}" for number in count(2)))
            name = self._names[kind] = next(each for each in names if each not in self.named)
            self.named[name] = {}  # it may be made of itself
            self.named[name] = self._described(kind, name)
        return {"$ref": f"{self._where}{self._names[kind]}"}

    def _described(self, kind: Any, name: str) -> Schema:
        if is_dataclass(kind):
            hints = get_type_hints(kind, include_extras=True)
            required = [
                spec.name
                for spec in fields(kind)
                if spec.default is MISSING and spec.default_factory is MISSING
            ]
            return _object({spec.name: self._of(hints[spec.name]) for spec in fields(kind)}, required)
        if callable(getattr(kind, "model_json_schema", None)):
            schema: Schema = kind.model_json_schema(ref_template=f"{self._where}{name}.{{model}}")
            self.named |= {f"{name}.{part}": each for part, each in schema.pop("$defs", {}).items()}
            return schema
        found = {word: each for word, each in kind().fields.items() if not each.read_only}
        required = [word for word, each in found.items() if each.required]
        return _object({word: self._of_field(each) for word, each in found.items()}, required)

    def _of_field(self, field: Any) -> Schema:
        kinds = {kind.__name__ for kind in type(field).__mro__}
        if "ListSerializer" in kinds or "ListField" in kinds:
            schema: Schema = {"type": "array", "items": self._of_field(field.child)}
        elif "BaseSerializer" in kinds:
            schema = self._named(type(field))
        elif "ChoiceField" in kinds:
            schema = {"enum": list(field.choices)}
        else:
            schema = dict(next((schema for name, schema in _FIELDS if name in kinds), {}))
        return {"anyOf": [schema, {"type": "null"}]} if field.allow_null else schema


def _object(properties: Schema, required: Sequence[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema
