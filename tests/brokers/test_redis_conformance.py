"""Redis Streams pass the suite for brokers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit, urlunsplit

import pytest

pytest.importorskip("redis", reason="redis-py is not installed")

from django_saga.brokers import redis as adapter
from django_saga.brokers.redis import RedisBroker
from django_saga.testing.conformance import BrokerConformance
from tests.database.proxy import Proxy


class TestRedis(BrokerConformance):
    """The suite, with a lease that is over soon."""

    @pytest.fixture(autouse=True)
    def short_lease(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adapter, "_LEASE", 1_000)

    @pytest.fixture
    def kill(self):
        return lambda subscription: None  # who is dead says nothing more, and nothing else happens

    @pytest.fixture
    def broker(self, redis_prefix: str) -> Iterator[RedisBroker]:
        made = RedisBroker(redis_prefix)
        yield made
        made.close()

    @pytest.fixture
    def outage(self, redis_prefix: str) -> Iterator[SimpleNamespace]:
        there = urlsplit(redis_prefix)
        if there.hostname is None:
            pytest.skip("this Redis listens at no port that a proxy could stand before")
        with Proxy(there.hostname, there.port or 6379) as proxy:
            url = urlunsplit(there._replace(netloc=f"127.0.0.1:{proxy.port}"))
            made = RedisBroker(url)
            yield SimpleNamespace(broker=made, begin=proxy.cut, end=proxy.restore)
            made.close()
