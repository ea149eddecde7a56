"""The worker: one loop that claims due steps, hands them to executors and records what came of them.

Only the loop's thread claims and records (the journal), so outcomes that arrive while one commit is under
way share the next one. Successors of recorded steps go straight to the executors, before anything new is
claimed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django_saga.core.events import Cause
from django_saga.engine import announcing, attempt, connections, hooks, leaving, recorder, recovery, wake
from django_saga.engine.admission import Admission
from django_saga.engine.caretaker import Caretaker
from django_saga.engine.intake import Intake, Suspects, is_solo
from django_saga.engine.journal import Holder
from django_saga.engine.lanes import Executor, Lane, Places
from django_saga.engine.polling import Polling
from django_saga.engine.scribe import Scribe
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.faults import fault_point
from django_saga.signals import worker_event
from django_saga.store import errors
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

_WATCH = 1.0
# From this many outcomes on, a batch is worth a second writer; below it, the way to another thread costs
# more.
_SHARED = 24
# An atomic step that outlives its timeout by this much, in seconds, sits in a transaction nobody else can
# end.
_GRACE = 5.0
# Claims that make way for others this often in a row are trouble.
_CONFLICTS = 10

Deliver = Callable[[Task, "Outcome | Recorded"], None]


class Worker:
    """One worker process' engine. ``run`` returns when it was stopped, or, ``once``, when nothing is due."""

    def __init__(
        self,
        using: str,
        programs: Mapping[int, Program],
        *,
        queues: Sequence[str],
        executors: Callable[[Worker], dict[str, Executor]],
        lease: timedelta,
        drain_timeout: timedelta,
        once: bool = False,
        suspects: Suspects = Suspects.WHEN_IDLE,
    ) -> None:
        self.id = uuid4()
        self.using = using
        self.programs = programs
        self.admission = Admission(using, programs, fresh_for=1.5)
        self.queues = tuple(queues)
        self._served = frozenset(queues)
        self.lease = lease
        self.once = once
        self.retired = False
        self.draining = False
        self.in_flight: dict[UUID, Task] = {}
        self.lanes = {name: Lane(name, executor) for name, executor in executors(self).items()}
        self._scribe = Scribe(lambda outcomes: recorder.record(self, outcomes), self._recorded_elsewhere)
        self.drain_timeout = drain_timeout
        self._inbox: queue.SimpleQueue[tuple[Task | None, Outcome | Recorded] | None] = queue.SimpleQueue()
        self._drain_until = self._watch_at = 0.0
        self._drains = False
        self._hurry = threading.Event()
        self.rescuing = threading.Lock()  # what was rescued, and word of it in the inbox: both or neither
        self.freed = threading.Event()  # locks were released: somebody may be next in line
        self.troubled = False  # the database failed some thread of this worker
        self._outage = 0.0  # how long to wait for it the next time, in seconds
        self._conflicts = 0  # claims in a row that made way for others
        polling = partial(Polling.for_steps, using)
        limited = self.admission.limited
        self._intake = Intake(self.lanes, self.queues, suspects, polling=polling, limited=limited)
        # Called when suspects are due that some other process is to run.
        self.on_suspects: Callable[[], None] | None = None
        self._lease = lease.total_seconds()
        self._adopted: set[tuple[UUID, int]] = set()

    # --- called from other threads ----------------------------------------------------------------

    def deliver(self, task: Task, ended: Outcome | Recorded) -> None:
        """Take what an executor made of ``task``."""
        self._inbox.put((task, ended))

    @property
    def gone(self) -> bool:
        """True once nothing more is to be waited for."""
        return self._hurry.is_set() or (self.draining and time.monotonic() > self._drain_until)

    @property
    def stuck(self) -> bool:
        """True when an atomic step hangs and the loop does not get to see it.

        Where the database has one lock for all, the loop waits for the very transaction that hangs.
        """
        now = time.monotonic()
        return any(
            task.started is not None and now > task.started + task.timeout.total_seconds() + 2 * _GRACE
            for task in list(self.in_flight.values())
            if task.atomic and not task.abandoned
        )

    def wake(self) -> None:
        """Look for due steps now."""
        self._inbox.put(None)

    def _recorded_elsewhere(self, recorded: Recorded) -> None:
        self._inbox.put((None, recorded))

    def stop(self) -> None:
        """Drain: claim no more, finish what runs, and give back what has not ended in time."""
        if not self.draining:
            self._drain_until = time.monotonic() + self.drain_timeout.total_seconds()
            self.draining = True
        self._inbox.put(None)

    def leave(self) -> None:
        """Give back what runs, and leave at once."""
        self._hurry.set()
        self.stop()

    def pause(self, seconds: float) -> None:
        """Wait, unless there is no time for it any more."""
        self._hurry.wait(seconds)

    def holder(self, ended: int = 1) -> Holder:
        """Give a holder for a batch of ``ended`` steps: it counts those that the batch takes straight on."""
        return Holder(self.id, self.lease, Places(self.lanes, self._serves, owed=ended))

    def known(self) -> dict[UUID, int]:
        """Give the tokens of all steps this worker knows it holds."""
        return {step_id: task.row.token for step_id, task in list(self.in_flight.items())}

    # --- the loop ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until stopped."""
        caretaker = Caretaker(self)
        listener = wake.Listener(self.using, {wake.SAGAS: self.wake}) if self._listens() else None
        for lane in self.lanes.values():
            lane.executor.start()
        caretaker.start()
        self._scribe.start()
        if listener:
            listener.start()
        worker_event.send_robust(type(self), worker=self, event="started")
        hooks.to_background()
        try:
            while not self._finished():
                self._turn()
            if self.draining:
                self._begin_drain()
            left = list(self.in_flight.values())
            leaving.leave_behind(self, [task for task in left if not task.atomic and not task.abandoned])
            leaving.give_up(self, [task for task in left if task.atomic and task.abandoned])
        finally:
            caretaker.stop()
            self._scribe.stop()
            if listener:
                listener.stop()
            for lane in self.lanes.values():
                lane.executor.stop()
            hooks.from_background()
            worker_event.send_robust(type(self), worker=self, event="stopped")
            connections.close()

    def _turn(self) -> None:
        outcomes = self._gather()
        if len(outcomes) >= _SHARED and not self._scribe.busy:
            self._scribe.take(outcomes)
        elif outcomes:
            self._record(outcomes)
        now = time.monotonic()
        if self.draining:
            self._begin_drain()
        else:
            self._claim(now)
        if now >= self._watch_at:
            self._watch(now)

    def _listens(self) -> bool:
        return wake.tells(self.using) and not self.once

    def _finished(self) -> bool:
        if self.gone:
            return True
        if self.draining:
            # What hangs in a transaction is not waited for: it ends with the process.
            return all(task.abandoned for task in list(self.in_flight.values()))
        return self.once and self._intake.nothing_due and not self.in_flight and not self._rescued()

    def _rescued(self) -> bool:
        """Look for what is due in another way: steps of lost workers, sagas past their deadline."""
        found = False
        try:
            with self.rescuing:
                for recorded in recovery.rescue(self.using, self.programs):
                    announcing.announce(recorded)
                    found = True
            if not found:
                overlooked = self._intake.overlooked(self.using, list(self.programs))
                # The caretaker may have been faster: then it has said so.
                return overlooked or not self._inbox.empty()
        except recorder.DATABASE_ERRORS as error:
            self._trouble(error)
        self._intake.wake()
        return True

    def _gather(self) -> list[Outcome]:
        """Wait for the next thing to do, then take all that is there."""
        outcomes: list[Outcome] = []
        until = min(self._drain_until if self.draining else self._intake.next_at, self._watch_at)
        wait = max(0.0, until - time.monotonic())
        try:
            item = self._inbox.get(timeout=wait) if wait else self._inbox.get_nowait()
            while True:
                if item is None:
                    self._intake.wake()
                else:
                    self._arrived(*item, outcomes)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return outcomes

    def _arrived(self, task: Task | None, ended: Outcome | Recorded, outcomes: list[Outcome]) -> None:
        if task is not None:
            self.lanes[task.lane].end()
        if isinstance(ended, Outcome):
            outcomes.append(ended)
        else:  # an atomic step recorded itself, or the scribe is done
            self._recorded(ended)

    # --- recording --------------------------------------------------------------------------------

    def _serves(self, row: StepRow) -> bool:
        may = not self.draining and row.queue in self._served and self.admission.admits(row)
        return may and not is_solo(self.in_flight)

    def _record(self, outcomes: list[Outcome]) -> None:
        for recorded in recorder.record(self, outcomes):
            self._recorded(recorded)

    def _recorded(self, recorded: Recorded) -> None:
        for outcome in (*recorded.outcomes, *recorded.lost):
            held = self.in_flight.get(outcome.task.row.id)
            if held is outcome.task:
                del self.in_flight[outcome.task.row.id]
        if recorded.freed:
            self.freed.set()
        if recorded.places:
            recorded.places.give_back()
        # First, so that no step is heard to begin before the one it waited for is heard to have ended.
        announcing.announce(recorded)
        for task in recorded.tasks:
            if (task.row.id, task.row.token) not in self._adopted:
                self._dispatch(task)
        if recorded.doubtful:
            self._reclaim()
        if recorded.waiting:
            self._intake.wake()
            roomy = any(lane.roomy for lane in self.lanes.values())
            if self._listens() and not (roomy and recorded.left_in <= self._served):
                wake.nudge(self.using)  # another worker may have the room, or serve the queue
        elif recorded.next_due and recorded.now:
            self._intake.by((recorded.next_due - recorded.now).total_seconds())

    # --- claiming ---------------------------------------------------------------------------------

    def _claim(self, now: float) -> None:
        """Lease the steps whose time has come, as many as there is room for."""
        for line, room in self._intake.due(now, self.in_flight):
            try:
                tasks = self._leased(line.executor, line.queue, room)
            except recorder.DATABASE_ERRORS as error:
                self._conflicts += 1
                if errors.is_conflict(error) and self._conflicts < _CONFLICTS:
                    continue  # two claims met in an index, and this one made way: the line is still due
                self._trouble(error)
                return
            self._well()
            line.polling.looked(found=bool(tasks), left_behind=len(tasks) == room)
            for task in tasks:
                self._dispatch(task)
            if tasks:
                self._intake.found_in(line)
                return

    def _leased(self, executor: str, queue_name: str, limit: int) -> list[Task]:
        fault_point("claim.before")
        rows = self.admission.claim(
            owner=self.id, queue=queue_name, executor=executor, limit=limit, lease=self.lease
        )
        if rows:
            fault_point("claim.after_commit")
        return recovery.load(self.using, self.programs, rows)

    def _trouble(self, error: BaseException) -> None:
        """Wait the database's trouble out; then look for steps that were claimed by a commit whose reply
        was lost.
        """
        self._outage = recorder.wait_out(self, error, self._outage or recorder.FIRST_WAIT)
        self._reclaim()

    def _well(self) -> None:
        self._conflicts = 0
        if self.troubled:
            self.troubled, self._outage = False, 0.0
            worker_event.send_robust(type(self), worker=self, event="recovered")

    def _reclaim(self) -> None:
        """Take up the steps this worker holds without knowing it, but what is paused by now."""
        try:
            rows = recovery.unheard(self.using, self.id, self.known())
            # Another writer may have committed one just now, and be about to deliver it.
            self._adopted.update((row.id, row.token) for row in rows)
            tasks = recovery.load(self.using, self.programs, self.admission.still(rows))
        except recorder.DATABASE_ERRORS:
            connections.refresh(self.using, after_error=True)
            return  # their leases run out
        for task in tasks:
            self._dispatch(task)

    def _dispatch(self, task: Task) -> None:
        self.in_flight[task.row.id] = task
        task.leased = time.monotonic()
        task.lease = self._lease
        lane = self.lanes[task.lane]
        if (outcome := attempt.at_once(task)) is not None:
            lane.busy += 1
            self.deliver(task, outcome)
            return
        self._watch_at = min(self._watch_at, task.leased + task.timeout.total_seconds())
        lane.begin(task)

    # --- time limits ------------------------------------------------------------------------------

    def _watch(self, now: float) -> None:
        """Fence attempts that outlived their timeout, and retire when too many threads hang."""
        outcomes = []
        self._watch_at = now + _WATCH
        for task in list(self.in_flight.values()):
            if task.started is None or task.abandoned:
                continue
            # The loop ends its own steps; one that is late there blocks it. An atomic step's transaction
            # ends with its session.
            grace = _GRACE if task.atomic else _WATCH if task.is_async else 0.0
            late_at = task.started + task.timeout.total_seconds() + grace
            if now < late_at:
                self._watch_at = min(self._watch_at, late_at)
                continue
            lane = self.lanes[task.lane]
            if not lane.executor.abandon(task):
                continue
            if task.atomic:
                self._retire()
                continue
            lane.end()
            outcomes.append(attempt.unknown(task, Cause.TIMED_OUT, f"no answer within {task.timeout}"))
        if outcomes:
            self._record(outcomes)
        if any(lane.executor.hung >= lane.executor.size for lane in self.lanes.values()):
            self._retire()

    def _retire(self) -> None:
        """Have this process replaced: finish what still moves, then leave."""
        if not self.retired:
            self.retired = True
            worker_event.send_robust(type(self), worker=self, event="retired")
        self.stop()

    # --- leaving ----------------------------------------------------------------------------------

    def _begin_drain(self) -> None:
        if self._drains:
            return
        self._drains = True
        worker_event.send_robust(type(self), worker=self, event="draining")
        unbegun = [task for lane in self.lanes.values() for task in lane.executor.revoke()]
        for task in unbegun:
            self.lanes[task.lane].busy -= 1
            self.in_flight.pop(task.row.id, None)
        leaving.give_back(self, unbegun)
