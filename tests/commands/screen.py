"""What a command writes, on a terminal of a given width or into a file."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from django.core.management import call_command


class Screen(io.StringIO):
    """Something to write on; a terminal if it says so."""

    def __init__(self, *, is_terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._is_terminal


def written(command: str, *arguments: str, screen: Screen | None = None, **options: Any) -> str:
    """Run ``command`` and give what it wrote."""
    screen = screen or Screen()
    call_command(command, *arguments, stdout=screen, **options)
    return screen.getvalue()


def document(command: str, *arguments: str) -> Any:
    """Run ``command --json`` and give the one document it wrote."""
    return json.loads(written(command, *arguments, "--json"))


def cells(line: str) -> list[str]:
    """Give the cells of a line of a table."""
    return re.split(r"\s{2,}", line.strip())


_CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "<id>"),
    (r"worker [0-9a-f]{8}( \([^)]*\))?", "<worker>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
    (r"\b\d+(\.\d)? (ms|s|min|h)( \d+ (s|min))?\b", "<span>"),
)


def settled(text: str) -> str:
    """Give ``text`` with what differs from run to run named instead."""
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text)
    return text
