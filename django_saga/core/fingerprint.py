"""What errors that have the same cause have in common."""

from __future__ import annotations

import hashlib
import re

# Longer ones first: an id is no row of numbers.
_CHANGING = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,}\b|\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<number>"),
)


def normalised(message: str) -> str:
    """Give the first line of an error's message with ids, numbers and quoted texts left out."""
    line = message.strip().partition("\n")[0]
    for pattern, instead in _CHANGING:
        line = pattern.sub(instead, line)
    return line[:500]


def fingerprint(error_class: str, message: str) -> str:
    """Give the same 16 characters for errors of one class whose messages differ in such values only."""
    return hashlib.sha256(f"{error_class}\n{normalised(message)}".encode("utf-8", "replace")).hexdigest()[:16]
