"""How values become JSON text and come back with their types: inputs, results, compensation data.

What JSON lacks is written as an object with one key that starts with ``$`` (``{"$decimal": "1.20"}``). A dict
of the user's that looks like that gets one more ``$``, so every value comes back as it was. Numbers that a
database would change are tagged too: PostgreSQL's ``jsonb`` gives large floats back as ints, and -0.0 without
its sign; MySQL makes floats of ints beyond 64 bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import copysign, isfinite
from typing import Any
from uuid import UUID

from django_saga.exceptions import EncodingError

MAX_DIGITS = 4_000  # Python refuses to read back ints of more than 4,300
ACCEPTED = (
    "dict, list, str, int, float, bool, None, Decimal, date, datetime, time, timedelta, UUID, "
    "Enum, dataclass or pydantic model"
)


def encode(
    value: Any,
    *,
    max_bytes: int,
    max_depth: int = 64,
    name: str = "value",
    setting: str = "MAX_RESULT_BYTES",
    depth_from: str = "setting MAX_DEPTH",
) -> str:
    """Give ``value`` as compact JSON text that ``decode`` turns back into the same value.

    Tuples become lists, enums their values, dataclasses and pydantic models dicts of their fields.
    ``name`` is the root of the path in errors, ``setting`` the setting that ``max_bytes`` comes from,
    ``depth_from`` what bounds the depth.
    Raises ``EncodingError``.
    """
    budget = _Budget(max_depth, max_bytes, depth_from)
    try:
        plain = _plain(value, 0, budget)
        text = _to_json(plain)
    except _TooLarge:
        raise EncodingError(_too_large(f"more than {max_bytes:,}", max_bytes, setting), path=name) from None
    except _Refused as refusal:
        raise refusal.as_error(name) from None
    except (RecursionError, ValueError) as error:
        raise EncodingError(f"cannot be written as JSON ({error})", path=name) from error
    if "\\u0000" in text:
        _refuse_bad_text(plain, name)
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            _refuse_bad_text(plain, name)
    if size > max_bytes:
        raise EncodingError(_too_large(f"{size:,}", max_bytes, setting), path=name)
    return text


def decode(text: str) -> Any:
    """Give back the value that ``encode`` wrote."""
    # Tags are rare; without one the C decoder does it all.
    return _from_tagged_json(text) if '"$' in text else _from_json(text)


def digest(text: str) -> str:
    """Give the SHA-256 of the JSON in ``text``, whatever the order of keys and the spacing."""
    canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# --- writing --------------------------------------------------------------------------------------

_to_json = json.JSONEncoder(
    # The walk below leaves a fresh tree, which has no cycles.
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,
    separators=(",", ":"),
).encode
_KEPT = frozenset({str, bool, type(None)})
_LARGEST_INT = 10**MAX_DIGITS - 1
_PAST_64_BIT = 2**63
# From here on repr() writes an exponent without a fraction, which jsonb stores as a whole number.
_WHOLE_FLOAT = 1e16


class _Budget:
    """What a walk may still use; ``left`` also ends structures that share parts and unfold without end."""

    __slots__ = ("depth", "depth_from", "left")

    def __init__(self, depth: int, left: int, depth_from: str) -> None:
        self.depth = depth
        self.left = left
        self.depth_from = depth_from

    def spent(self) -> Exception:
        """Give the error for a container that is more than the budget allows."""
        if self.left < 0:
            return _TooLarge()
        return _Refused(f"nested more than {self.depth} levels deep ({self.depth_from})")


class _TooLarge(Exception):
    """More values than the limit has bytes."""


class _Refused(Exception):
    """A value that cannot be stored; gathers its way from the root while it rises."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        # Key or index, and the id of its container; the innermost first.
        self.trail: list[tuple[object, int]] = []

    def as_error(self, root: str) -> EncodingError:
        """Give the error for the user, with the path from ``root``."""
        paths: dict[int, str] = {}
        path = root
        for depth, (key, container) in enumerate(reversed(self.trail)):
            if container in paths:
                problem = f"refers back to {paths[container]}; a value cannot contain itself"
                return EncodingError(problem, path=path)
            paths[container] = path
            path = join_path(path, key) if depth < 12 else path if path.endswith("…") else f"{path}…"
        return EncodingError(self.problem, path=path)


