"""Optimistic sending: the process that wrote a message sends it straight after the commit.

It is a relay like any other, with the same leases, so that order holds. Should it fail or be too slow, a
worker's relay sends what is left.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable

from django.core import mail

from django_saga.conf import get_settings
from django_saga.engine import wake
from django_saga.messaging.duty import Duty

# How long a process that ends waits for what is on its way, in seconds: a lease is not to be left behind.
_LAST_WORDS = 5.0


class Sender:
    """Starts the thread with the first message, in each process anew: a forked child has no threads."""

    def __init__(self, build: Callable[[str], Duty]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._duty: Duty | None = None
        self._pid = 0

    def hear(self, using: str) -> None:
        """Send what was committed just now."""
        if not get_settings().optimistic or hasattr(mail, "outbox"):
            # Django's test environment: nothing is to happen behind a test's back.
            if wake.hears(using):
                wake.tell_others(using, wake.OUTBOX)
            return
        with self._lock:
            if self._duty is None or self._pid != os.getpid():
                self._duty, self._pid = self._build(using), os.getpid()
                self._duty.start()
                atexit.register(self._finish, self._duty)
        self._duty.wake()

    def _finish(self, duty: Duty) -> None:
        if self._pid == os.getpid():
            duty.finish()
            duty.join(_LAST_WORDS)
