"""Stored text made harmless: it cannot move a terminal's cursor, colour it or turn its reading order."""

from __future__ import annotations

import unicodedata

# Controls, formats (bidirectional overrides, zero-width marks), surrogates, line and paragraph separators.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Scripts need these two to join their letters, and emoji to join theirs.
_JOINERS = frozenset({"\u200c", "\u200d"})


def plain(text: str, *, lines: bool = False) -> str:
    """Give ``text`` with harmful characters as their escapes; ``lines`` keeps line breaks and tabs."""
    if lines:
        text = text.replace("\r\n", "\n").expandtabs(4)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character, lines) for character in text)


def one_line(text: str, limit: int = 300) -> str:
    """Give ``text`` harmless and on one line; after ``limit`` characters it says how many are left out."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return plain(flat)
    return f"{plain(flat[:limit])}… ({len(flat) - limit:,} more characters)"


def columns(text: str) -> int:
    """Give how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def fit(text: str, width: int) -> str:
    """Cut ``text`` to ``width`` columns, the last one an ellipsis."""
    if columns(text) <= width:
        return text
    room = width - 1
    kept = []
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _columns(character: str) -> int:
    if unicodedata.combining(character) or character in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _shown(character: str, lines: bool) -> str:
    if character.isprintable() or character in _JOINERS or (lines and character == "\n"):
        return character
    if unicodedata.category(character) not in _HARMFUL:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
