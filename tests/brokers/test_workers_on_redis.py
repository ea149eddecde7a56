"""Real workers send to a real Redis and handle what comes from it, whatever dies on the way."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from django.db import connections, transaction

pytest.importorskip("redis", reason="redis-py is not installed")

from django_saga import publish
from django_saga.brokers.redis import RedisBroker
from django_saga.core import envelope
from django_saga.models import InboxMessage, OutboxMessage
from tests.brokers.log import NOTHING, check
from tests.models import Effect
from tests.processes import wait_until
from tests.together import in_threads

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

LEASE = ("--lease", "1")


@pytest.fixture
def on_redis(redis_prefix, settings, start_worker):
    """Start workers whose broker is a Redis."""
    settings.DJANGO_SAGA = {"SOURCE": "urn:test"}
    env = {"DJANGO_SAGA_BROKERS": json.dumps({"default": redis_prefix}), "DJANGO_SAGA_SOURCE": "urn:test"}

    def start(*arguments, faults=""):
        return start_worker(*arguments, *LEASE, env=env, faults=faults)

    return start


def log(url, topic):
    broker = RedisBroker(url)
    entries: Any = broker.client.xrange(f"{broker.prefix}{topic}")
    broker.close()
    return [envelope.read(fields[b"body"]) for _, fields in entries]


def committed():
    rows = OutboxMessage.objects.values_list("stream", "number", "message_id")
    return {(stream, number): str(message_id) for stream, number, message_id in rows}


def all_sent():
    return not OutboxMessage.objects.exclude(status="published").exists()


def kinds(key):
    return list(Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True))


@pytest.mark.fault("F56", "F60")
@pytest.mark.parametrize(
    "point",
    [
        "relay.after_take",
        "relay.after_publish",
        "relay.before_mark",
        "inbox.before_store",
        "inbox.after_store",
        "inbox.mid@3",
        "inbox.after_commit",
    ],
)
def test_a_worker_that_dies_on_the_way_costs_time_only(on_redis, redis_prefix, ledger, point):
    for n in range(5):
        for key in ("a", "b"):
            publish("test.noted", {"n": n}, key=key)

    dead = on_redis("--once", faults=f"{point}=kill9")
    assert dead.wait() == -9
    on_redis()

    wait_until(lambda: Effect.objects.count() == 10 and all_sent())
    assert kinds("a") == kinds("b") == ["0", "1", "2", "3", "4"]
    assert check(committed(), log(redis_prefix, "test.noted")) == NOTHING


@pytest.mark.fault("F59")
def test_writers_and_relays_that_die_leave_a_broker_log_without_a_fault(on_redis, redis_prefix, ledger):
    relays = [on_redis("--only", "relay") for _ in range(3)]
    chance = random.Random(7)

    def write(writer):
        for n in range(25):
            with transaction.atomic():
                for key in sorted({chance.randrange(4), chance.randrange(4)}):
                    publish("test.unheard", {"n": n, "by": writer}, key=key)
                transaction.set_rollback(chance.random() < 0.2)
            if writer == 0 and n in (5, 12, 19):
                relays.pop().kill9()
                relays.append(on_redis("--only", "relay"))
        connections.close_all()

    assert in_threads(4, write) == [None] * 4
    wait_until(all_sent, timeout=60)

    assert check(committed(), log(redis_prefix, "test.unheard")) == NOTHING


def test_one_consumer_runs_on_when_another_one_is_killed(on_redis, ledger):
    first = on_redis("--only", "consumer")
    on_redis("--only", "relay")
    publish("test.noted", {"n": 0}, key="a")
    wait_until(lambda: kinds("a") == ["0"])
    on_redis("--only", "consumer")

    first.kill9()
    for n in range(1, 4):
        publish("test.noted", {"n": n}, key="a")

    wait_until(lambda: kinds("a") == ["0", "1", "2", "3"], timeout=45)
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"done"}
