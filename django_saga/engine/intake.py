"""What a worker takes in, and when: due steps of each queue and lane, at a pace of their own.

A step that was in flight twice when its process died is a suspect. It stands in a lane of its own and is run
with nothing beside it, so that the one that kills takes no other along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from django_saga.core import lanes as names
from django_saga.core.definition import SagaDefinition
from django_saga.core.lanes import ALONE
from django_saga.core.state import StepState
from django_saga.engine.lanes import Lane
from django_saga.engine.polling import Polling
from django_saga.engine.tasks import Task
from django_saga.store import claims

_SUSPECT = 2  # crashes
# How often a worker that is to end looks once more, and in how many seconds first; each time twice as many.
_SECOND_LOOKS = 6
_SECOND_LOOK = 0.01


class Suspects(Enum):
    """Who runs suspects."""

    WHEN_IDLE = auto()  # a worker by itself does when it has nothing else
    ELSEWHERE = auto()  # one under a parent leaves them to a process of their own
    ONLY = auto()  # that process


@dataclass(slots=True)
class Line:
    """Steps of one queue for one lane; without a lane, suspects."""

    executor: str
    queue: str
    lane: Lane | None
    polling: Polling


class Intake:
    """The lines a worker claims from; ``limited``: lanes with a gate, each with a queue it is used in."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        queues: Sequence[str],
        suspects: Suspects,
        *,
        polling: Callable[[], Polling],
        limited: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._lines: list[Line] = []
        self._last: Line | None = None  # where steps were found
        self._second_looks = 0
        if suspects is not Suspects.ONLY:
            self._lines += [
                Line(name, queue, lane, polling()) for name, lane in lanes.items() for queue in queues
            ]
        if suspects is not Suspects.ELSEWHERE:
            self._lines += [Line(ALONE, queue, None, polling()) for queue in queues]
        for lane, queue in limited:
            executor = names.split(lane)[0]
            unserved = Suspects.ELSEWHERE if executor == ALONE else Suspects.ONLY
            if queue in queues and suspects is not unserved:
                self._lines.append(Line(lane, queue, lanes.get(executor), polling()))

    @property
    def next_at(self) -> float:
        """When to look next, by the monotonic clock, in seconds."""
        return min(line.polling.next_at for line in self._lines)

    @property
    def nothing_due(self) -> bool:
        """True when no line had anything at the last look."""
        return all(line.polling.nothing_due for line in self._lines)

    def wake(self) -> None:
        """Look at all lines now; after a rest first at the one that had steps last, as it may well again."""
        if self._last is not None and self.nothing_due:
            self._lines.remove(self._last)
            self._lines.insert(0, self._last)
        for line in self._lines:
            line.polling.wake()

    def by(self, seconds: float) -> None:
        """Look at all lines in ``seconds`` at the latest."""
        for line in self._lines:
            line.polling.by(seconds)

    def overlooked(self, using: str, definitions: Sequence[int]) -> bool:
        """True when a step is due though the last looks found none: claims pass over what somebody has locked
        just then. They are made again a little later; a few times only, as what is held back in another way
        looks the same.
        """
        if self._second_looks >= _SECOND_LOOKS:
            return False
        executors = sorted({line.executor for line in self._lines if "#" not in line.executor})
        queues = sorted({line.queue for line in self._lines})
        if not claims.are_due(using, queues=queues, executors=executors, definitions=definitions):
            return False
        for line in self._lines:
            line.polling.look_again(_SECOND_LOOK * 2**self._second_looks)
        self._second_looks += 1
        return True

    def due(self, now: float, in_flight: Mapping[UUID, Task]) -> Iterator[tuple[Line, int]]:
        """Give the lines whose time has come, each with how many steps there is room for."""
        for line in self._lines:
            free = self._has_room(line, in_flight)
            if now < line.polling.next_at and not (line.polling.left_behind and free):
                continue
            if in_flight and not free:
                line.polling.looked(found=False, left_behind=True)
            else:
                yield line, line.lane.free if line.lane else 1

    def found_in(self, line: Line) -> None:
        """Note that ``line`` had steps: their results come before a look at the others, and its turn last."""
        self._second_looks = 0
        self._last = line
        self._lines.remove(line)
        for other in self._lines:
            other.polling.postpone()
        self._lines.append(line)

    def _has_room(self, line: Line, in_flight: Mapping[UUID, Task]) -> bool:
        if line.lane is None:
            return not in_flight
        return line.lane.roomy and not is_solo(in_flight)


def is_solo(in_flight: Mapping[UUID, Task]) -> bool:
    """True while a suspect runs, which nothing may run beside."""
    return len(in_flight) == 1 and next(iter(in_flight.values())).row.executor.startswith(ALONE)


def lane_of(definition: SagaDefinition, step: StepState, *, undo: bool, max_crashes: int) -> str:
    """Name the lane in which a step, or its compensation, is claimed."""
    # Limits are of the step's function; what its condition says costs the other side nothing.
    key = "" if undo or step.asking else definition.gate_keys[step.name]
    if step.crashes >= min(_SUSPECT, max_crashes):
        return ALONE + key
    spec = definition[step.name]
    part = spec.undo if undo else spec.probe if step.probing and spec.probe else spec
    if step.asking:
        return "thread"
    return ("async" if part is not None and part.is_async else "thread") + key
