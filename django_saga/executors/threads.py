"""Threads for ``def`` steps."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from uuid import UUID

from django_saga.engine import attempt, connections
from django_saga.engine.tasks import Outcome, Recorded, Task

_number = itertools.count(1)


class ThreadExecutor:
    """A fixed number of threads that take tasks in order; one that hangs is replaced, not waited for."""

    def __init__(
        self,
        size: int,
        run: Callable[[Task], Outcome | Recorded],
        deliver: Callable[[Task, Outcome | Recorded], None],
    ) -> None:
        self.size = size
        self.hung = 0
        self._run = run
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        # Whoever pops a task from here has it: a thread that begins it, or the worker that takes it back.
        self._pending: dict[UUID, Task] = {}
        # Whoever takes a task out of here ends it: the thread that ran it, or the worker that gave it up.
        self._running: set[Task] = set()

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self.size):
            self._spawn()

    def submit(self, task: Task) -> None:
        """Have ``task`` run as soon as a thread is free."""
        self._pending[task.row.id] = task
        self._queue.put(task)

    def revoke(self) -> list[Task]:
        """Take back the tasks that no thread has begun."""
        taken = []
        for step_id in list(self._pending):
            task = self._pending.pop(step_id, None)
            if task is not None:
                taken.append(task)
        return taken

    def abandon(self, task: Task) -> bool:
        """Give up the thread that hangs in ``task``: another takes its place, what it returns one day is
        dropped. False when it ended just now.
        """
        if not self._take_out(task):
            return False
        task.abandoned = True
        self.hung += 1
        self._spawn()
        return True

    def stop(self) -> None:
        """Have idle threads end."""
        for _ in range(self.size + self.hung):
            self._queue.put(None)

    def _spawn(self) -> None:
        threading.Thread(target=self._work, name=f"saga-step-{next(_number)}", daemon=True).start()

    def _work(self) -> None:
        try:
            while (task := self._queue.get()) is not None:
                if self._pending.pop(task.row.id, None) is not task:
                    continue
                self._running.add(task)
                ended = self._attempt(task)
                if not self._take_out(task):
                    self.hung -= 1
                    return
                self._deliver(task, ended)
        finally:
            connections.close()

    def _attempt(self, task: Task) -> Outcome | Recorded:
        ended: Outcome | Recorded
        try:
            if task.lapsed:
                return attempt.lapsed(task)
            connections.before_step()
            ended = self._run(task)
        except BaseException as error:
            # The main thread is another one, so not even a KeyboardInterrupt is meant for this process.
            ended = attempt.failed(task, error)
        connections.refresh(after_error=isinstance(ended, Outcome) and bool(ended.error))
        return ended

    def _take_out(self, task: Task) -> bool:
        try:
            self._running.remove(task)
        except KeyError:
            return False
        return True
