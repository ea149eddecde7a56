"""Serializer classes of Django REST framework as schemas: what is stored is their ``validated_data``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django_saga.core.encoding import join_path
from django_saga.dsl.scalars import SchemaError, kind_of

# What REST framework files errors of the whole value under, unless the project renames it.
_WHOLE = "non_field_errors"


class SerializerSchema:
    """Fits what a serializer finds valid; the steps see its ``validated_data``, a dict."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def to_plain(self, value: Any, name: str) -> Any:
        """Give the validated data. Raises ``SchemaError``."""
        serializer = self._serializer(data=value)
        if serializer.is_valid():
            return serializer.validated_data
        (keys, problem), *others = _flat(serializer.errors, ())
        path, found = name, value
        for key in keys:
            path, found = join_path(path, key), _part(found, key)
        got = "" if found is _ABSENT else f" (got {kind_of(found)})"
        more = f" (and {len(others)} more)" if others else ""
        raise SchemaError(f"{problem}{got}{more}", path=path)

    def from_plain(self, data: Any, name: str) -> Any:
        """Give ``data``: it was validated before it was stored."""
        return data


_ABSENT: Any = object()


def _part(value: Any, key: object) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return _ABSENT


def _flat(errors: Any, keys: tuple[object, ...]) -> Iterator[tuple[tuple[object, ...], str]]:
    """Give every message in the nested ``errors`` with the keys that lead to it."""
    if isinstance(errors, Mapping):
        for key, inner in errors.items():
            yield from _flat(inner, keys if key == _WHOLE else (*keys, key))
    elif isinstance(errors, list):
        for index, inner in enumerate(errors):
            # A list holds the messages of one field, or one dict for each item of a nested list.
            yield from _flat(inner, (*keys, index) if isinstance(inner, Mapping) else keys)
    else:
        yield keys, str(errors)
