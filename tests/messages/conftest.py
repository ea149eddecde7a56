"""What tests of messages share: relay and handlers, taken turn by turn in the test's own thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from django_saga.core.messages import Message
from django_saga.dsl.handler import handlers
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused, SagaError
from django_saga.messaging.handling import Handling
from django_saga.messaging.relay import Relay
from django_saga.models import InboxSubscription
from django_saga.ports import BrokerFeatures
from django_saga.runtime import broker
from django_saga.testing import assert_message_invariants, shift_clock

LEASE = timedelta(seconds=30)


class Shelf:
    """A broker that keeps what it got, and says what it is told to say."""

    features = BrokerFeatures()

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.away = False
        self.refuses: Callable[[Message], bool] = lambda message: False
        self.while_sending: Callable[[], None] = lambda: None

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Take messages in their order."""
        if self.away:
            raise BrokerUnavailable("gone fishing")
        receipts: list[SagaError | None] = []
        stopped = set()
        for message in messages:
            if message.lane in stopped:
                receipts.append(MessageHeld("behind another one"))
            elif self.refuses(message):
                stopped.add(message.lane)
                receipts.append(MessageRefused(f"message {message.number} is not to my taste"))
            else:
                self.got.append(message)
                receipts.append(None)
        self.while_sending()
        return receipts

    def subscribe(self, consumer: str, topics: Sequence[str]) -> Any:
        """Nobody asks."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def shelf() -> Shelf:
    """A broker to look into."""
    return Shelf()


@pytest.fixture
def new_relay(shelf: Shelf) -> Callable[[], Relay]:
    """Make a relay that sends to ``shelf``."""
    return lambda: Relay("default", ["default"], lambda name: shelf, lease=LEASE)


@pytest.fixture
def deliver() -> Callable[[], None]:
    """Send all that is in the outbox to this project's own handlers, and have them handle it."""

    def all_of_it() -> None:
        relay = Relay("default", ["default"], broker, lease=LEASE)
        handling = Handling("default", lease=LEASE)
        while any([relay.turn(), handling.turn()]):
            pass

    return all_of_it


@pytest.fixture
def later() -> Iterator[Callable[[timedelta], None]]:
    """Let time pass, until the test ends."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda by: stack.enter_context(shift_clock(by))


@pytest.fixture(autouse=True)
def _message_invariants_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """Afterwards every message has to be as the app promises, where the test itself broke nothing."""
    yield
    if request.node.get_closest_marker("django_db") and not request.node.get_closest_marker("tampers"):
        assert_message_invariants()


@pytest.fixture
def trip(db: None) -> Iterator[Any]:
    """A trip that can be asked for, and nothing else."""
    from tests.messages.trip import Trip

    InboxSubscription.objects.all().delete()  # what `migrate` noted of the tests' handlers
    with handlers.isolated():
        yield Trip()
