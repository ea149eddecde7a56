"""The fork server of a sweep."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from django.db import connection

from tests.ledger import Ledger
from tests.processes import LOGS, RealProcess, environment
from tests.sweep.expectations import Canonical
from tests.sweep.points import Mode, Point, worth_a_blow


class ForkServer:
    """Runs jobs of ``tests.sweep.jobs``, each in a process of its own that writes into ``ledger``."""

    def __init__(self, lines: TextIO, ledger: Ledger) -> None:
        self._lines = lines
        self._ledger = ledger

    def run(self, job: str, **arguments: Any) -> dict[str, Any]:
        """Run ``job`` and give how its process ended. Only a killed process may end without a word."""
        self._lines.write(json.dumps([job, arguments, str(self._ledger.path)]) + "\n")
        self._lines.flush()
        told: dict[str, Any] = json.loads(self._lines.readline())
        if "error" in told:
            raise AssertionError(f"{job} {arguments!s:.300}:\n{told['error']}")
        assert told["killed"] or told["code"] == 0, (job, arguments, told)
        return told

    def points(
        self, mode: Mode, job: str, *, again: bool = True, **arguments: Any
    ) -> Iterator[tuple[int, str]]:
        """Run ``job`` unharmed and give every point it passed that is worth a blow: its number, and what to
        call its saga. ``again``: as in ``worth_a_blow``.
        """
        told = self.run(job, mode=Mode.NOTHING, at=0, **arguments)
        passed = [Point(*each) for each in told["passed"]]
        for at in worth_a_blow(passed, mode, again=again, server=connection.vendor != "sqlite"):
            yield at, f"{job}, {mode} {at} of {len(passed)}, {passed[at - 1].label}"[:200]

    def strike(self, mode: Mode, at: int, job: str, **arguments: Any) -> None:
        """Run ``job`` and strike it at point ``at``, which it has to reach."""
        told = self.run(job, mode=mode, at=at, **arguments)
        assert told["killed"] or told["reached"], f"point {at} was never reached: {job} {mode} {arguments}"

    def finish(self, canonical: Canonical, keys: list[str]) -> None:
        """Have the sagas of ``keys`` asked for again and carried to their end."""
        self.run("finish", wanted=[(canonical.saga, canonical.input, key) for key in keys])


@pytest.fixture(scope="session")
def fork_server(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RealProcess, TextIO]]:
    """A process on the test database to fork from, for all sweeps: it has no connection, and no job leaves a
    trace in it.
    """
    log = tmp_path_factory.mktemp("sweep") / "forkserver.log"
    # Paths of sockets have to be short, those of pytest's directories are not.
    with tempfile.TemporaryDirectory(prefix="saga") as directory:
        path = str(Path(directory) / "fork")
        server = RealProcess(["-m", "tests.sweep.forkserver", path], env=environment(), log=log)
        try:
            server.wait_for_line("^ready$")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.settimeout(120)
                with client.makefile("rw") as lines:
                    yield server, lines
        finally:
            server.end()


@pytest.fixture
def fork(
    request: pytest.FixtureRequest,
    fork_server: tuple[RealProcess, TextIO],
    transactional_db: None,
    ledger: Ledger,
) -> ForkServer:
    """A fork server on the test database, writing into the test's ledger."""
    server, lines = fork_server
    request.node.stash.setdefault(LOGS, {})["the fork server, in all sweeps"] = server.log
    return ForkServer(lines, ledger)
