"""The handle of a saga: what its starter keeps."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_saga.core import encoding
from django_saga.core.state import PAST_PIVOT, SagaState
from django_saga.core.states import SagaStatus
from django_saga.engine import past, versions
from django_saga.engine.tasks import result_of
from django_saga.exceptions import SagaFailed, SagaNotFinished, SagaNotFound
from django_saga.models import SagaInstance
from django_saga.store import children, sagas

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# How long ``result()`` waits between looks, in seconds: at first a saga may end in milliseconds, later it
# will take a while.
_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.25
_READ = ("status", "reason", "culprit", "definition_id")


class SagaHandle:
    """A started saga. ``id`` is known at once; everything else is read afresh from the database."""

    def __init__(self, program: Program, saga_id: UUID, using: str) -> None:
        self.id = saga_id
        self.using = using
        self._program = program

    def __repr__(self) -> str:
        return f"<SagaHandle {self.name} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SagaHandle) and (self.id, self.using) == (other.id, other.using)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def name(self) -> str:
        """The saga's name."""
        return self._program.definition.name

    @property
    def status(self) -> SagaStatus:
        """Where the saga stands now."""
        return SagaStatus(self._row().status)

    async def astatus(self) -> SagaStatus:
        """Async twin of ``status``."""
        return await sync_to_async(lambda: self.status)()

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """Wait for the saga's end and give its result: its last step's, or ``{step: result}`` when it ends
        in several.

        ``timeout`` is in seconds or a ``timedelta``; None waits for ever. Raises ``SagaNotFinished`` when
        it runs out,
        ``SagaFailed`` when the saga was undone or is stuck.
        """
        patience = _Patience(timeout)
        while (row := self._row()).status in _UNFINISHED:
            time.sleep(patience.next_pause(self, row.status))
        return self._ended(row)

    async def aresult(self, timeout: float | timedelta | None = None) -> Any:
        """Async twin of ``result``; waiting takes no thread."""
        patience = _Patience(timeout)
        while (row := await sync_to_async(self._row)()).status in _UNFINISHED:
            await asyncio.sleep(patience.next_pause(self, row.status))
        return await sync_to_async(self._ended)(row)

    def state_at(self, at: datetime) -> SagaState:
        """Give the saga as it stood at ``at`` (aware), from its history: status, steps, why it turned back.

        Raises ``SagaNotFound`` when it was not there yet.
        """
        return past.look(self.using, self.id, at).state

    async def astate_at(self, at: datetime) -> SagaState:
        """Async twin of ``state_at``."""
        return await sync_to_async(self.state_at)(at)

    def cancel(self, reason: str = "") -> None:
        """Have the saga turn back and undo what was done. Raises ``OperationRefused`` when it cannot any
        more.
        """
        from django_saga import ports

        ports.engine().cancel(self.id, self._program, using=self.using, reason=reason)

    async def acancel(self, reason: str = "") -> None:
        """Async twin of ``cancel``."""
        await sync_to_async(self.cancel)(reason)

    @property
    def parent(self) -> SagaHandle | None:
        """The saga whose ``child`` or ``for_each`` step started this one; None: no saga did."""
        from django_saga import ports

        found = children.parent_of(self.using, self.id)
        return None if found is None else ports.engine().get(None, found, using=self.using)

    @property
    def children(self) -> list[SagaHandle]:
        """The sagas that steps of this one started, by step and item."""
        from django_saga import ports

        engine = ports.engine()
        return [engine.get(None, each, using=self.using) for each in children.of_saga(self.using, self.id)]

    def _row(self) -> SagaInstance:
        try:
            return SagaInstance.objects.using(self.using).only(*_READ).get(pk=self.id)
        except SagaInstance.DoesNotExist:
            raise SagaNotFound(
                f"There is no saga {self.id}; was the transaction that started it rolled back?"
            ) from None

    def _ended(self, row: SagaInstance) -> Any:
        if row.status != SagaStatus.COMPLETED:
            raise self._failure(row)
        # It may be of another version than the class it was started with, or have been migrated.
        now = versions.current_program(self.using, self.id, row.definition_id, self._program)
        return self._output(now)

    def _failure(self, row: SagaInstance) -> SagaFailed:
        at = f" at step {row.culprit}" if row.culprit else ""
        dead = "" if row.reason == PAST_PIVOT else "a compensation is dead and "
        told = {
            SagaStatus.COMPENSATED: f"was undone: {row.reason}{at}",
            SagaStatus.STUCK: f"is stuck, {dead}a person is needed ({row.reason}{at})",
        }.get(SagaStatus(row.status), f"is {row.status}")
        return SagaFailed(f"Saga {self.name} {self.id} {told}.", saga_id=self.id, status=row.status)

    def _output(self, program: Program) -> Any:
        stored = sagas.payloads(self.using, [self.id]).get(self.id, {})
        results = {}
        for name in program.definition.sinks:
            _, text = result_of(program.definition, name, stored)
            results[name] = None if text is None else encoding.decode(text)
        if len(results) == 1:
            [only] = results.items()
            return program.decode_output(program.decode_result(*only) if program.output is None else only[1])
        if program.output is None:
            return {name: program.decode_result(name, value) for name, value in results.items()}
        return program.decode_output(results)


class _Patience:
    """How long one who waits for a saga's end still waits."""

    def __init__(self, timeout: float | timedelta | None) -> None:
        limit = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._limit = math.inf if limit is None else limit
        self._until = time.monotonic() + self._limit
        self._pause = _FIRST_LOOK

    def next_pause(self, handle: SagaHandle, status: str) -> float:
        """Give how long to wait before the next look, in seconds. Raises ``SagaNotFinished``."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise SagaNotFinished(
                f"Saga {handle.name} {handle.id} is still {status} after {self._limit:g} s; it goes on."
            )
        pause = min(self._pause, left)
        self._pause = min(self._pause * 1.5, _LONGEST_LOOK)
        return pause


_UNFINISHED = frozenset({SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING})
