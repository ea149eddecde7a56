"""What the machine is fed: one event per thing that happened to a saga, each a row of its history.

Events hold facts only, chance and configuration included (``chance``, ``crash_limit``), so that feeding a
saga's history to the machine again gives the same state.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple


class Cause(StrEnum):
    """Why nobody knows how an attempt ended."""

    TIMED_OUT = "timed out"
    WORKER_LOST = "worker lost"
    RELEASED = "released"  # a worker that had to stop left it behind
    REPORTED = "reported"  # the step itself could not tell, as when a call's answer was lost
    NO_REPLY = "no reply"  # to a command, in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a saga.

    ``in_flight`` names the steps that were owned by a worker when the event was fed: claims are not events,
    so the machine is told where it matters (a saga that turns back leaves steps in flight alone).
    """

    kind: ClassVar[str]
    in_flight: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaStarted(Event):
    kind: ClassVar[str] = "saga_started"
    starts_at: datetime | None = None  # None: at once
    deadline_at: datetime | None = None
    locks: tuple[str, ...] = ()  # their targets
    waits: bool = False  # for its locks
    held: bool = False  # until its parent has it begin


class Taken(NamedTuple):
    """A step that a fork took over, as it stood in the saga it was forked from."""

    step: str
    status: str
    outcome: str
    partial: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaForked(SagaStarted):
    """The saga begins at ``step`` of another one, ``origin`` (its id), with the steps ``taken`` over."""

    kind: ClassVar[str] = "saga_forked"
    step: str = ""
    origin: str = ""
    taken: tuple[Taken, ...] = ()
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaSuperseded(Event):
    """Another saga, ``fork`` (its id), goes on in its place from ``step``.

    ``undo_tried`` names the steps whose compensation was ever tried: an attempt that its worker left behind
    may have had its effect, and is not counted on the step.
    """

    kind: ClassVar[str] = "saga_superseded"
    step: str = ""
    fork: str = ""
    undo_tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """The end of one attempt of a step, of its compensation when ``undo``, of its probe when ``probe``, of
    its condition when ``asking``.
    """

    step: str
    attempt: int = 1
    undo: bool = False
    probe: bool = False
    asking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded(StepEvent):
    kind: ClassVar[str] = "step_succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(StepEvent):
    """The attempt certainly failed. ``partial``: it handed over work that has to be undone all the same.
    ``disproved``: a probe found that no attempt had its effect. ``declined``: whoever was sent the command
    says that it did nothing.
    """

    kind: ClassVar[str] = "step_failed"
    permanent: bool = False
    partial: bool = False
    disproved: bool = False
    declined: bool = False
    retry_after: timedelta | None = None
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUnknown(StepEvent):
    """The attempt may or may not have had its effect. ``permanent``: its policy does not try it again."""

    kind: ClassVar[str] = "step_unknown"
    cause: Cause = Cause.TIMED_OUT
    permanent: bool = False
    crash_limit: int = 4
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaits(StepEvent):
    """There is nothing to be had yet. ``until``: when it looks again at the latest (None: when it is woken).
    ``waits_for``: what wakes it. ``partial``: it began something that has to be undone all the same.
    """

    kind: ClassVar[str] = "step_waits"
    until: datetime | None = None
    waits_for: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNotStarted(StepEvent):
    """A claimed step was found to be no longer wanted before its function ran."""

    kind: ClassVar[str] = "step_not_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionMet(StepEvent):
    """The step's condition said that it is to run. It is not asked again: its function may begin."""

    kind: ClassVar[str] = "condition_met"
    asking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionNotMet(StepEvent):
    """The step's condition said that the saga goes on without it."""

    kind: ClassVar[str] = "condition_not_met"
    asking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed(Event):
    """The saga's own deadline."""

    kind: ClassVar[str] = "deadline_passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Event):
    kind: ClassVar[str] = "cancel_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaPaused(Event):
    """An operator has nothing new of the saga begun; what is in flight ends."""

    kind: ClassVar[str] = "saga_paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaResumed(Event):
    """An operator has a paused saga go on."""

    kind: ClassVar[str] = "saga_resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRetried(Event):
    """An operator has a dead compensation tried again, with fresh attempts."""

    kind: ClassVar[str] = "undo_retried"
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """An operator's word about a step that is dead past the pivot, or about a dead compensation."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoSkipped(Settled):
    """Its compensation is not tried again: there is nothing left to undo, or it is to stay."""

    kind: ClassVar[str] = "undo_skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetried(Settled):
    """It is tried again, with fresh attempts."""

    kind: ClassVar[str] = "step_retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Settled):
    """The saga goes on without it."""

    kind: ClassVar[str] = "step_skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMarkedDone(Settled):
    """Its effect is there, by other means."""

    kind: ClassVar[str] = "step_marked_done"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensateRequested(Event):
    """An operator has the saga turn back, in spite of its pivot."""

    kind: ClassVar[str] = "compensate_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack(Event):
    """The step that started this saga is undone: so is the saga, in spite of its pivot, completed or not."""

    kind: ClassVar[str] = "taken_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocksGranted(Event):
    """A saga that waited for its locks has all of them."""

    kind: ClassVar[str] = "locks_granted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated(Event):
    """The saga goes on by another version of its definition, in which some steps have other names.

    ``renamed`` holds pairs of the old and the new name; all other steps keep theirs.
    """

    kind: ClassVar[str] = "migrated"
    from_version: int = 0
    to_version: int = 0
    renamed: tuple[tuple[str, str], ...] = ()


EVENTS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        SagaStarted,
        SagaForked,
        SagaSuperseded,
        StepSucceeded,
        StepFailed,
        StepUnknown,
        StepNotStarted,
        StepWaits,
        ConditionMet,
        ConditionNotMet,
        DeadlinePassed,
        CancelRequested,
        UndoRetried,
        UndoSkipped,
        StepRetried,
        StepSkipped,
        StepMarkedDone,
        CompensateRequested,
        TakenBack,
        LocksGranted,
        Migrated,
        SagaPaused,
        SagaResumed,
    )
}
COLUMNS = frozenset({"step", "attempt"})  # kept in columns of the history, everything else in its data
_FACTS = {
    cls: tuple((spec.name, spec.default) for spec in fields(cls) if spec.name not in COLUMNS)
    for cls in EVENTS.values()
}


def to_data(event: Event) -> dict[str, Any]:
    """Give the facts of ``event`` beyond its columns as JSON-able data, defaults left out."""
    data: dict[str, Any] = {}
    if type(event) is StepSucceeded:
        # By far the most frequent, and there is little to say of it.
        if event.undo:
            data["undo"] = True
        if event.probe:
            data["probe"] = True
        if event.in_flight:
            data["in_flight"] = list(event.in_flight)
        return data
    for name, default in _FACTS[type(event)]:
        value = getattr(event, name)
        if value == default:
            continue
        if isinstance(value, timedelta):
            value = value.total_seconds()
        elif isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, tuple):
            value = list(value)
        data[name] = value
    return data


def from_data(kind: str, *, step: str, attempt: int, data: dict[str, Any] | None) -> Event:
    """Build the event again from its row of the history."""
    facts = dict(data or {})
    for name in ("starts_at", "deadline_at", "until"):
        if facts.get(name) is not None:
            facts[name] = datetime.fromisoformat(facts[name])
    if "retry_after" in facts:
        facts["retry_after"] = timedelta(seconds=facts["retry_after"])
    for name in ("in_flight", "locks", "undo_tried"):
        if name in facts:
            facts[name] = tuple(facts[name])
    if "renamed" in facts:
        facts["renamed"] = tuple((old, new) for old, new in facts["renamed"])
    if "taken" in facts:
        facts["taken"] = tuple(Taken(*each) for each in facts["taken"])
    if "cause" in facts:
        facts["cause"] = Cause(facts["cause"])
    cls = EVENTS[kind]
    if issubclass(cls, StepEvent):
        facts |= {"step": step, "attempt": attempt}
    elif issubclass(cls, (UndoRetried, Settled, SagaForked, SagaSuperseded)):
        facts["step"] = step
    return cls(**facts)