def _plain(value: Any, depth: int, budget: _Budget) -> Any:
    kind = type(value)
    if kind in _KEPT:
        return value
    write = _WRITERS.get(kind) or _writer_for(value)
    return write(value, depth, budget)


def _dict(value: dict[Any, Any], depth: int, budget: _Budget) -> Any:
    depth += 1
    budget.left -= len(value)
    if budget.left < 0 or depth > budget.depth:
        raise budget.spent()
    plain = value.copy()
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is not str and not isinstance(key, str):
                raise _Refused(f"the key {_shown(key)} is {_a(key)}; keys must be str")
            if type(item) not in _KEPT:
                plain[key] = _plain(item, depth, budget)
    except _Refused as refusal:
        refusal.trail.append((key, id(value)))
        raise
    if len(plain) == 1 and key[:1] == "$":
        return {"$" + key: plain[key]}
    return plain


def _list(value: list[Any] | tuple[Any, ...], depth: int, budget: _Budget) -> list[Any]:
    depth += 1
    budget.left -= len(value)
    if budget.left < 0 or depth > budget.depth:
        raise budget.spent()
    plain: list[Any] = []
    try:
        for item in value:
            # Not extend(): the length of ``plain`` is the index of a value that is refused.
            plain.append(item if type(item) in _KEPT else _plain(item, depth, budget))  # noqa: PERF401
    except _Refused as refusal:
        refusal.trail.append((len(plain), id(value)))
        raise
    return plain


def _dataclass(value: Any, depth: int, budget: _Budget) -> Any:
    members = {field.name: getattr(value, field.name) for field in fields(value)}
    return _members(members, value, depth, budget)


def _pydantic(value: Any, depth: int, budget: _Budget) -> Any:
    try:
        members = value.model_dump()
    except ValueError as error:
        raise _Refused(f"{type(value).__name__}.model_dump() failed: {error}") from error
    return _members(members, value, depth, budget)


def _members(members: Any, owner: Any, depth: int, budget: _Budget) -> Any:
    try:
        return _plain(members, depth, budget)
    except _Refused as refusal:
        if refusal.trail:  # a cycle is recognised by the object itself, not by the dict made of it
            refusal.trail[-1] = (refusal.trail[-1][0], id(owner))
        raise


def _int(value: int, depth: int, budget: _Budget) -> Any:
    if -_PAST_64_BIT <= value < _PAST_64_BIT:
        return value
    if -_LARGEST_INT <= value <= _LARGEST_INT:
        return {"$int": str(value)}
    raise _Refused(f"int of more than {MAX_DIGITS:,} digits; use a str")


def _float(value: float, depth: int, budget: _Budget) -> Any:
    if -_WHOLE_FLOAT < value < _WHOLE_FLOAT and (value or copysign(1.0, value) > 0):
        return value
    if isfinite(value):
        return {"$float": repr(value)}
    raise _Refused(f"the float {value!r} cannot be stored as JSON; use None or a str")


def _decimal(value: Decimal, depth: int, budget: _Budget) -> Any:
    if value.is_finite():
        return {"$decimal": str(value)}
    raise _Refused(f"the Decimal {value} cannot be stored as JSON; use None or a str")


def _datetime(value: datetime, depth: int, budget: _Budget) -> Any:
    return {"$datetime": value.isoformat()}


def _date(value: date, depth: int, budget: _Budget) -> Any:
    return {"$date": value.isoformat()}


def _time(value: time, depth: int, budget: _Budget) -> Any:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise _Refused(f"time in the zone {value.tzinfo} has no offset; use a datetime or a naive time")
    return {"$time": value.isoformat()}


def _timedelta(value: timedelta, depth: int, budget: _Budget) -> Any:
    micros = value // timedelta(microseconds=1)
    sign, (seconds, rest) = "-" * (micros < 0), divmod(abs(micros), 1_000_000)
    return {"$timedelta": f"{sign}{seconds}.{rest:06}"}


