"""What operators may do: each action once, with its guard, its lock and its audit row in one transaction."""

from django_saga.operations.actions import cancel, retry_compensation
from django_saga.operations.migrations import migrate_sagas

__all__ = ["cancel", "migrate_sagas", "retry_compensation"]
