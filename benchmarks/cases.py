"""What is measured: each case yields its figures as (metric, value, unit)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import messaging, server, services

Figure = tuple[str, float, str]

SAGAS = 5_000


def b1() -> Iterator[Figure]:
    """Throughput of successful order sagas, one worker process and two."""
    from benchmarks.sagas import OrderSaga

    for processes in (1, 2):
        rate, peak = _drained(OrderSaga, SAGAS, processes)
        yield f"sagas a second, {processes} process{'es' * (processes - 1)}", rate, "1/s"
        if processes == 1:
            yield "peak memory", peak, "MiB"


def b2() -> Iterator[Figure]:
    """Throughput of sagas whose third step fails, beside successful ones of the same run."""
    from benchmarks.sagas import FailingOrderSaga, OrderSaga

    done, _ = _drained(OrderSaga, SAGAS, 1)
    undone, _ = _drained(FailingOrderSaga, SAGAS, 1)
    yield "undone sagas a second", undone, "1/s"
    yield "as a share of successful ones", undone / done, ""


def b3() -> Iterator[Figure]:
    """Latency of a lone saga, from the start's commit to its end: by an idle worker, and by ``run()``."""
    from benchmarks.sagas import OrderSaga

    _empty()
    with server.worker():
        _drain_now(OrderSaga, 20)
        waits = []
        for number in range(100):
            handle = OrderSaga.start({"order": number})
            handle.result(timeout=10)
            waits.append(_took(handle.id))
            time.sleep(0.02)
    yield "start to completed, p50", statistics.median(waits) * 1000, "ms"
    yield "start to completed, p95", statistics.quantiles(waits, n=20)[18] * 1000, "ms"
    took = _timed(lambda: OrderSaga.run({"order": 1}), 200)
    yield "run(), p50", statistics.median(took) * 1000, "ms"


def b4() -> Iterator[Figure]:
    """A graph 1 → 3 side by side of 50 ms → 1: alone, and a hundred at once."""
    from benchmarks.sagas import FanOutSaga

    _empty()
    with server.worker():
        _drain_now(FanOutSaga, 20)
        alone = []
        for _ in range(20):
            handle = FanOutSaga.start()
            handle.result(timeout=10)
            alone.append(_took(handle.id))
            time.sleep(0.02)
        yield "one saga, p50", statistics.median(alone) * 1000, "ms"
        yield "100 at once", _drain_now(FanOutSaga, 100) * 1000, "ms"


def b5() -> Iterator[Figure]:
    """Memory of a worker over 50,000 sagas."""
    from benchmarks.sagas import OrderSaga

    _empty()
    with server.worker() as process:
        sizes = []
        for _ in range(10):
            _drain_now(OrderSaga, 5_000)
            sizes.append(process.memory())
        yield "after 5,000 sagas", sizes[0], "MiB"
        yield "after 50,000 sagas", sizes[-1], "MiB"
        yield "peak", process.peak_memory(), "MiB"


def b6() -> Iterator[Figure]:
    """What starting costs the caller."""
    from django.db import transaction

    from benchmarks.sagas import OrderSaga

    _empty()

    def start() -> None:
        with transaction.atomic():
            began = time.perf_counter()
            OrderSaga.start({"order": 1})
            took.append(time.perf_counter() - began)

    took: list[float] = []
    _timed(start, 300)
    yield "start(), p50", statistics.median(took[20:]) * 1000, "ms"
    inputs = [{"order": number} for number in range(10_000)]
    [seconds] = _timed(lambda: OrderSaga.bulk_start(inputs), 1)
    yield "bulk_start()", len(inputs) / seconds, "1/s"


def b7() -> Iterator[Figure]:
    """Throughput with a million finished sagas beside, against empty tables of the same run."""
    from benchmarks import growth
    from benchmarks.sagas import OrderSaga

    small, _ = _drained(OrderSaga, SAGAS, 1)
    _empty()
    growth.fill(1_000_000)
    large, _ = _drained(OrderSaga, SAGAS, 1, empty=False)
    again, _ = _drained(OrderSaga, SAGAS, 1, empty=False)
    _empty()
    yield "sagas a second, empty tables", small, "1/s"
    yield "sagas a second, a million finished", max(large, again), "1/s"
    yield "ratio", max(large, again) / small, ""


def b8() -> Iterator[Figure]:
    """Commits and statements per saga: alone, and under load."""
    from benchmarks import counting
    from benchmarks.sagas import OrderSaga

    _empty()
    with server.worker():
        _drain_now(OrderSaga, 20)
        before = counting.snapshot()
        with counting.sent("NOTIFY") as notified:
            handle = OrderSaga.start({"order": 1})
        handle.result(timeout=10)
        # A notification takes a transaction id as well, but writes nothing.
        yield "commits of a lone saga, with its start", counting.since(before) - len(notified), ""
    before = counting.snapshot()
    _drained(OrderSaga, SAGAS, 1)
    yield "commits a saga under load", counting.since(before) / SAGAS, ""
    yield "statements of a lone saga in run()", counting.statements(lambda: OrderSaga.run({"order": 1})), ""


