"""Beside the worker's loop: keeps its leases, rescues steps of lost workers, enforces sagas' deadlines, lets
in sagas that waited for a lock, and says what came of operators' actions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from django_saga import signals
from django_saga.core.lanes import ALONE
from django_saga.engine import announcing, connections, locking, recorder, recovery, settling
from django_saga.engine.tasks import Recorded
from django_saga.faults import fault_point
from django_saga.models import SagaWorker
from django_saga.store import claims, waiting, workers

if TYPE_CHECKING:
    from django_saga.dsl.program import Program
    from django_saga.engine.worker import Worker

# How often a worker says that it lives, and after how long its row is dropped, in leases.
_ANNOUNCE = 5.0
_FORGET = 100
# How often it looks for steps that were not woken, in seconds.
_SWEEP = 60.0


class Caretaker(threading.Thread):
    """A thread with a connection of its own, so that a long commit does not cost a lease."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="saga-caretaker", daemon=True)
        self._worker = worker
        self._stopping = threading.Event()
        self._lease = worker.lease.total_seconds()
        self._announced = 0.0
        self._swept = -_SWEEP
        self._said = ""

    def stop(self) -> None:
        """Say goodbye and end."""
        self._stopping.set()
        self._worker.freed.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self._stopping.is_set():
            self._try(self._keep_leases)
            self._try(self._worker.admission.look)
            self._try(self._worker.admission.tidy)
            self._try(self._rescue)
            self._try(self._ring)
            self._try(self._call_for_suspects)
            self._try(self._settle)
            self._try(self._announce)
            self._rest(min(1.0, self._lease / 6))
        self._try(self._settle)
        self._try(lambda: self._say(SagaWorker.State.STOPPED))
        connections.close()

    def _rest(self, seconds: float) -> None:
        """Wait for the next round; meanwhile look who is next in line whenever locks were released."""
        until = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            if self._worker.freed.wait(left) and not self._stopping.is_set():
                self._worker.freed.clear()
                self._try(self._let_in)

    def _try(self, duty: object) -> None:
        """Do one duty; whatever goes wrong, the others and the next round are still done."""
        assert callable(duty)
        try:
            duty()
        except Exception as error:
            connections.refresh(self._worker.using, after_error=True)
            self._worker.troubled = self._worker.troubled or isinstance(error, recorder.DATABASE_ERRORS)
            signals.worker_event.send_robust(
                type(self._worker), worker=self._worker, event="trouble", error=error
            )

    def _keep_leases(self) -> None:
        """Extend the leases of attempts that outlived a third of theirs, many in one statement."""
        fault_point("heartbeat.tick")
        now = time.monotonic()
        held = list(self._worker.in_flight.values())
        aging = {task.row.id: task for task in held if now - task.leased > self._lease / 3 and not task.lost}
        if not aging:
            return
        lost = claims.extend(
            self._worker.using,
            owner=self._worker.id,
            tokens={step_id: task.row.token for step_id, task in aging.items()},
            lease=self._worker.lease,
        )
        for step_id, task in aging.items():
            if step_id in lost:
                task.lost = True
            else:
                task.leased = now

    def _rescue(self) -> None:
        self._carry_out(recovery.rescue)

    def _ring(self) -> None:
        """Wake steps whose waking was missed: whoever should have rung died first."""
        now = time.monotonic()
        if now - self._swept < _SWEEP or self._worker.draining:
            return
        self._swept = now
        if waiting.sweep(self._worker.using):
            self._worker.wake()

    def _let_in(self) -> None:
        self._carry_out(locking.let_in)

    def _carry_out(self, look: Callable[[str, Mapping[int, Program]], Iterator[Recorded]]) -> None:
        """Do what ``look`` finds to be done, and tell of it as it is committed."""
        worker = self._worker
        if worker.draining:
            return
        with worker.rescuing:
            for recorded in look(worker.using, worker.programs):
                self._tell(recorded)
                # Thousands of leases may have ended at once: the worker's own go on meanwhile.
                self._try(self._keep_leases)
                if worker.draining:
                    return

    def _settle(self) -> None:
        settling.settle(self._worker.using)

    def _call_for_suspects(self) -> None:
        worker = self._worker
        if worker.on_suspects is None or worker.draining:
            return
        known = list(worker.programs)
        alone = [ALONE, *{lane for lane, _ in worker.admission.limited if lane.startswith(ALONE)}]
        if claims.are_due(worker.using, queues=worker.queues, executors=alone, definitions=known):
            worker.on_suspects()

    def _tell(self, recorded: Recorded) -> None:
        announcing.announce(recorded)
        if recorded.waiting or recorded.next_due:
            fault_point("advance.wakeup")
            self._worker.wake()

    def _announce(self) -> None:
        now = time.monotonic()
        state = SagaWorker.State.DRAINING if self._worker.draining else SagaWorker.State.RUNNING
        if state != self._said or now - self._announced >= _ANNOUNCE:
            self._say(state)
            self._said, self._announced = state, now
            workers.sweep(self._worker.using, older_than=_FORGET * self._worker.lease)

    def _say(self, state: str) -> None:
        worker = self._worker
        workers.announce(
            worker.using,
            worker.id,
            state=state,
            queues=worker.queues,
            definitions=[str(program.definition) for program in worker.programs.values()],
        )
