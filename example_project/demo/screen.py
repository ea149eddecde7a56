"""What the demo says: one line that is written over on a terminal, and every few seconds anew elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from datetime import timedelta
from pathlib import Path

RATE_OVER = timedelta(seconds=5)
BETWEEN_LINES = timedelta(seconds=2)


class Speed:
    """Sagas ended a second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, ended: int, *, at: float) -> float:
        """Take the number ended so far, at a time in seconds; return the speed."""
        self._seen.append((at, ended))
        while at - self._seen[0][0] > RATE_OVER.total_seconds():
            self._seen.popleft()
        first_at, first = self._seen[0]
        return (ended - first) / (at - first_at) if at > first_at else 0.0


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._live = ""
        self._written_at = 0.0

    def say(self, text: str = "") -> None:
        """Write lines that stay."""
        self._clear()
        print(text, flush=True)

    def live(self, line: str) -> None:
        """Show the line of progress."""
        if line == self._live:
            return
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r{line[:width]:<{width}}")
            sys.stdout.flush()
        elif time.monotonic() - self._written_at < BETWEEN_LINES.total_seconds():
            return
        else:
            print(line, flush=True)
        self._live = line
        self._written_at = time.monotonic()

    def _clear(self) -> None:
        if self._is_terminal and self._live:
            print(flush=True)
        self._live = ""


def shown(path: Path) -> Path:
    """Give ``path`` as a person types it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
