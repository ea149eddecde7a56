"""What may be wrong with a definition, as people read it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``code`` for programs, ``step`` is empty when it concerns the whole saga."""

    code: str
    step: str
    message: str
    hint: str

    def __str__(self) -> str:
        where = f"step {self.step!r}: " if self.step else ""
        return f"{where}{self.message} {self.hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give " Did you mean …?" for the closest of ``known``, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
