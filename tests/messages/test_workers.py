"""Real workers send and handle messages, alone or beside sagas, and their deaths cost time only."""

from __future__ import annotations

from collections import Counter

import pytest

from django_saga import publish
from django_saga.models import InboxMessage, OutboxMessage
from tests.models import Effect
from tests.processes import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

POINTS = [
    "relay.after_take",
    "relay.after_publish",
    "relay.before_mark",
    "relay.after_mark",
    "inbox.before_store",
    "inbox.before_wake",
    "inbox.after_store",
    "inbox.after_begin",
    "inbox.mid@3",
    "inbox.before_commit",
    "inbox.after_commit",
]


def all_handled(count):
    return Effect.objects.count() == count and not (
        OutboxMessage.objects.filter(status="pending").exists()
        or InboxMessage.objects.filter(status="waiting").exists()
    )


def kinds(key):
    return list(Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True))


@pytest.mark.fault("F56", "F60")
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_dies_on_the_way_costs_time_only(start_worker, ledger, point):
    for n in range(5):
        for key in ("a", "b"):
            publish("test.noted", {"n": n}, key=key)

    dead = start_worker("--once", "--lease", "1", faults=f"{point}=kill9")
    assert dead.wait() == -9
    start_worker("--lease", "1")

    wait_until(lambda: all_handled(10))
    assert kinds("a") == kinds("b") == ["0", "1", "2", "3", "4"]


def test_the_parts_of_a_worker_run_alone(start_worker, ledger):
    relay = start_worker("--only", "relay")
    consumer = start_worker("--only", "consumer")
    relay.wait_for_line("sends messages to default$")
    consumer.wait_for_line("handles messages for audit, bank, .*notes")

    publish("test.noted", {"n": 1}, key="a")

    wait_until(lambda: all_handled(1))


@pytest.mark.fault("F59")
def test_many_relays_and_consumers_keep_the_order_of_every_key(start_worker, ledger):
    for _ in range(2):
        start_worker("--only", "relay,consumer", "--processes", "2")

    for n in range(60):
        for key in range(5):
            publish("test.noted", {"n": n}, key=f"key {key}")

    wait_until(lambda: all_handled(300), timeout=60)
    for key in range(5):
        assert kinds(f"key {key}") == [str(n) for n in range(60)]
    assert Counter(InboxMessage.objects.values_list("attempts", flat=True)) == {0: 300}


@pytest.mark.fault("F62")
def test_a_message_that_kills_its_worker_ends_in_the_dead_letters_and_the_others_are_handled(
    start_worker, ledger
):
    publish("test.noted", {"n": 1, "do": "die"}, key="a")
    publish("test.noted", {"n": 2}, key="a")
    publish("test.noted", {"n": 3}, key="b")

    start_worker("--only", "relay,consumer", "--lease", "1")

    wait_until(lambda: InboxMessage.objects.filter(status="dead").exists(), timeout=60)
    wait_until(lambda: Effect.objects.count() == 2)
    assert (kinds("a"), kinds("b")) == (["2"], ["3"])
    assert InboxMessage.objects.get(status="dead").error.startswith("crash loop")


def test_a_handler_that_hangs_has_its_process_replaced_and_is_given_up_in_the_end(start_worker, ledger):
    publish("test.noted", {"n": 1, "do": "sleep", "seconds": 600}, key="a")
    publish("test.noted", {"n": 2}, key="b")

    env = {"DJANGO_SAGA_STEP_TIMEOUT": "0.2", "DJANGO_SAGA_MAX_CRASHES": "2"}
    worker = start_worker("--only", "relay,consumer", "--lease", "1", env=env)

    wait_until(lambda: kinds("b") == ["2"])
    wait_until(lambda: InboxMessage.objects.filter(status="dead").exists(), timeout=60)
    worker.wait_for_line("a handler hangs past its timeout; its process is replaced")
    assert kinds("a") == []
