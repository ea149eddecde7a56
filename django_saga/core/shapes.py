"""Statuses as people see them: a shape and a tone beside the word, so that colour is never the only sign."""

from __future__ import annotations

from typing import NamedTuple

from django_saga.core.states import SagaStatus, StepStatus

GOOD, BAD, BUSY, BACK, QUIET = "good", "bad", "busy", "back", "quiet"


class Shape(NamedTuple):
    """A sign, the same in ASCII, and a tone: good, bad, busy, back (undone or being undone) or quiet."""

    sign: str
    ascii: str
    tone: str


TO_COME = Shape("·", ".", QUIET)
_ODD = Shape("?", "?", QUIET)

SAGA: dict[str, Shape] = {
    SagaStatus.PENDING: Shape("○", "o", QUIET),
    SagaStatus.RUNNING: Shape("▶", ">", BUSY),
    SagaStatus.COMPENSATING: Shape("◀", "<", BACK),
    SagaStatus.COMPLETED: Shape("✔", "+", GOOD),
    SagaStatus.COMPENSATED: Shape("↩", "-", BACK),
    SagaStatus.STUCK: Shape("✖", "!", BAD),
    SagaStatus.SUPERSEDED: Shape("»", "=", QUIET),
}
STEP: dict[str, Shape] = {
    StepStatus.SCHEDULED: Shape("○", "o", QUIET),
    StepStatus.RUNNING: Shape("▶", ">", BUSY),
    StepStatus.WAITING: Shape("◇", "~", BUSY),
    StepStatus.SUCCEEDED: Shape("✔", "+", GOOD),
    StepStatus.FAILED: Shape("✖", "x", BAD),
    StepStatus.UNKNOWN: Shape("?", "?", BAD),
    StepStatus.UNDO_SCHEDULED: Shape("◁", "(", BACK),
    StepStatus.UNDOING: Shape("◀", "<", BACK),
    StepStatus.UNDONE: Shape("↩", "-", BACK),
    StepStatus.UNDO_FAILED: Shape("✖", "!", BAD),
    StepStatus.SKIPPED: Shape("∅", "/", QUIET),
}


def of_saga(status: str) -> Shape:
    """Give the shape of a saga's status; one from a newer release has a question mark."""
    return SAGA.get(status, _ODD)


def of_step(status: str) -> Shape:
    """Give the shape of a step's status; a step without a row, whose status is empty, is still to come."""
    return STEP.get(status, _ODD) if status else TO_COME
