"""The relay: sends the outbox, in the order of each stream, at least once.

    lease partitions, read what is next → commit → publish in order, wait for the broker's word
    → lock the partitions and check their tokens → mark what was confirmed → commit

A relay that dies in between, or comes back after its lease, has sent messages twice, with the same ids: what
was not marked is sent again. A stream stops at its first failure. A broker that is away costs no message an
attempt: its messages wait until it answers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.retry import Retry
from django_saga.engine import failures
from django_saga.exceptions import BrokerUnavailable, MessageHeld, SagaError
from django_saga.faults import fault_point
from django_saga.models import OutboxPartition
from django_saga.ports import Broker
from django_saga.signals import message_event
from django_saga.store import clock, outbox, partitions
from django_saga.store.letters import Failure
from django_saga.store.outbox import Pending
from django_saga.store.partitions import Asked, Held

_AT_ONCE = 500
_PARTITIONS = 8
# How long a broker that failed is left alone: ever longer, in seconds.
_BACKOFF = Retry(attempts=2, delay=timedelta(seconds=0.5), max_delay=timedelta(seconds=30), jitter=0.5)


@dataclass(slots=True)
class Circuit:
    """Whether a broker is tried. One that failed is left alone for a while, then tried with one message."""

    failures: int = 0
    open_until: float = field(default=0.0)  # by the monotonic clock

    @property
    def is_open(self) -> bool:
        """True while nothing is to be sent."""
        return time.monotonic() < self.open_until

    @property
    def at_once(self) -> int:
        """How many messages may be risked."""
        return 1 if self.failures else _AT_ONCE

    def failed(self) -> float:
        """Open; give for how many seconds."""
        self.failures += 1
        wait = _BACKOFF.backoff(self.failures, chance=random.random()).total_seconds()  # noqa: S311
        self.open_until = time.monotonic() + wait
        return wait

    def answered(self) -> bool:
        """Close; True when it had failed before."""
        before, self.failures, self.open_until = self.failures, 0, 0.0
        return before > 0


class Relay:
    """One thread's work on the outbox. ``broker``: gives the broker of a name."""

    def __init__(
        self, using: str, names: Sequence[str], broker: Callable[[str], Broker], *, lease: timedelta
    ) -> None:
        self._using = using
        self._names = list(names)
        self._broker = broker
        self._lease = lease
        self._owner = uuid4()
        self._source = get_settings().sender
        self._circuits = {name: Circuit() for name in names}
        partitions.ensure(using, OutboxPartition, names)

    def turn(self) -> bool:
        """Send some of what is there, to each broker in turn; False when there was nothing to do."""
        served = [self._serve(name) for name in self._names if not self._circuits[name].is_open]
        return any(served)

    def _serve(self, name: str) -> bool:
        using = self._using
        circuit = self._circuits[name]
        limit, work = circuit.at_once, outbox.pending(using, name)
        held, rows = partitions.take_work(
            using,
            Asked(OutboxPartition, name, work, _PARTITIONS, self._owner, self._lease),
            lambda parts, now: outbox.read(using, name, parts, limit, now),
        )
        if not rows:
            return False
        fault_point("relay.after_take")
        receipts = self._publish(name, rows)
        fault_point("relay.after_publish")
        self._mark(held, rows, receipts)
        fault_point("relay.after_mark")
        return not circuit.is_open

    def _publish(self, name: str, rows: Sequence[Pending]) -> Sequence[SagaError | None]:
        """Give the broker's word for each message."""
        circuit = self._circuits[name]
        receipts: Sequence[SagaError | None]
        try:
            receipts = self._broker(name).publish([row.message(self._source) for row in rows])
        except Exception as error:
            # An adapter that fails in another way is a broker that cannot be used: nothing is lost by it.
            receipts = [_as_away(error)] * len(rows)
        away = next((each for each in receipts if isinstance(each, BrokerUnavailable)), None)
        if away is not None:
            wait = circuit.failed()
            message_event.send_robust(Relay, event="broker_away", broker=name, error=away, wait=wait)
        elif circuit.answered():
            message_event.send_robust(Relay, event="broker_back", broker=name)
        return receipts

    def _mark(
        self, held: Sequence[Held], rows: Sequence[Pending], receipts: Sequence[SagaError | None]
    ) -> None:
        using = self._using
        with transaction.atomic(using=using):
            mine = {each.number for each in partitions.hold(using, OutboxPartition, held)}
            ours = [pair for pair in zip(rows, receipts, strict=True) if pair[0].part in mine]
            outbox.confirm(using, [row.id for row, receipt in ours if receipt is None])
            refused = [
                (row, receipt)
                for row, receipt in ours
                if receipt is not None and not isinstance(receipt, (BrokerUnavailable, MessageHeld))
            ]
            told = self._refuse(refused) if refused else []
            partitions.release(using, OutboxPartition, held, self._owner)
            fault_point("relay.before_mark")
        for facts in told:
            message_event.send_robust(Relay, event="message_refused", **facts)

    def _refuse(self, refused: Sequence[tuple[Pending, SagaError]]) -> list[dict[str, Any]]:
        """Note what the broker does not take, in the open transaction; give what is to be told of it."""
        now, told = clock.now(self._using), []
        for row, error in refused:
            failure = _failure(row, error, now)
            outbox.refuse(self._using, row.id, failure, now)
            told.append({"message": row, "error": error, "due_at": failure.due_at})
        return told


def _failure(row: Pending, error: SagaError, now: datetime) -> Failure:
    wait = Retry(attempts=get_settings().message_attempts).wait_after(
        row.attempts + 1,
        chance=random.random(),  # noqa: S311
    )
    return Failure(due_at=None if wait is None else now + wait, **failures.told(error)._asdict())


def _as_away(error: Exception) -> BrokerUnavailable:
    if isinstance(error, BrokerUnavailable):
        return error
    return BrokerUnavailable(f"{type(error).__name__}: {error}")
