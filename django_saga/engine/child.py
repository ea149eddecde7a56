"""A worker process under its parent: built, told what to do, and never outliving its use."""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import NoReturn, Protocol

from django.db import DatabaseError, connections

from django_saga.exceptions import SagaError

# Exit codes of a worker process.
STOPPED = 0
FAILED = 1  # it could not begin
CRASHED = 2
RETIRED = 3

# What the parent says.
DRAIN = b"d"
LEAVE = b"l"
# What the child says.
ALIVE = b"."
SUSPECTS = b"s"
BEAT = 1.0  # seconds between signs of life

# After its drain timeout a worker records what it leaves behind; it has this long for it, in seconds.
_LAST_WORDS = 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0


class Stoppable(Protocol):
    """What a worker process runs."""

    drain_timeout: timedelta
    on_suspects: Callable[[], None] | None

    @property
    def draining(self) -> bool: ...
    @property
    def retired(self) -> bool: ...
    @property
    def stuck(self) -> bool: ...

    def run(self) -> None: ...
    def stop(self) -> None: ...
    def leave(self) -> None: ...


def prepare() -> None:
    """Take the parent's handlers off, straight after the fork."""
    signal.set_wakeup_fd(-1)
    # The terminal sends Ctrl-C to every process; the parent tells what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, _quit)


def live(build: Callable[[], Stoppable], orders: int, signs: int, say: Callable[[str], None]) -> NoReturn:
    """Be a worker process, from the fork to its end."""
    code = FAILED
    try:
        link = _Link(orders, signs)
        link.start()
        worker = _built(build, say)
        code = CRASHED
        link.worker = worker
        worker.on_suspects = link.report_suspects
        signal.signal(signal.SIGTERM, lambda number, frame: worker.stop())
        _settle()
        worker.run()
        code = RETIRED if worker.retired else STOPPED
    except SagaError as error:
        # The remedy is in the message; where in this code it was found helps nobody.
        say(f"{type(error).__name__}: {error}")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads that hang must not keep the process.
        os._exit(code)


def _settle() -> None:
    """Set the interpreter up for many short steps."""
    # What was loaded so far stays: the collector need not look at it again with every batch.
    gc.collect()
    gc.freeze()
    # A batch makes thousands of objects that are dropped with it, without cycles: the usual threshold of 700
    # has the collector look at each of them while it is in use.
    gc.set_threshold(10_000, *gc.get_threshold()[1:])
    # A writer whose commit is done waits for the interpreter at most this long, not the usual 5 ms.
    sys.setswitchinterval(0.0005)


@contextmanager
def heeding(worker: Stoppable) -> Iterator[None]:
    """Have signals stop a worker that has no parent: the first drains it, a second one has it leave."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def heed(number: int, frame: FrameType | None) -> None:
        if worker.draining:
            worker.leave()
        else:
            worker.stop()

    before = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Link(threading.Thread):
    """The child's end of the lines to its parent: hears orders, gives signs of life.

    A line that ends means that the parent is gone, however it went.
    """

    def __init__(self, orders: int, signs: int) -> None:
        super().__init__(name="saga-parent", daemon=True)
        os.set_blocking(signs, False)
        self.worker: Stoppable | None = None
        self._orders = orders
        self._signs = signs
        self._end_at: float | None = None

    def run(self) -> None:
        lines = [self._orders]
        while True:
            heard, _, _ = select.select(lines, [], [], BEAT)
            if heard:
                word = os.read(self._orders, 1)
                lines = [self._orders] if word else []
                self._heed(word or DRAIN)
            self._say(ALIVE)
            self._see_to_the_end()

    def _heed(self, word: bytes) -> None:
        if self.worker is None:
            os._exit(STOPPED)  # it has not begun, so there is nothing to leave in order
        if word == LEAVE:
            self.worker.leave()
        else:
            self.worker.stop()

    def report_suspects(self) -> None:
        """Have the parent run a process for suspects."""
        self._say(SUSPECTS)

    def _say(self, word: bytes) -> None:
        try:
            os.write(self._signs, word)
        except (BlockingIOError, BrokenPipeError):
            return  # a parent that does not listen, or is gone

    def _see_to_the_end(self) -> None:
        """End a process that cannot end itself: its loop waits for what will not come, as when the database
        neither answers nor refuses.
        """
        if self.worker is None:
            return
        if self.worker.stuck:
            os._exit(RETIRED)
        if not self.worker.draining:
            return
        now = time.monotonic()
        if self._end_at is None:
            self._end_at = now + self.worker.drain_timeout.total_seconds() + _LAST_WORDS
        elif now > self._end_at:
            os._exit(CRASHED)


def _built(build: Callable[[], Stoppable], say: Callable[[str], None]) -> Stoppable:
    """Build the worker; a database that cannot be reached is waited for."""
    wait = _FIRST_WAIT
    while True:
        try:
            return build()
        except DatabaseError as error:
            if any(connection.connection for connection in connections.all(initialized_only=True)):
                raise
            say(f"the database cannot be reached yet: {' '.join(str(error).split())}")
        time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311
        wait = min(wait * 2, _LONGEST_WAIT)


def _quit(number: int, frame: FrameType | None) -> None:
    os._exit(FAILED)
