"""A worker process with all its parts: sagas, relay and consumers, or some of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from django_saga.conf import get_settings
from django_saga.engine import wake
from django_saga.engine.worker import Worker
from django_saga.messaging.duty import Duty
from django_saga.signals import message_event

# The channel of duties that nobody tells when there is something to do.
NOBODY = ""
# How often it looks whether a handler hangs, in seconds.
_BEAT = 1.0


class Station:
    """Runs a worker and duties beside it, as one that can be stopped.

    ``duties``: by the channel on which they are told that there is something to do, or ``NOBODY``.
    ``worker``: builds what carries sagas; None: only the duties are wanted. ``once``: return when there is
    nothing to do for any. ``hangs``: tells whether a handler will not come back: then the process is
    replaced. ``told``: what its duties are, for people.
    """

    def __init__(
        self,
        using: str,
        worker: Callable[[], Worker] | None,
        duties: Mapping[str, Sequence[Duty]],
        *,
        drain_timeout: timedelta,
        once: bool = False,
        hangs: Callable[[], bool] = lambda: False,
        told: Sequence[str] = (),
    ) -> None:
        self.drain_timeout = drain_timeout
        self._using = using
        self._build = worker
        self._worker = worker() if worker else None
        self._duties = duties
        self._once = once
        self._hangs = hangs
        self._told = told
        self._retired = False
        self._stopped = threading.Event()

    @property
    def draining(self) -> bool:
        """True once it was told to stop, or its worker has decided to."""
        return self._stopped.is_set() or (self._worker is not None and self._worker.draining)

    @property
    def retired(self) -> bool:
        """True when steps or handlers hang in it and its process has to be replaced."""
        return self._retired or (self._worker is not None and self._worker.retired)

    @property
    def stuck(self) -> bool:
        """True when it cannot end by itself."""
        return self._worker is not None and self._worker.stuck

    @property
    def on_suspects(self) -> Callable[[], None] | None:
        """What is called when suspects are due that some other process is to run."""
        return self._worker.on_suspects if self._worker else None

    @on_suspects.setter
    def on_suspects(self, call: Callable[[], None] | None) -> None:
        if self._worker:
            self._worker.on_suspects = call

    def stop(self) -> None:
        """Drain."""
        self._stopped.set()
        if self._worker:
            self._worker.stop()

    def leave(self) -> None:
        """Give back what runs, and leave at once."""
        self.stop()
        if self._worker:
            self._worker.leave()

    def run(self) -> None:
        """Work until stopped, or, once, until nothing is to be done."""
        if self._once:
            self._run_once()
            return
        listener = self._listener()
        with self._listening(self._wake):
            for duty in self._all():
                duty.start()
            if listener:
                listener.start()
            try:
                message_event.send_robust(Station, event="started", parts=self._told)
                watch = threading.Thread(target=self._watch, name="saga-watch", daemon=True)
                watch.start()
                if self._worker:
                    self._worker.run()
                else:
                    self._stopped.wait()
            finally:
                self._end(listener)

    def _watch(self) -> None:
        while not self._stopped.wait(_BEAT):
            if self._hangs():
                self._retired = True
                message_event.send_robust(Station, event="retired")
                self.stop()

    def _run_once(self) -> None:
        with self._listening(lambda channel: None):
            while not self.draining:
                if self._worker:
                    self._worker.run()
                # What one part did may be work for another.
                found = [duty.once() for duty in self._all()]
                if not any(found):
                    return
                if self._build and not self.draining:
                    self._worker = self._build()

    @contextmanager
    def _listening(self, hear: Callable[[str], None]) -> Iterator[None]:
        """Have ``hear`` told of what this process itself has for its duties."""
        ears = [(channel, partial(_hear, hear, channel)) for channel in self._channels()]
        for channel, ear in ears:
            wake.listen_here(channel, ear)
        try:
            yield
        finally:
            for channel, ear in ears:
                wake.listen_no_more(channel, ear)

    def _listener(self) -> wake.Listener | None:
        channels = self._channels()
        if not (channels and wake.hears(self._using) and get_settings().notify):
            return None
        return wake.Listener(self._using, {name: partial(self._wake, name) for name in channels})

    def _channels(self) -> list[str]:
        return [channel for channel in self._duties if channel != NOBODY]

    def _wake(self, channel: str) -> None:
        """Wake one duty that rests: what one can do at a time is not worth another. Should all be at work,
        each looks once more.
        """
        duties = self._duties[channel]
        resting = [duty for duty in duties if duty.resting][:1]
        for duty in resting or duties:
            duty.wake()

    def _all(self) -> list[Duty]:
        return [duty for duties in self._duties.values() for duty in duties]

    def _end(self, listener: wake.Listener | None) -> None:
        if listener:
            listener.stop()
        for duty in self._all():
            duty.stop()
        # A handler at work is given the time that steps are, unless it hangs; its transaction ends with the
        # process.
        until = time.monotonic() + (0.0 if self._retired else self.drain_timeout.total_seconds())
        self._stopped.set()
        for duty in self._all():
            duty.join(max(0.0, until - time.monotonic()))


def _hear(hear: Callable[[str], None], channel: str, using: str) -> None:
    hear(channel)
