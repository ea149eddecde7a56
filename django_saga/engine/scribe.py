"""A second writer beside the worker's loop: while one commit is under way, the next is prepared.

Two batches of one saga may be under way at once; the saga's lock puts them in order, and as each locks its
sagas by id they cannot wait for each other in a circle.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from django_saga.engine import connections
from django_saga.engine.tasks import Outcome, Recorded


class Scribe(threading.Thread):
    """Records batches that the loop hands over, one at a time, and gives back what came of them."""

    def __init__(
        self, record: Callable[[list[Outcome]], Iterable[Recorded]], deliver: Callable[[Recorded], None]
    ) -> None:
        super().__init__(name="saga-scribe", daemon=True)
        self.busy = False
        self._record = record
        self._deliver = deliver
        self._batches: queue.SimpleQueue[list[Outcome] | None] = queue.SimpleQueue()

    def take(self, outcomes: list[Outcome]) -> None:
        """Have ``outcomes`` recorded; ``busy`` until that is done."""
        self.busy = True
        self._batches.put(outcomes)

    def stop(self) -> None:
        """Have the thread end after its batch."""
        self._batches.put(None)

    def run(self) -> None:
        try:
            while (outcomes := self._batches.get()) is not None:
                for recorded in self._record(outcomes):
                    self._deliver(recorded)
                self.busy = False
        finally:
            connections.close()
