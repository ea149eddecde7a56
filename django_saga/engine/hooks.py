"""Calls hooks of sagas: in the caller's thread, or, where a worker works, in a thread of their own, so that
one that blocks holds up no step.
"""

from __future__ import annotations

import inspect
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync

from django_saga.dsl.hooks import HookFunction
from django_saga.dsl.transition import Transition, hooks_for
from django_saga.engine import connections

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

logger = logging.getLogger("django_saga.hooks")

# Calls that may wait for the thread; beyond them hooks are left out, so that memory stays bounded.
ROOM = 10_000
# How long a worker that stops waits for hooks, and how often it says that some are left out, in seconds.
_LAST_WORDS = 5.0
_QUIET = 30.0


def call(program: Program, transition: Transition) -> None:
    """Call the hooks that are told of ``transition``, or have them called."""
    thread = _thread
    for word in hooks_for(transition.signal, transition.status, undo=transition.undo):
        for function in program.hook(word, transition.step):
            if thread is not None:
                thread.take(function, transition)
            else:
                _call(function, transition)


def to_background() -> None:
    """Have this process' hooks called in a thread of their own, until each such call was taken back."""
    global _thread, _workers
    with _lock:
        _workers += 1
        if _thread is None:
            _thread = _HookThread()
            _thread.start()


def from_background() -> None:
    """Take back one ``to_background``; the last one waits for the calls that are left, within limits."""
    global _thread, _workers
    with _lock:
        _workers -= 1
        last, _thread = (None, _thread) if _workers else (_thread, None)
    if last is not None:
        last.stop()


def _call(function: HookFunction, transition: Transition) -> None:
    try:
        answer = function(transition)
        if inspect.isawaitable(answer):
            async_to_sync(_awaited)(answer)
    except BaseException as error:
        if is_for_process(error):
            raise
        saga = transition.saga
        logger.error(
            "hook %s failed for saga %s %s, %s%s: %s: %s",
            getattr(function, "__qualname__", repr(function)),
            saga.name,
            saga.id,
            transition.signal,
            f" {transition.step}" if transition.step else "",
            type(error).__name__,
            error,
            exc_info=error,
        )


def is_for_process(error: BaseException) -> bool:
    """True for Ctrl-C, which means the process and not the hook or receiver it fell into."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


async def _awaited(answer: Any) -> Any:
    return await answer


class _HookThread(threading.Thread):
    """Calls hooks one after the other, in the order of what they are told."""

    def __init__(self) -> None:
        super().__init__(name="saga-hooks", daemon=True)
        self._calls: queue.SimpleQueue[tuple[HookFunction, Transition] | None] = queue.SimpleQueue()
        self._left_out = 0
        self._said_at = -_QUIET

    def take(self, function: HookFunction, transition: Transition) -> None:
        """Have a hook called, unless too many wait already."""
        if self._calls.qsize() < ROOM:
            self._calls.put((function, transition))
            return
        self._left_out += 1
        if (now := time.monotonic()) - self._said_at > _QUIET:
            self._said_at = now
            logger.error("hooks fall behind: %d calls wait, %d were left out", ROOM, self._left_out)

    def stop(self) -> None:
        """Have the thread end after what waits, and wait for that, within limits."""
        self._calls.put(None)
        self.join(timeout=_LAST_WORDS)
        if self.is_alive():
            logger.error("the worker leaves with %d hooks not called", self._calls.qsize() - 1)

    def run(self) -> None:
        try:
            while (waiting := self._calls.get()) is not None:
                connections.before_step()
                _call(*waiting)
                connections.refresh()
        finally:
            connections.close()


_lock = threading.Lock()
_workers = 0
_thread: _HookThread | None = None
