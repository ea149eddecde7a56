"""Starts the fake services inside the test, on a free port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from example_project.clients import http
from example_project.services.faults import FaultPlan
from example_project.services.ledger import Ledger
from example_project.services.server import Server, Service

NO_FAULTS = FaultPlan()


class RunningService:
    """A fake service, and a way to call it."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.ledger = server.ledger

    def post(self, path: str, body: Any, *, key: str = "k-1", timeout: float = 5) -> tuple[int, Any]:
        """Return status and body. Raises ``ServiceTrouble`` when there is no answer."""
        answer = http.call(
            "POST", self.url + path, body, idempotency_key=key, timeout=timedelta(seconds=timeout)
        )
        return answer.status, answer.body

    def effects(self) -> list[tuple[str, str, str, str]]:
        """Return (action, reference, key, amount) of each effect, as ``/ledger`` reports them."""
        report = http.call("GET", f"{self.url}/ledger", timeout=timedelta(seconds=5)).body
        return [(row["action"], row["reference"], row["key"], row["amount"]) for row in report["effects"]]


@contextmanager
def running(service: Service, directory: Path, faults: FaultPlan = NO_FAULTS) -> Iterator[RunningService]:
    """Serve ``service`` until the end of the block."""
    ledger = Ledger(directory / f"{service.name}.sqlite3")
    server = Server(0, service, ledger, faults)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield RunningService(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        ledger.close()
