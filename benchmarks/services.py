"""What it costs to have another service act, over a real Redis."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

from benchmarks import server

_SAGAS = 200


def there_and_back() -> Iterator[tuple[str, float, str]]:
    """A remote step over Redis, from the commit that sends its command to the one that has its result."""
    from benchmarks.asking.sagas import AskingSaga

    took = []
    with _redis() as url, _answering(url), server.worker(env=_environment(url, "asking")):
        for number in range(_SAGAS + 20):
            saga = AskingSaga.start()
            saga.result(timeout=30)
            if number >= 20:  # connections are open, code is warm
                took.append(_between_commits(saga.id) * 1000)
            time.sleep(0.02)
    took.sort()
    yield "there and back, p50", statistics.median(took), "ms"
    yield "there and back, p95", took[int(len(took) * 0.95)], "ms"


@contextmanager
def _redis() -> Iterator[str]:
    import redis

    server, prefix = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9"), f"bench:{uuid4().hex}:"
    yield f"{server}?prefix={prefix}"
    client = redis.Redis.from_url(server)
    client.delete(*client.scan_iter(f"{prefix}*"))
    client.close()


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Run the other service, which has a database of its own on the same server."""
    ours = os.environ["DATABASE_URL"]
    with server.database(ours, f"saga_bench_answering_{os.getpid()}") as theirs:
        env = {**_environment(url, "answering"), "DATABASE_URL": theirs}
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env={**os.environ, **env}, check=True)
        with server.worker(env=env):
            yield


def _environment(url: str, app: str) -> dict[str, str]:
    return {
        "BENCH_APPS": f"benchmarks.{app}",
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DJANGO_SAGA_SOURCE": f"urn:bench:{app}",
        "DJANGO_SAGA_BROKERS": json.dumps({"default": url}),
        "DJANGO_SAGA_OPTIMISTIC": "1",
    }


def _between_commits(saga_id: UUID) -> float:
    from django_saga.models import SagaEvent

    rows = SagaEvent.objects.filter(saga_id=saga_id, kind__in=("step_waits", "step_succeeded"))
    began, ended = rows.order_by("id").values_list("at", flat=True)
    return (ended - began).total_seconds()
