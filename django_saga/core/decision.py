"""What the machine decides: the answer to one event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django_saga.core.state import StepState
from django_saga.core.states import SagaStatus


class Decision(NamedTuple):
    """What an event changes: the saga's status, and the steps that got a new state (opened ones included).

    What is None stays as it was. ``no_deadline``: the saga has none any more.
    """

    status: SagaStatus
    steps: Mapping[str, StepState]
    reason: str | None = None
    culprit: str | None = None
    deadline_at: datetime | None = None
    no_deadline: bool = False
    paused: bool | None = None
