"""Fixtures of the worker's tests: workers with short leases, as processes or beside the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

import pytest

from django_saga import runtime
from django_saga.engine.worker import Worker
from tests.ledger import Ledger
from tests.processes import RealProcess, StartProcess

LEASE = timedelta(seconds=1)


@pytest.fixture
def worker(start_worker: StartProcess, ledger: Ledger) -> StartProcess:
    """Start a worker whose leases are short: ``worker("--processes", "2", faults="step.mid=kill9")``."""

    def start(*arguments: str, env: Mapping[str, str] | None = None, faults: str = "") -> RealProcess:
        return start_worker("--lease", str(LEASE.total_seconds()), *arguments, env=env, faults=faults)

    return start


@pytest.fixture
def relief(transactional_db: None, ledger: Ledger) -> Iterator[Callable[..., Worker]]:
    """Start a worker in a thread of the test, at work at once: it relieves a process that was killed."""
    started: list[tuple[Worker, threading.Thread]] = []

    def begin(queues: Sequence[str] | None = None) -> Worker:
        beside = runtime.build_worker(using="default", queue_names=queues, lease=LEASE, concurrency=4)
        thread = threading.Thread(target=beside.run, name="relief")
        thread.start()
        started.append((beside, thread))
        return beside

    yield begin
    for beside, _ in started:
        beside.stop()
    for _, thread in started:
        thread.join(30)
        assert not thread.is_alive()
