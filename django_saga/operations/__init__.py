"""What operators may do: each action once, with its guard, its lock and its audit row in one transaction."""

from django_saga.operations.actions import cancel, retry_compensation
from django_saga.operations.pausing import pause, resume

__all__ = ["cancel", "pause", "resume", "retry_compensation"]
