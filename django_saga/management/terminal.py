"""How a command writes for people: as wide, as colourful and in such letters as the other end can take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.color import color_style, no_style
from django.utils import timezone

from django_saga.core.shapes import BACK, BAD, BUSY, GOOD, Shape
from django_saga.core.spans import span

_LINES = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-", "…": "...", "“": '"', "”": '"'})
_STYLES = {GOOD: "SUCCESS", BAD: "ERROR", BUSY: "MIGRATE_LABEL", BACK: "WARNING"}


class Terminal:
    """The other end of ``stdout``. ``width``: its columns; None where it is no terminal."""

    def __init__(self, stdout: Any, *, colour: bool | None = None) -> None:
        self._stdout = stdout
        self._encoding: str = getattr(stdout, "encoding", None) or "utf-8"
        is_terminal = stdout.isatty()
        self.width = shutil.get_terminal_size().columns if is_terminal else None
        coloured = is_terminal if colour is None else colour
        self._style: Any = color_style(force_color=colour is True) if coloured else no_style()

    def write(self, text: str) -> None:
        """Write ``text``; letters that the encoding lacks as their escapes, lines in ASCII."""
        if not self._takes(text):
            text = text.translate(_LINES).encode(self._encoding, "backslashreplace").decode(self._encoding)
        self._stdout.write(text)

    def bare_sign(self, shape: Shape) -> str:
        """Give the sign of ``shape`` without colour, in ASCII where the encoding lacks it."""
        return shape.sign if self._takes(shape.sign) else shape.ascii

    def sign(self, shape: Shape) -> str:
        """Give the sign of ``shape``, in colour where that is wanted."""
        return self.paint(shape, self.bare_sign(shape))

    def paint(self, shape: Shape, text: str) -> str:
        """Give ``text`` in the colour of ``shape``'s tone."""
        style: Callable[[str], str] = getattr(self._style, _STYLES.get(shape.tone, ""), str)
        return style(text)

    def strong(self, text: str) -> str:
        """Give ``text`` as a heading."""
        painted: str = self._style.MIGRATE_HEADING(text)
        return painted

    def _takes(self, text: str) -> bool:
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True


def colour_wanted(options: dict[str, Any]) -> bool | None:
    """Read --no-color, --force-color and the variable NO_COLOR; None leaves it to the terminal."""
    if options.get("force_color"):
        return True
    return False if options.get("no_color") or os.environ.get("NO_COLOR") else None


def ago(at: datetime, now: datetime) -> str:
    """Give how long before (or after) ``now`` that was."""
    return f"{span(now - at)} ago" if at <= now else f"in {span(at - now)}"


def clock_time(at: datetime) -> str:
    """Give ``at`` in the project's time zone, to the second."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")
