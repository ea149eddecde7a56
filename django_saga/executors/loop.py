"""One event loop for ``async def`` steps: hundreds of them may wait for the outside world at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_saga.engine import attempt, connections
from django_saga.engine.tasks import Outcome, Recorded, Task

_LAST_WORDS = 1.0  # seconds to wait for the loop's end


class LoopExecutor:
    """An event loop in a thread of its own."""

    def __init__(
        self,
        size: int,
        run: Callable[[Task], Coroutine[Any, Any, Outcome]],
        deliver: Callable[[Task, Outcome | Recorded], None],
    ) -> None:
        self.size = size
        self.hung = 0
        self._run = run
        self._deliver = deliver
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._pending: dict[UUID, Task] = {}
        self._running: dict[Task, asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._serve, name="saga-loop", daemon=True)

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def submit(self, task: Task) -> None:
        """Have ``task`` run on the loop."""
        self._pending[task.row.id] = task
        self._loop.call_soon_threadsafe(self._begin, task)

    def revoke(self) -> list[Task]:
        """Take back the tasks that the loop has not begun."""
        taken = []
        for step_id in list(self._pending):
            task = self._pending.pop(step_id, None)
            if task is not None:
                taken.append(task)
        return taken

    def abandon(self, task: Task) -> bool:
        """Note that a step blocks the loop, which stops all others: the process has to be replaced. False
        when it ended just now.
        """
        if task not in self._running:
            return False
        task.abandoned = True
        self.hung += self.size
        return True

    def stop(self) -> None:
        """Have the loop end, and cancel what still runs on it; one that a step blocks is left to its
        process' end.
        """
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=_LAST_WORDS)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            while not self._stopping.is_set():
                try:
                    runner.run(self._until_stopped())
                except (SystemExit, KeyboardInterrupt):
                    continue  # from a task that a step started: asyncio lets it through, the loop goes on

    async def _until_stopped(self) -> None:
        tidy = asyncio.ensure_future(self._tidy())
        try:
            await self._stopping.wait()
            await sync_to_async(connections.close)()
        finally:
            tidy.cancel()

    async def _tidy(self) -> None:
        # Async steps reach the database through asgiref's thread, whose connections somebody has to look
        # after.
        while True:
            await asyncio.sleep(5)
            await sync_to_async(connections.refresh)(after_error=True)

    def _begin(self, task: Task) -> None:
        if self._pending.pop(task.row.id, None) is task:
            self._running[task] = self._loop.create_task(self._attempt(task))

    async def _attempt(self, task: Task) -> None:
        ended: Outcome | Recorded
        try:
            ended = attempt.lapsed(task) if task.lapsed else await self._run(task)
        except BaseException as error:
            if self._stopping.is_set():
                raise
            ended = attempt.failed(task, error)
        del self._running[task]
        if task.abandoned:
            return
        self._deliver(task, ended)
        if isinstance(ended, Outcome) and ended.error:
            # It may have met a broken connection, on which the next attempt would fail as well.
            await sync_to_async(connections.refresh)(after_error=True)
