"""Brokers of the tests, with names of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.brokers.kafka_cluster import MockCluster
from tests.brokers.rabbit_server import _shared_server, rabbit, rabbit_name, rabbit_url
from tests.brokers.redis_server import redis_url

__all__ = ["_shared_server", "rabbit", "rabbit_name", "rabbit_url"]  # fixtures


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[MockCluster]:
    """A Kafka."""
    made = MockCluster()
    yield made
    made.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis."""
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_prefix(redis_server: str) -> Iterator[str]:
    """A URL for a broker whose keys are this test's; they are deleted afterwards."""
    import redis

    prefix = f"test:{uuid4().hex}:"
    yield f"{redis_server}?prefix={prefix}"
    client = redis.Redis.from_url(redis_server)
    for key in client.scan_iter(f"{prefix}*"):
        client.delete(key)
    client.close()
