"""Optimistic sending: the process that published sends, and a worker sends whatever that one left."""

from __future__ import annotations

import pytest

from django_saga import publish
from django_saga.models import InboxMessage, OutboxMessage, OutboxPartition
from tests.models import Effect
from tests.processes import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

PUBLISHER = ("-m", "tests.messages.publisher", "5")


def statuses():
    return set(OutboxMessage.objects.values_list("status", flat=True))


def test_a_process_sends_what_it_published_before_it_ends_and_holds_nothing_afterwards(start_python):
    assert start_python(*PUBLISHER).wait() == 0

    assert statuses() == {"published"}
    assert InboxMessage.objects.count() == 5
    assert not OutboxPartition.objects.exclude(owner=None).exists()


def test_it_can_be_turned_off(start_python):
    assert start_python(*PUBLISHER, env={"DJANGO_SAGA_OPTIMISTIC": "0"}).wait() == 0

    assert statuses() == {"pending"}


@pytest.mark.fault("F56")
@pytest.mark.parametrize(
    "point", ["outbox.after_commit", "relay.after_take", "relay.after_publish", "relay.before_mark"]
)
def test_a_worker_sends_what_a_process_left_that_died_while_it_sent(
    start_python, start_worker, ledger, point
):
    process = start_python(*PUBLISHER, env={"DJANGO_SAGA_LEASE": "1"}, faults=f"{point}=kill9")
    assert process.wait() == -9
    committed = OutboxMessage.objects.count()
    assert committed

    start_worker("--lease", "1")

    wait_until(lambda: Effect.objects.count() == committed and statuses() == {"published"})
    kinds = Effect.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == [str(n) for n in range(committed)]


def test_nothing_is_sent_behind_a_tests_back():
    publish("test.noted", {"n": 1}, key="a")

    assert statuses() == {"pending"}
