"""Actors: functions that run in threads with connections of their own and stop before each statement."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

# Seconds before the database is asked whether an actor waits for a lock, and before giving up.
_SOON = 0.003
_NEVER = 20.0


class Actor:
    """A thread that plays one function after the other, a statement whenever ``go`` says so."""

    def __init__(self) -> None:
        self.session = 0  # the server's process
        self.answer: Any = None
        self._jobs: list[Callable[[], Any] | None] = []
        self._begin = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        self._stopped = threading.Event()
        self._playing = False
        threading.Thread(target=self._serve, daemon=True).start()

    def take_on(self, job: Callable[[], Any]) -> None:
        """Begin ``job``, up to its first statement."""
        self.answer, self._playing = None, True
        self._jobs.append(job)
        self._stopped.clear()
        self._begin.release()
        self._stopped.wait(_NEVER)

    def go(self) -> None:
        """Let the next statement run; ``has_stopped`` tells when it is through."""
        self._stopped.clear()
        self._go.release()

    def has_stopped(self, is_blocked: Callable[[int], bool]) -> bool:
        """Wait until the statement is through and give True; or False once it waits for somebody's lock."""
        waited = 0.0
        while not self._stopped.wait(_SOON):
            if is_blocked(self.session):
                # It may have come through in between.
                return self._stopped.is_set()
            waited += _SOON
            assert waited < _NEVER, "an actor is neither through nor blocked"
        return True

    @property
    def is_done(self) -> bool:
        """True when nothing is left to play."""
        return not self._playing and self._stopped.is_set()

    def dismiss(self) -> None:
        """End the thread."""
        self._jobs.append(None)
        self._begin.release()

    def _serve(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self.session = cursor.fetchone()[0]
        # Seen from outside only what happens within a job: connecting and looking up the session are over.
        connection.execute_wrappers.append(self._statement)
        for name in ("_commit", "_rollback"):
            setattr(connection, name, self._ending(getattr(connection, name)))
        while True:
            self._begin.acquire()
            job = self._jobs.pop()
            if job is None:
                connection.close()
                return
            try:
                self.answer = job()
            except Exception as error:
                self.answer = error
            self._playing = False
            self._stopped.set()

    def _statement(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        self._pause()
        return execute(sql, params, many, context)

    def _ending(self, end: Callable[[], Any]) -> Callable[[], Any]:
        def paused() -> Any:
            self._pause()
            return end()

        return paused

    def _pause(self) -> None:
        self._stopped.set()
        self._go.acquire()
