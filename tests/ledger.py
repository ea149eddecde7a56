"""What steps of the tests did, counted independently of the app's own tables.

An effect in the database is a row of ``Effect``, written by an atomic step in its own transaction. An
effect outside is a line in the file that ``SAGA_TEST_LEDGER`` names: one append, which stays when the
process that wrote it is killed.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

VARIABLE = "SAGA_TEST_LEDGER"
LONGEST_WAIT = 60.0  # seconds, after which a step that waits for the test gives up


class Line(NamedTuple):
    """One call of the outside world."""

    key: str  # the step's idempotency key
    kind: str
    note: str
    pid: int

    @property
    def step(self) -> str:
        """``charge:do`` of ``<saga id>:charge:do``."""
        return self.key.partition(":")[2]


def external(key: str, kind: str = "call", note: str = "") -> int:
    """Call the outside world: append a line; give where it ends."""
    line = json.dumps([key, kind, note, os.getpid()]) + "\n"
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


def length() -> int:
    """How much was done in the outside world so far, by whichever process."""
    path = Path(os.environ[VARIABLE])
    return path.stat().st_size if path.exists() else 0


def is_open(gate: str) -> bool:
    """Whether the test has opened ``gate``; from any process."""
    return Path(os.environ[VARIABLE]).with_name(f"{gate}.gate").exists()


def wait_at_gate(name: str) -> None:
    """Wait until the test opens the gate ``name``; from any process."""
    ends_at = time.monotonic() + LONGEST_WAIT
    while not is_open(name):
        if time.monotonic() > ends_at:
            raise RuntimeError(f"nobody opened the gate {name}")
        time.sleep(0.005)


def effect(key: str, kind: str = "do") -> None:
    """Have an effect in the database, in the open transaction."""
    from tests.models import Effect

    Effect.objects.create(key=key, kind=kind, pid=os.getpid())


def effects() -> Counter[str]:
    """How often each key had its effect in the database."""
    from tests.models import Effect

    return Counter(Effect.objects.values_list("key", flat=True))


class Ledger:
    """The outside world's own record."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, gate: str) -> None:
        """Let pass whoever waits, or will wait, at ``gate``."""
        self.path.with_name(f"{gate}.gate").touch()

    def lines(self, kind: str | None = None, *, before: int | None = None) -> list[Line]:
        """Every call, oldest first; those that end at ``before`` at the latest."""
        text = self.path.read_bytes()[:before] if self.path.exists() else b""
        lines = [Line(*json.loads(line)) for line in text.splitlines()]
        return [line for line in lines if kind in (None, line.kind)]

    def steps(self, kind: str | None = None) -> list[str]:
        """``charge:do`` of every call, oldest first."""
        return [line.step for line in self.lines(kind)]

    def calls(self, kind: str | None = None, *, before: int | None = None) -> Counter[str]:
        """How often each key was used; a provider that knows its keys had one effect for each."""
        return Counter(line.key for line in self.lines(kind, before=before))
