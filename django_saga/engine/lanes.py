"""How much work a worker takes on: per executor, what runs and what waits in line for it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from django_saga.engine.tasks import Task
from django_saga.store.rows import StepRow

# Short steps are taken ahead of need, as many as ended in this time (in seconds): enough to share commits,
# and little enough that another worker would not have begun them sooner.
_AHEAD = 0.1
_MOST_AHEAD = 500
_SMOOTHING = 0.3


class Executor(Protocol):
    """Runs tasks and delivers what came of each, once."""

    size: int
    hung: int

    def start(self) -> None: ...
    def submit(self, task: Task) -> None: ...
    def revoke(self) -> list[Task]: ...
    def abandon(self, task: Task) -> bool: ...
    def stop(self) -> None: ...


class Lane:
    """An executor with its count of tasks taken on and a limit that follows its pace."""

    def __init__(self, name: str, executor: Executor) -> None:
        self.name = name
        self.executor = executor
        self.busy = 0
        self.promised = 0
        self._lock = threading.Lock()
        self._pace = 0.0  # tasks a second
        self._ended = 0
        self._since = time.monotonic()

    @property
    def limit(self) -> int:
        """Tasks to hold at most: those that run, and those ended within ``_AHEAD``."""
        return self.executor.size + min(_MOST_AHEAD, int(self._pace * _AHEAD))

    @property
    def free(self) -> int:
        """How many more may be taken on."""
        return max(0, self.limit - self.busy - self.promised)

    @property
    def roomy(self) -> bool:
        """True when there is room for a claim of some size: small ones cost as much as large ones."""
        return self.free * 4 >= self.limit

    def promise(self, *, owed: bool) -> bool:
        """Take on one more if there is room, or without asking if it is ``owed``; callable from any
        thread.
        """
        with self._lock:
            if not owed and self.free < 1:
                return False
            self.promised += 1
            return True

    def give_back(self, count: int) -> None:
        """End ``count`` promises; callable from any thread."""
        with self._lock:
            self.promised -= count

    def begin(self, task: Task) -> None:
        """Hand ``task`` to the executor."""
        self.busy += 1
        self.executor.submit(task)

    def end(self) -> None:
        """Count a task that ended."""
        self.busy -= 1
        self._ended += 1
        elapsed = time.monotonic() - self._since
        if elapsed > _AHEAD / 2:
            self._pace += _SMOOTHING * (self._ended / elapsed - self._pace)
            self._ended, self._since = 0, time.monotonic()


class Places:
    """What one batch promised to its successors in a worker's lanes, until they are handed over or it fails.

    ``owed``: how many steps of the batch ended. Each leaves its place to a successor, however full the
    worker is, so that sagas already begun go before new ones.
    """

    def __init__(self, lanes: Mapping[str, Lane], serves: Callable[[StepRow], bool], *, owed: int) -> None:
        self._lanes = lanes
        self._serves = serves
        self._owed = owed
        self._taken: Counter[str] = Counter()

    def take(self, row: StepRow) -> bool:
        """Promise a place to a step, if the worker may begin it and has room."""
        lane = self._lanes.get(row.executor)
        if lane is None or not self._serves(row) or not lane.promise(owed=self._owed > 0):
            return False
        self._owed -= 1
        self._taken[row.executor] += 1
        return True

    def give_back(self) -> None:
        """End all promises."""
        for executor, count in self._taken.items():
            self._lanes[executor].give_back(count)
        self._taken.clear()
