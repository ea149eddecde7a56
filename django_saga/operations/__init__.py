"""What operators may do: each action once, with its guard, its lock and its audit row in one transaction."""

from django_saga.operations.actions import (
    cancel,
    compensate,
    mark_done,
    retry_compensation,
    retry_step,
    skip_step,
)
from django_saga.operations.migrations import migrate_sagas

__all__ = [
    "cancel",
    "compensate",
    "mark_done",
    "migrate_sagas",
    "retry_compensation",
    "retry_step",
    "skip_step",
]
