"""What an error of user code says, made storable."""

from __future__ import annotations

import linecache
import os
import traceback
from types import TracebackType
from typing import NamedTuple

from django_saga.conf import get_settings
from django_saga.core.fingerprint import fingerprint

_HERE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def traceback_of(error: BaseException) -> str:
    """Write down the traceback as Python prints it, without the marks below each line: finding their places
    costs more than all the rest.
    """
    within = error.__traceback__
    while within is not None and within.tb_frame.f_code.co_filename.startswith(_HERE):
        within = within.tb_next  # the way from here to user code says nothing
    within = within or error.__traceback__
    if isinstance(error, BaseExceptionGroup) or error.__cause__ or error.__context__:
        return _long_traceback(error, within)
    lines = ["Traceback (most recent call last):\n"]
    for frame, number in traceback.walk_tb(within):
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {number}, in {code.co_name}\n')
        if source := linecache.getline(code.co_filename, number, frame.f_globals).strip():
            lines.append(f"    {source}\n")
    return "".join([*lines, *traceback.format_exception_only(error)])


def _long_traceback(error: BaseException, within: TracebackType | None) -> str:
    """Write down the traceback of an error that came of others."""
    taken = traceback.TracebackException(type(error), error, within, compact=True)
    part: traceback.TracebackException | None = taken
    while part is not None:
        for frame in part.stack:
            frame.colno = frame.end_colno = None
        part = part.__cause__ or part.__context__
    return "".join(taken.format())


def class_name(error: BaseException) -> str:
    """Give the dotted name of an error's class, as long as the columns that keep it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[:200]


class Told(NamedTuple):
    """What is kept of an error."""

    error_class: str
    error: str
    fingerprint: str


def told(error: BaseException) -> Told:
    """Say what an error is: its class, what it says, and what it has in common with others like it."""
    name, said = class_name(error), clean(str(error) or type(error).__name__)
    return Told(name, said, fingerprint(name, said))


def clean(text: str) -> str:
    """Make error text storable: no NUL, no lone surrogates, at most ``MAX_ERROR_BYTES`` bytes, its end
    kept.
    """
    limit = get_settings().max_error_bytes
    data = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    # What a traceback ends with says most, what a message begins with.
    half = (limit - 8) // 2
    return f"{data[:half].decode('utf-8', 'ignore')} […] {data[-half:].decode('utf-8', 'ignore')}"
