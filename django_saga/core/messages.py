"""Messages: what they carry, the streams that keep their order, and ids that are made again the same."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from django_saga.core.names import fits, is_storable, name_problem

# As long as the columns that keep them.
MAX_STREAM_LENGTH = 200
MAX_ID_LENGTH = 200
# How many relays, and how many consumers of a name, can work side by side.
PARTITIONS = 32
# Headers, named as CloudEvents' registered extension "correlation" names its attributes: what all messages of
# one beginning have in common, and what this one follows from. The third: which consumer's handler sent it.
CORRELATION = "correlationid"
CAUSATION = "causationid"
CONSUMER = "sagaconsumer"
# Of W3C Trace Context: who adds nothing to a trace passes it on.
TRACE = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What travels. ``data`` is JSON text.

    ``number`` counts from 1 within ``stream``; both are missing where no order was asked for.
    """

    id: str
    source: str
    topic: str
    data: str
    at: datetime
    key: str | None = None
    stream: str | None = None
    number: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def lane(self) -> str:
        """Messages of one lane stay in their order; each message without a stream is a lane of its own."""
        return self.id if self.stream is None else self.stream

    @property
    def part(self) -> int:
        """The partition of its lane."""
        return part_of(self.lane)


def headers_problem(headers: Mapping[Any, Any]) -> str:
    """Say why ``headers`` cannot travel; nothing when they can."""
    for name, value in headers.items():
        if problem := name_problem(name, "a header"):
            return problem
        if not is_storable(value):
            return f"header {name} has to be text without NUL and lone surrogates, not {value!a:.80}"
    return ""


def stream_of(topic: str, key: str) -> str:
    """Give the stream of messages of ``topic`` for ``key``: the brokers keep order within a topic only."""
    stream = f"{topic}:{key}"
    if len(stream) <= MAX_STREAM_LENGTH:
        return stream
    return f"{topic}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def part_of(lane: str) -> int:
    """Give the partition of a lane, from 0 to ``PARTITIONS - 1``; the same in every process."""
    return zlib.crc32(lane.encode()) % PARTITIONS


def message_id(source: str, stream: str, number: int) -> UUID:
    """Give the id of message ``number`` of a stream: made again, as after a failover, it is the same."""
    return uuid5(uuid5(NAMESPACE_URL, source), f"{stream}:{number}")


def stored_id(source: str, given: str) -> str:
    """Give what a foreign message is known by: its id is unique only together with its source."""
    try:
        return str(UUID(given))
    except ValueError:
        known = f"{source}#{given}"
    if fits(known, MAX_ID_LENGTH):
        return known
    return f"sha256:{hashlib.sha256(known.encode('utf-8', 'replace')).hexdigest()}"


class Queued(Protocol):
    """A message that waits for its turn. ``due_at``: not before then, as it failed."""

    @property
    def id(self) -> int: ...
    @property
    def lane(self) -> Hashable: ...
    @property
    def due_at(self) -> datetime | None: ...


_Q = TypeVar("_Q", bound=Queued)


def in_turn(rows: Iterable[_Q], now: datetime, held: set[Hashable]) -> Iterator[_Q]:
    """Give those of ``rows``, which come in order, whose turn it is: not what waits for its time, and nothing
    behind that in its lane. ``held`` are lanes held up before, and gets those that are now.
    """
    for row in rows:
        if row.due_at is not None and row.due_at > now:
            held.add(row.lane)
        if row.lane not in held:
            yield row