def _uuid(value: UUID, depth: int, budget: _Budget) -> Any:
    return {"$uuid": str(value)}


def _enum(value: Enum, depth: int, budget: _Budget) -> Any:
    return _plain(value.value, depth, budget)


_Writer = Callable[[Any, int, _Budget], Any]
_WRITERS: dict[type, _Writer] = {
    dict: _dict,
    list: _list,
    tuple: _list,
    int: _int,
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _timedelta,
    UUID: _uuid,
}
# For subclasses; the narrower of two related types first.
_FAMILIES: tuple[tuple[type, _Writer], ...] = (
    (Enum, _enum),
    (str, lambda value, depth, budget: str.__str__(value)),
    (int, lambda value, depth, budget: _int(int.__index__(value), depth, budget)),
    (float, lambda value, depth, budget: _float(float.__float__(value), depth, budget)),
    (datetime, _datetime),
    (dict, lambda value, depth, budget: _members(dict(value.items()), value, depth, budget)),
    *(item for item in _WRITERS.items() if item[0] not in (dict, int, float, datetime)),
)
_REMEDIES: tuple[tuple[tuple[type, ...], str], ...] = (
    ((set, frozenset), "use a sorted list"),
    ((bytes, bytearray, memoryview), "decode them to str, or use base64"),
)


def _writer_for(value: Any) -> _Writer:
    for family, write in _FAMILIES:
        if isinstance(value, family):
            return write
    if not isinstance(value, type):
        if is_dataclass(value):
            return _dataclass
        if callable(getattr(type(value), "model_dump", None)):
            return _pydantic
    kind = type(value).__name__
    for types, remedy in _REMEDIES:
        if isinstance(value, types):
            raise _Refused(f"{kind} cannot be stored as JSON; {remedy}")
    raise _Refused(f"{kind} cannot be stored as JSON; use {ACCEPTED}")


# --- reading --------------------------------------------------------------------------------------

_from_json = json.JSONDecoder().decode
READERS: dict[str, Callable[[str], Any]] = {
    "$float": float,
    "$int": int,
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda text: timedelta(microseconds=int(text.replace(".", ""))),
    "$uuid": UUID,
}


def untag(found: dict[str, Any], readers: Mapping[str, Callable[[str], Any]] = READERS) -> Any:
    """Give what an object of stored JSON stands for: what ``readers`` makes of it when it is a tag."""
    if len(found) != 1:
        return found
    ((key, value),) = found.items()
    if key[:1] != "$":
        return found
    if key[:2] == "$$":
        return {key[1:]: value}
    read = readers.get(key)
    if read is None:
        raise EncodingError(f"unknown tag {key!r}; was this written by a newer django-saga?")
    return read(value)


_from_tagged_json = json.JSONDecoder(object_hook=untag).decode

# --- words for errors -----------------------------------------------------------------------------


def _too_large(size: str, limit: int, setting: str) -> str:
    return f"{size} bytes; the limit is {limit:,} (setting {setting})"


def _refuse_bad_text(plain: Any, path: str) -> None:
    """Raise for the first text in ``plain`` that a database refuses; return if there is none."""
    if isinstance(plain, str):
        if problem := _text_problem(plain):
            raise EncodingError(f"str with {problem}", path=path)
    elif isinstance(plain, list):
        for index, item in enumerate(plain):
            _refuse_bad_text(item, join_path(path, index))
    elif isinstance(plain, dict):
        for key, item in plain.items():
            if problem := _text_problem(key):
                raise EncodingError(f"the key {_shown(key)} has {problem}", path=path)
            _refuse_bad_text(item, join_path(path, key))


def _text_problem(text: str) -> str:
    for position, character in enumerate(text):
        if character == "\0":
            return f"a NUL character at position {position}, which databases refuse; remove it"
        if "\ud800" <= character <= "\udfff":
            code = f"U+{ord(character):04X}"
            return f"the lone surrogate {code} at position {position}, which is no text; replace it"
    return ""


def join_path(path: str, key: object) -> str:
    """Give the path of what is found under ``key`` (or an index) at ``path``."""
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}"
    return f"{path}[{_shown(key)}]"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
