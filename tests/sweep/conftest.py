"""The fork server of a sweep."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.ledger import Ledger
from tests.processes import StartProcess
from tests.sweep.expectations import Canonical
from tests.sweep.points import AFTER, Mode


class ForkServer:
    """Runs jobs of ``tests.sweep.jobs``, each in a process of its own."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def run(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Run ``job`` and give how its process ended. Only a killed process may end without a word."""
        self._lines.write(json.dumps([job, arguments]) + "\n")
        self._lines.flush()
        told: dict[str, Any] = json.loads(self._lines.readline())
        if "error" in told:
            raise AssertionError(f"{job} {arguments!s:.300}:\n{told['error']}")
        assert told["killed"] or told["code"] == 0, (job, arguments, told)
        return told

    def points(
        self, mode: Mode, job: str, *, again: bool = True, **arguments: Any
    ) -> Iterator[tuple[int, str]]:
        """Run ``job`` unharmed and give every point it passed: its number, and what to call its saga.

        ``again=False``: of statements of the same words inside transactions, where nothing lasts yet, only
        the first and the last one, for a job that comes to the same place over and over.
        """
        passed = self.run(job, mode=Mode.NOTHING, at=0, **arguments)["passed"]
        first = {label: at for at, (label, _) in reversed([*enumerate(passed, 1)])}
        last = {label: at for at, (label, _) in enumerate(passed, 1)}
        for at, (label, lasting) in enumerate(passed, 1):
            if lasting or (mode not in AFTER and (again or at in (first[label], last[label]))):
                yield at, f"{job}, {mode} {at} of {len(passed)}, {label}"[:200]

    def strike(self, mode: Mode, at: int, job: str, **arguments: Any) -> None:
        """Run ``job`` and strike it at point ``at``, which it has to reach."""
        told = self.run(job, mode=mode, at=at, **arguments)
        assert told["killed"] or told["reached"], f"point {at} was never reached: {job} {mode} {arguments}"

    def finish(self, canonical: Canonical, keys: list[str]) -> None:
        """Have the sagas of ``keys`` asked for again and carried to their end."""
        self.run("finish", wanted=[(canonical.saga, canonical.input, key) for key in keys])


@pytest.fixture
def fork(start_python: StartProcess, ledger: Ledger) -> Iterator[ForkServer]:
    """A fork server on the test database, writing into the test's ledger."""
    # Paths of sockets have to be short, those of pytest's directories are not.
    with tempfile.TemporaryDirectory(prefix="saga") as directory:
        path = str(Path(directory) / "fork")
        start_python("-m", "tests.sweep.forkserver", path).wait_for_line("^ready$")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.settimeout(120)
            with client.makefile("rw") as lines:
                yield ForkServer(lines)
