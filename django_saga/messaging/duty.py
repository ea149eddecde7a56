"""Work that goes on beside sagas: done while there is any, else looked for ever less often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError

from django_saga.engine import connections
from django_saga.engine.polling import TOLD, Polling
from django_saga.exceptions import BrokerUnavailable
from django_saga.signals import message_event
from django_saga.store import errors

# Between two tries while the database, or whatever else is needed, is away, in seconds.
_PAUSE = 1.0


class Duty(threading.Thread):
    """A thread that takes turns. ``build`` gives what takes one, and says False when it was idle.

    An idle one waits to be woken, at most ``longest`` seconds (None: as long as it takes, and without a
    connection to the database); or it takes a turn ``every`` so many seconds. ``end`` is called when the
    thread ends.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Callable[[], bool]],
        *,
        longest: float | None = 1.0,
        every: float = 0.0,
        end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=f"saga-{name}", daemon=True)
        self._build = build
        self._polling = Polling(longest or _PAUSE, growth=TOLD)
        self._polls = longest is not None
        self._every = every
        self._end = end
        self._woken = threading.Event()
        self._stopping = self._finishing = False
        self.resting = False  # it waits to be woken, and nobody has done so
        self._turn: Callable[[], bool] | None = None

    def wake(self, using: str = "") -> None:
        """Look now."""
        self.resting = False
        self._polling.wake()
        self._woken.set()

    def stop(self) -> None:
        """Have the thread end after its turn."""
        self._stopping = True
        self._woken.set()

    def finish(self) -> None:
        """Have the thread end once there is nothing to do."""
        self._finishing = True
        self._woken.set()

    def run(self) -> None:
        while not self._stopping:
            self.resting = False
            self._woken.clear()
            if self.once():
                continue
            if self._finishing:
                break
            self._polling.looked(found=False, left_behind=False)
            if not self._stopping:
                self._rest()
        if self._end:
            self._end()
        connections.close()

    def _rest(self) -> None:
        self.resting = not self._woken.is_set()
        if self._polls or self._every:
            self._woken.wait(self._every or max(0.0, self._polling.next_at - time.monotonic()))
        elif not self._woken.wait(_PAUSE):
            connections.close()
            self._woken.wait()

    def once(self) -> bool:
        """Take one turn; False when there was nothing to do. Trouble is told, and waited out."""
        try:
            if self._turn is None:
                self._turn = self._build()
            if self._turn():
                self._polling.wake()
                return True
            return False
        except Exception as error:
            connections.refresh(after_error=True)
            if isinstance(error, (DatabaseError, InterfaceError)) and errors.is_conflict(error):
                return True
            database = isinstance(error, (DatabaseError, InterfaceError))
            expected = database or isinstance(error, BrokerUnavailable)
            message_event.send_robust(Duty, event="trouble", duty=self.name, error=error, expected=expected)
            self._woken.wait(_PAUSE)
            # The database is waited for. Whoever ends when nothing is due need not wait for a broker.
            return database and not self._stopping