def b9() -> Iterator[Figure]:
    """Items a second of a ``for_each`` over 10,000, start to end, one worker process."""
    from benchmarks.sagas import BatchSaga

    for at_once, saga in BatchSaga.items():
        _empty()
        with server.worker() as process:
            saga.start(200).result(timeout=30)
            handle = saga.start(10_000)
            handle.result(timeout=120)
            yield f"items a second, {at_once} at a time", 10_000 / _took(handle.id), "1/s"
            yield f"peak memory, {at_once} at a time", process.peak_memory(), "MiB"


def b10() -> Iterator[Figure]:
    """What sagas asleep cost an idle worker, and how fast 10,000 go on that wake up at the same instant."""
    from benchmarks.sagas import LaterOrderSaga, OrderSaga

    _empty()
    alone = _idle_share()
    for _ in range(10):
        LaterOrderSaga.bulk_start([None] * 10_000)
    yield "processor of an idle worker", alone * 100, "%"
    yield "beside 100,000 sagas asleep", _idle_share() * 100, "%"
    awake, _ = _drained(OrderSaga, 10_000, 1)
    _empty()
    with server.worker():
        _drain_now(OrderSaga, 100)
        LaterOrderSaga.bulk_start([None] * 10_000)
        # Two seconds from now, so that the worker has long looked when it comes.
        at = _ask(
            "WITH woken AS (UPDATE django_saga_sagastep SET due_at = clock_timestamp() + interval '2 s'"
            " WHERE status = 'waiting' RETURNING due_at) SELECT max(due_at) FROM woken"
        )
        _wait_for_rest()
        ended = _ask("SELECT max(finished_at) FROM django_saga_sagainstance")
    rate = 10_000 / (ended - at).total_seconds()
    yield "orders a second that wake up at once", rate, "1/s"
    yield "as a share of orders that did not sleep", rate / awake, ""
    # The sleep is a step too: four outcomes to record instead of three.
    yield "the same by outcomes recorded", 4 * rate / (3 * awake), ""


CASES: dict[str, Callable[[], Iterator[Figure]]] = {
    "B1": b1, "B2": b2, "B3": b3, "B4": b4, "B5": b5, "B6": b6, "B7": b7, "B8": b8,
    "B9": b9, "B10": b10, "B11": messaging.relay, "B12": messaging.inbox, "B13": messaging.optimistic,
    "B14": messaging.growth, "B15": messaging.relay_to_rabbitmq, "B16": services.there_and_back,
}  # fmt: skip


def _drained(saga: Any, count: int, processes: int, *, empty: bool = True) -> tuple[float, float]:
    """Give the rate at which worker processes drain ``count`` sagas, and the peak memory of one."""
    if empty:
        _empty()
    with server.worker("--processes", str(processes)) as process:
        _drain_now(saga, 100)  # its code is warm, its connections are open
        rate = count / _drain_now(saga, count)
        return rate, process.peak_memory()


def _drain_now(saga: Any, count: int) -> float:
    """Start ``count`` sagas in one transaction; give the seconds from its commit to the end of the last."""
    from django.db import connection, transaction

    inputs = [{"order": number} for number in range(count)]
    with transaction.atomic():
        handles = saga.bulk_start(inputs)
    began = _ask("SELECT clock_timestamp()")
    _wait_for_rest()
    assert connection.connection is not None
    ended = _ask(
        "SELECT max(finished_at) FROM django_saga_sagainstance WHERE id = ANY(%s)",
        [handle.id for handle in handles],
    )
    seconds: float = (ended - began).total_seconds()
    return seconds


def _wait_for_rest() -> None:
    while _ask(
        "SELECT EXISTS (SELECT 1 FROM django_saga_sagainstance"
        " WHERE status IN ('pending', 'running', 'compensating', 'stuck'))"
    ):
        time.sleep(0.02)


def _idle_share() -> float:
    """Give the share of a processor that a worker takes which has nothing to do, over ten seconds."""
    with server.worker() as process:
        time.sleep(2)  # it looks ever less often
        before = process.processor_time()
        time.sleep(10)
        return (process.processor_time() - before) / 10


def _took(saga_id: Any) -> float:
    seconds = _ask(
        "SELECT extract(epoch FROM finished_at - created_at) FROM django_saga_sagainstance WHERE id = %s",
        saga_id,
    )
    return float(seconds)


def _ask(sql: str, *params: Any) -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchone()[0]


def _empty() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE django_saga_sagainstance, django_saga_sagastep, django_saga_sagaevent,"
            " django_saga_sagaoperation, django_saga_sagaworker, django_saga_sagalock, django_saga_sagagate"
            " CASCADE"
        )


def _timed(call: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took
