"""The worker's parent process: starts the processes that work, replaces those that die or freeze, and passes
on what it is told.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType

from django.db import connections

from django_saga.engine import child

_SHORT_LIFE = 2.0  # seconds; a process that died younger is replaced after a pause
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)


@dataclass(slots=True)
class _Child:
    """A process at work: where it is told things, where it gives signs of life, how often it gave none."""

    pid: int
    orders: int
    signs: int
    began: float = field(default_factory=time.monotonic)
    missed: int = 0
    mute: bool = False
    solo: bool = False  # runs suspects


class Supervisor:
    """Keeps ``processes`` children at work until it is told to stop.

    ``patience``: a child that gives no sign of life for that long, as when a step holds the interpreter, is
    killed. Its leases have run out by then, so what it did is already being taken over. ``build_solo``: gives
    the worker of a further process, which runs suspects while there are any.
    """

    def __init__(
        self,
        build: Callable[[], child.Stoppable],
        processes: int,
        say: Callable[[str], None],
        *,
        patience: timedelta,
        build_solo: Callable[[], child.Stoppable] | None = None,
    ) -> None:
        self._build = build
        self._build_solo = build_solo
        self._processes = processes
        self._say = say
        self._patience = patience.total_seconds()
        self._children: dict[int, _Child] = {}
        self._due: list[float] = []  # when to start a process, by the monotonic clock
        self._asked: list[int] = []
        self._stopping = False
        self._suspects = False
        self._pause = _FIRST_PAUSE
        self._code = child.STOPPED
        self._count_at = 0.0
        self._wakeup, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakeup, False)

    def run(self) -> int:
        """Supervise until stopped; give the exit code."""
        # Handlers only note what arrived and wake the loop: nothing is done at a place that was interrupted.
        for number in _HEARD:
            signal.signal(number, self._hear)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        connections.close_all()  # a forked connection would be shared
        self._due = [0.0] * self._processes
        while self._children or (self._due and not self._stopping):
            self._start_those_due()
            self._wait()
            self._heed()
            self._bury()
        return self._code

    # --- what the loop does -------------------------------------------------------------------------

    def _start_those_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0] <= now and not self._stopping:
            self._due.pop(0)
            self._spawn(self._build)
        solo = self._suspects and not any(each.solo for each in self._children.values())
        if solo and self._build_solo and not self._stopping:
            self._spawn(self._build_solo, solo=True)
        self._suspects = False

    def _wait(self) -> None:
        """Sleep until something happens, one beat at most, and note who gave no sign meanwhile."""
        pause = child.BEAT
        if self._due and not self._stopping:
            pause = min(pause, max(0.0, self._due[0] - time.monotonic()))
        signs = {each.signs: each for each in self._children.values() if not each.mute}
        heard, _, _ = select.select([self._wakeup, *signs], [], [], pause)
        for number in heard:
            if number in signs:
                self._hear_child(signs[number], os.read(number, 4096))
            else:
                os.read(number, 4096)
        now = time.monotonic()
        if now >= self._count_at:
            # Counted in the loop's own turns: a machine that was asleep is no reason to kill anyone.
            self._count_at = now + child.BEAT
            self._miss()

    def _hear_child(self, each: _Child, words: bytes) -> None:
        each.mute = not words
        each.missed = 0
        self._suspects = self._suspects or child.SUSPECTS in words

    def _miss(self) -> None:
        for each in self._children.values():
            each.missed += 1
            if each.missed * child.BEAT > self._patience:
                each.missed = 0
                self._say(f"worker process {each.pid} gives no sign of life; killing it")
                _kill(each.pid, signal.SIGKILL)

    def _heed(self) -> None:
        """Do what signals asked for."""
        while self._asked:
            number = self._asked.pop(0)
            if number == signal.SIGCHLD:
                continue
            if number == signal.SIGQUIT:
                self._code = child.FAILED
                for each in self._children.values():
                    _kill(each.pid, signal.SIGQUIT)
            self._tell(child.LEAVE if self._stopping else child.DRAIN)
            self._stopping = True

    def _bury(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._buried(self._children.pop(pid), os.waitstatus_to_exitcode(status))

    def _buried(self, dead: _Child, code: int) -> None:
        os.close(dead.orders)
        os.close(dead.signs)
        if self._stopping:
            if code == child.CRASHED:
                self._code = child.FAILED
            return
        if dead.solo:
            if code != child.STOPPED:
                self._say(f"worker process {dead.pid}, which runs suspects alone, {_how(code)}")
            return
        if code == child.FAILED:
            # It could not even begin, and said why: a replacement would say the same.
            self._code = child.FAILED
            self._tell(child.DRAIN)
            self._stopping = True
            return
        pause = 0.0
        if code < 0 or code == child.CRASHED:
            if time.monotonic() - dead.began < _SHORT_LIFE:
                pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            else:
                self._pause = _FIRST_PAUSE
        self._say(
            f"worker process {dead.pid} {_how(code)}; replacing it{f' in {pause:g} s' if pause else ''}"
        )
        self._due = sorted([*self._due, time.monotonic() + pause])

    # --- processes ------------------------------------------------------------------------------------

    def _spawn(self, build: Callable[[], child.Stoppable], *, solo: bool = False) -> None:
        orders_in, orders_out = os.pipe()
        signs_in, signs_out = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with _signals_held():
            pid = os.fork()
            if pid:
                self._children[pid] = _Child(pid, orders_out, signs_in, solo=solo)
            else:
                child.prepare()
        if pid:
            os.close(orders_in)
            os.close(signs_out)
            return
        for each in self._children.values():
            # A sibling would keep them open, and its brother would never learn of the parent's end.
            os.close(each.orders)
            os.close(each.signs)
        os.close(orders_out)
        os.close(signs_in)
        child.live(build, orders_in, signs_out, self._say)

    def _tell(self, word: bytes) -> None:
        for each in self._children.values():
            with suppress(BrokenPipeError):
                os.write(each.orders, word)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked.append(number)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals for later: the handlers of one process must not run in another."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    try:
        yield
    finally:
        # Not the whole set of before: it may hold signals of the C library, which Python warns of.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(_HEARD) - before)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return {
        child.RETIRED: "retired, as steps hang in it",
        child.STOPPED: "was told to stop",
    }.get(code, f"ended with code {code}")
