"""A RabbitMQ for tests: the one that ``RABBITMQ_URL`` names, or one on this machine."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def rabbit() -> str:
    """The URL of a RabbitMQ, without options."""
    given = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
    parts = urlsplit(given)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 5672), timeout=2).close()
    except OSError as error:
        if "RABBITMQ_URL" in os.environ:
            raise
        pytest.skip(f"no RabbitMQ answers: {error}")
    return given


@contextmanager
def _server_held(how: int) -> Iterator[None]:
    """Keep tests of other sessions away from the server, or (``LOCK_SH``) those that raise its alarm."""
    with (Path(tempfile.gettempdir()) / "django-saga-tests-rabbitmq.lock").open("w") as file:
        fcntl.flock(file, how)
        yield


@pytest.fixture
def _shared_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold the server for this test: with others, unless it raises an alarm that stops them all."""
    alone = request.node.get_closest_marker("alone_on_rabbitmq")
    with _server_held(fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        yield


@pytest.fixture
def rabbit_name(rabbit: str, _shared_server: None) -> Iterator[str]:
    """A name that the test's exchange and queues begin with; they are deleted afterwards."""
    from django_saga.brokers import rabbitmq

    name, queues = f"test-{uuid4().hex}", set()
    declare = rabbitmq._declare

    def noting(server, connection, queue):
        queues.add(queue)
        return declare(server, connection, queue)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rabbitmq, "_declare", noting)
        yield name
    broker = rabbitmq.RabbitBroker(rabbit)
    connection = broker.server.connect()
    channel = connection.channel()
    for queue in queues:
        channel.queue_delete(queue)
    channel.exchange_delete(name)
    connection.close()


@pytest.fixture
def rabbit_url(rabbit: str, rabbit_name: str) -> str:
    """The URL with an exchange of the test's own."""
    return f"{rabbit}?exchange={rabbit_name}&max_message_bytes=200000"
