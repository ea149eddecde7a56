"""What the floors below ask of the floors above: filled by ``runtime``, so that no import goes upwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django_saga.core.messages import Message
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFeatures:
    """What a broker promises beside what all of them do.

    ``in_database``: it hands over in this very database, and nothing has to be fetched from it.
    ``keeps_for_later_consumers``: a consumer that subscribes for the first time is given what was published
    before. ``refuses_unroutable``: a message of a topic that is nowhere to go to is ``MessageRefused``.
    ``max_message_bytes``: the largest body that it takes; None where it has no limit of its own.
    """

    in_database: bool = False
    keeps_for_later_consumers: bool = True
    refuses_unroutable: bool = False
    max_message_bytes: int | None = None


class Delivery(Protocol):
    """A message as it was fetched: which topic it came by, its bytes, and what acknowledges it."""

    @property
    def topic(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class Subscription(Protocol):
    """What one consumer gets from a broker."""

    def fetch(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Give what came, waiting at most ``wait`` for the first. Raises ``BrokerUnavailable``."""
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Have the broker forget what is stored. Raises ``BrokerUnavailable``."""
        ...

    def close(self) -> None:
        """Leave; what was not acknowledged is given to another one."""
        ...


class Broker(Protocol):
    """Carries messages between programs; made of a URL."""

    features: BrokerFeatures

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Send messages in their order, wait for the broker's word, and give it for each: None when it has
        the message, ``MessageRefused`` when it does not take it for itself, ``BrokerUnavailable`` when it was
        not to be had, ``MessageHeld`` for those not sent as one before them in their stream was not.

        Once a message of a stream failed, no later one of that stream is sent. Raises ``BrokerUnavailable``
        when nothing was sent, or nobody knows what was.
        """
        ...

    def subscribe(self, consumer: str, topics: Sequence[str]) -> Subscription:
        """Give what ``consumer`` gets of ``topics``. Raises ``BrokerUnavailable``."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


_engine: Callable[[], Engine] | None = None
_take_reply: Callable[[Any], None] | None = None


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


def take_reply(message: Any) -> None:
    """Hand a reply to the step that waits for it; the handler of every project that sends commands."""
    assert _take_reply is not None  # messages are handled by an app that is set up
    _take_reply(message)


def provide_replies(take: Callable[[Any], None]) -> None:
    """Say what takes replies."""
    global _take_reply
    _take_reply = take
