"""What messages cost: sent to a real Redis, and handled from the inbox."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

_MESSAGES = 20_000
_KEYS = 500
_LEASE = timedelta(seconds=30)
Figures = Iterator[tuple[str, float, str]]


def relay() -> Figures:
    """Messages a second that one relay sends to Redis Streams, and raw XADDs in pipelines beside."""
    from django_saga.messaging.relay import Relay

    with _redis() as broker:
        _publish(_MESSAGES)
        one = Relay("default", ["default"], lambda name: broker, lease=_LEASE)
        began = time.perf_counter()
        while one.turn():
            pass
        yield "messages a second, relay", _MESSAGES / (time.perf_counter() - began), "1/s"
        there = broker.client.xlen(f"{broker.prefix}bench")
        assert there == _MESSAGES, there
        yield "messages a second, raw pipeline of 500", _raw(broker), "1/s"


def relay_to_rabbitmq() -> Figures:
    """Messages a second that one relay sends to a quorum queue of RabbitMQ, with confirms."""
    from django_saga.brokers.rabbitmq import RabbitBroker
    from django_saga.messaging.relay import Relay

    name = f"bench-{uuid4().hex}"
    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
    broker = RabbitBroker(f"{url}?exchange={name}")
    subscription = broker.subscribe(name, ["bench"])  # so that there is a queue
    subscription.close()
    _publish(_MESSAGES)
    one = Relay("default", ["default"], _always(broker), lease=_LEASE)
    began = time.perf_counter()
    while one.turn():
        pass
    yield "messages a second, relay", _MESSAGES / (time.perf_counter() - began), "1/s"
    broker.close()
    connection = broker.server.connect()
    channel = broker.server.channel(connection)
    there = channel.queue_declare(name, passive=True).message_count
    channel.queue_delete(name)
    channel.exchange_delete(name)
    connection.close()
    assert there == _MESSAGES, there


def inbox() -> Figures:
    """Messages a second that one thread takes from the inbox to a handler that does nothing."""
    from django_saga.dsl.handler import Handler, handlers
    from django_saga.messaging.handling import Handling
    from django_saga.messaging.relay import Relay
    from django_saga.runtime import broker

    class Noting:
        """The broker, and what it was given."""

        def publish(self, messages: list[Any]) -> Any:
            sent.extend(messages)
            return broker("default").publish(messages)

    handlers.register(Handler("bench", "bench", _nothing))
    _publish(_MESSAGES)
    sent: list[Any] = []
    one = Relay("default", ["default"], _always(Noting()), lease=_LEASE)
    began = time.perf_counter()
    while one.turn():
        pass
    yield "messages a second into the inbox", _MESSAGES / (time.perf_counter() - began), "1/s"
    handling = Handling("default", lease=_LEASE)
    began = time.perf_counter()
    while handling.turn():
        pass
    yield "messages a second handled", _MESSAGES / (time.perf_counter() - began), "1/s"
    yield "a duplicate among 500", _duplicates(sent[:500]), "ms"
    yield "a duplicate alone", _duplicates(sent[:1]), "ms"


def _duplicates(sent: list[Any]) -> float:
    """Give what it takes to see that a message came before, in milliseconds (median)."""
    from django_saga.messaging import intake

    took = []
    for _ in range(200):
        began = time.perf_counter()
        assert intake.accept("default", sent) == 0
        took.append((time.perf_counter() - began) / len(sent))
    return statistics.median(took) * 1000


def optimistic() -> Figures:
    """From the commit of a lone message to the broker, by the thread that sends straight after it."""
    from django.db import transaction

    from django_saga import publish
    from django_saga.engine import wake
    from django_saga.messaging.duty import Duty
    from django_saga.messaging.relay import Relay

    with _redis() as broker:
        duty = Duty("relay", lambda: Relay("default", ["default"], lambda name: broker, lease=_LEASE).turn)
        duty.start()
        wake.listen_here(wake.OUTBOX, duty.wake)
        took = []
        last = b"0-0"
        for _ in range(300):
            with transaction.atomic():
                publish("bench", {"n": 1}, key="k")
                before = time.perf_counter()
            found: Any = broker.client.xread({f"{broker.prefix}bench": last}, count=1, block=5_000)
            took.append(time.perf_counter() - before)
            last = found[0][1][-1][0]
            _until_marked()  # the next one finds the relay idle
        wake.listen_no_more(wake.OUTBOX, duty.wake)
        duty.stop()
        duty.join()
    took.sort()
    yield "commit to broker, p50", statistics.median(took) * 1000, "ms"
    yield "commit to broker, p95", took[int(len(took) * 0.95)] * 1000, "ms"


def _until_marked() -> None:
    from django_saga.models import OutboxMessage

    while OutboxMessage.objects.filter(status="pending").exists():
        time.sleep(0.002)


def growth() -> Figures:
    """What a relay does beside five million messages that were sent and are kept, and without them."""
    from django.db import connection

    from django_saga.messaging.relay import Relay

    rates = []
    for kept in (0, _KEPT):
        _publish(0)
        if kept:
            with connection.cursor() as cursor:
                cursor.execute(_SENT, [kept])
                cursor.execute("VACUUM ANALYZE django_saga_outboxmessage")
        _publish(_MESSAGES, empty=False)
        with _redis() as broker:
            one = Relay("default", ["default"], _always(broker), lease=_LEASE)
            began = time.perf_counter()
            while one.turn():
                pass
            rates.append(_MESSAGES / (time.perf_counter() - began))
    yield "messages a second, empty table", rates[0], "1/s"
    yield "messages a second, five million kept", rates[1], "1/s"
    yield "the same as a share", rates[1] / rates[0], ""
    _publish(0)


_KEPT = 5_000_000
_SENT = """
INSERT INTO django_saga_outboxmessage (message_id, topic, message_key, stream, number, broker, part_number,
    payload, headers, status, attempts, error_class, error, fingerprint, correlation_id, causation_id,
    created_at, ended_at)
SELECT gen_random_uuid(), 'bench', mod(n, 500)::text, 'kept:' || mod(n, 500), n / 500 + 1, 'default',
    mod(n, 32),
    '{"n":1}', '{}', 'published', 0, '', '', '', '', '', now(), now()
FROM generate_series(0, %s - 1) n
"""


def _publish(count: int, *, empty: bool = True) -> None:
    from django.db import connection, transaction

    from django_saga.engine.publishing import draft, write

    if empty:
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE django_saga_outboxmessage, django_saga_outboxstream, django_saga_inboxmessage,"
                " django_saga_inboxstream"
            )
    for at in range(0, count, 1_000):
        with transaction.atomic():
            write("default", [draft("bench", {"n": n}, n % _KEYS, None) for n in range(at, at + 1_000)])
    if empty:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE django_saga_outboxmessage")


def _always(broker: Any) -> Callable[[str], Any]:
    return lambda name: broker


def _nothing(message: Any) -> None:
    return None


@contextmanager
def _redis() -> Iterator[Any]:
    from django_saga.brokers.redis import RedisBroker

    url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
    broker = RedisBroker(f"{url}?prefix=bench:{uuid4().hex}:")
    try:
        yield broker
    finally:
        broker.client.delete(f"{broker.prefix}bench")
        broker.close()


def _raw(broker: Any) -> float:
    began = time.perf_counter()
    for _ in range(0, _MESSAGES, 500):
        pipeline = broker.client.pipeline(transaction=False)
        for _ in range(500):
            pipeline.xadd(f"{broker.prefix}bench", {"body": b"x" * 300})
        pipeline.execute()
    return _MESSAGES / (time.perf_counter() - began)
