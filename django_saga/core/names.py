"""What others name: topics, events, consumers and headers, and the keys that tell one thing from another."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

MAX_NAME_LENGTH = 100
MAX_KEY_LENGTH = 200
_NAME = re.compile(f"[A-Za-z0-9_.-]{{1,{MAX_NAME_LENGTH}}}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def name_problem(name: object, what: str) -> str:
    """Say why ``name`` cannot be ``what`` ("a topic"); nothing when it can."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return ""
    return f'{name!a:.120} cannot be {what}: use up to {MAX_NAME_LENGTH} letters, digits, "_", "." and "-"'


def is_storable(text: object) -> bool:
    """True for text that every database keeps as it is."""
    return isinstance(text, str) and not _UNSTORABLE.search(text)


def fits(text: object, length: int) -> bool:
    """True for text that a column of that length keeps in every database; see ``fit_rule``."""
    return isinstance(text, str) and 0 < len(text) <= length and is_storable(text)


def fit_rule(length: int) -> str:
    """Say in words what ``fits`` wants."""
    return f"text of 1 to {length} characters without NUL and lone surrogates"


def key_text(key: Any, what: str) -> str:
    """Give ``key`` as text: a whole number and a UUID stand for their digits. Raises ``ValueError``, which
    calls it ``what`` ("the key").
    """
    text = str(key) if isinstance(key, UUID) or type(key) is int else key
    if fits(text, MAX_KEY_LENGTH):
        return str(text)
    raise ValueError(
        f"{what} has to be {fit_rule(MAX_KEY_LENGTH)}, a whole number or a UUID, not {key!a:.80}"
    )
