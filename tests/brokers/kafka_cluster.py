"""A Kafka for tests: the mock cluster that is part of librdkafka, which speaks the real protocol.

One broker, in this process. It knows no CreateTopics, so topics are made by its own functions. ``Detour`` is
a way to it that can be cut for one client alone.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.database.proxy import Proxy

_PRODUCER = 0
_BROKER = 1


class MockCluster:
    """A cluster of one broker."""

    def __init__(self) -> None:
        self._library = _library()
        config = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(config, b"log_level", b"0", None, 0)
        self._client = self._library.rd_kafka_new(_PRODUCER, config, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        # Of groups: so that nobody has to wait for the first members of each.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.address = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int = 4) -> None:
        """Create a topic."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def begin(self) -> None:
        """End all connections and take none."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, _BROKER)

    def end(self) -> None:
        """Be there again."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, _BROKER)

    def fail_produce(self, *codes: int) -> None:
        """Answer the next requests to produce with these errors; 0 is none."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(0), len(codes), (ctypes.c_int * len(codes))(*codes)
        )

    def close(self) -> None:
        """Be gone."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


class Detour(Proxy):
    """A way to the cluster; clients that come by it hear that the broker is here, and stay on it."""

    def __init__(self, cluster: MockCluster) -> None:
        self._host, port = cluster.address.split(":")
        super().__init__(self._host, port)
        self._there = self._host.encode() + struct.pack(">i", int(port))
        self.address = f"{self._host}:{self.port}"

    def reply(self, data: bytes) -> bytes:
        """Put this address in the place of the broker's."""
        return data.replace(self._there, self._host.encode() + struct.pack(">i", self.port))


def _library() -> Any:
    package = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
    folder = Path(package.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(folder.glob("librdkafka*"))
    if not found:
        pytest.skip(f"no librdkafka in {folder.name}, whose mock cluster is the Kafka of these tests")
    library = ctypes.CDLL(str(found[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        (
            "rd_kafka_mock_push_request_errors_array",
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)],
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
