"""What the floors below ask of the floors above: filled by ``runtime``, so that no import goes upwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django_saga.exceptions import SagaError


class Engine(Protocol):
    """What ``Saga.start()`` and its siblings need of the engine. Inputs come encoded."""

    def start(
        self,
        program: Any,
        text: str,
        *,
        idempotency_key: str | None = None,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> Any: ...

    def bulk_start(
        self,
        program: Any,
        texts: Sequence[str],
        *,
        run_at: datetime | timedelta | None = None,
        priority: int | None = None,
        using: str | None = None,
    ) -> list[Any]: ...

    def run(
        self, program: Any, text: str, *, idempotency_key: str | None = None, using: str | None = None
    ) -> Any: ...

    def get(self, program: Any, saga_id: UUID | str, *, using: str | None = None) -> Any: ...

    def cancel(self, saga_id: UUID, program: Any, *, using: str, reason: str = "") -> None: ...


class Clock(Protocol):
    """Where the time comes from: the database, or a test."""

    def now(self, using: str) -> datetime:
        """Give the time now, aware, in UTC."""
        ...


class Task(Protocol):
    """What an executor is handed: one attempt of one step."""

    is_async: bool


class Executor(Protocol):
    """Runs attempts and reports each outcome once."""

    def submit(self, task: Any) -> None: ...

    def stop(self) -> None: ...


_engine: Callable[[], Engine] | None = None


def engine() -> Engine:
    """Give the engine. Raises ``SagaError`` while the app is not installed."""
    if _engine is None:
        raise SagaError(
            'django_saga is not set up: add "django_saga" to INSTALLED_APPS and call django.setup().'
        )
    return _engine()


def provide_engine(factory: Callable[[], Engine]) -> None:
    """Say where the engine comes from: ``runtime``, and while it is open the lab of a test, which stands
    before it.
    """
    global _engine
    _engine = factory
