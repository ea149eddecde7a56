"""The database server goes down and comes back under load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ledger import Ledger
from tests.processes import wait_until
from tests.worker.cluster import cluster

pytestmark = [
    pytest.mark.crash,
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]

LINES_OF_TROUBLE = 60


@pytest.mark.fault("F30")
def test_restarts_and_crashes_of_the_server_lose_no_acknowledged_saga(
    start_command, start_python, worker, ledger, tmp_path
):
    notes = tmp_path / "acknowledged"
    with cluster() as server:
        env = {"DATABASE_URL": server.url, "SAGA_TEST_DATABASE_NAME": "postgres"}
        assert start_command("migrate", "--run-syncdb", "--verbosity", "0", env=env).wait() == 0
        work = worker("--processes", "2", "--concurrency", "4", env=env)
        load = start_python("-m", "tests.worker.under_load", "start", str(notes), env=env)

        _wait_for_more(notes, ledger)
        for mode in ("fast", "immediate", "immediate"):
            server.stop(mode)
            server.start()
            _wait_for_more(notes, ledger)
        ledger.open("enough")
        assert load.wait() == 0
        judge = start_python("-m", "tests.worker.under_load", "judge", str(notes), env=env)

        assert judge.wait(timeout=90) == 0, judge.output
        verdict = json.loads(judge.output.splitlines()[-1])
        assert verdict["became"].keys() == {"completed", "compensated"}
        assert sum(verdict["became"].values()) == _count(notes)
        assert verdict["effects"] == [1]
        work.terminate()
        assert work.wait() == 0
    assert work.output.count("the database answers again") > 0
    assert "Traceback" not in work.output
    assert work.output.count("WARNING") < LINES_OF_TROUBLE, work.output


def _wait_for_more(notes: Path, ledger: Ledger) -> None:
    """Wait until some sagas more were started, and some steps more were run."""
    started, run = _count(notes), _count(ledger.path)
    wait_until(lambda: _count(notes) > started + 30 and _count(ledger.path) > run + 60)


def _count(notes: Path) -> int:
    return len(notes.read_text().splitlines()) if notes.exists() else 0
