"""Redis Streams: one stream for each topic, one consumer group for each consumer.

``redis://host:6379/0?prefix=saga:&format=binary``; ``prefix`` stands before the names of topics, and what
else follows the question mark goes to redis-py. A stream is trimmed up to what all of its groups have
acknowledged.

One subscription of a consumer at a time is given messages, so that order holds; a key that it keeps alive
says which. Storing what came is quick, and handling it goes side by side in all workers. The scripts look at
that key and read in one step: a process that was frozen cannot take a message out of its turn when it wakes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured

from django_saga.core.messages import Message
from django_saga.core.wire import Format, Parcel, opened, packed
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused, SagaError
from django_saga.ports import BrokerFeatures, Delivery

try:
    import redis
except ImportError as error:
    raise ImproperlyConfigured(
        'A broker of DJANGO_SAGA is on Redis, and its package is missing: pip install "django-saga[redis]".'
    ) from error

_TIMEOUT = 10.0  # of one command, in seconds
_LEASE = 10_000  # how long a subscription that says nothing keeps others out, in milliseconds
_STAND_BY = 2.5  # how often one that is kept out looks whether it may take over, in seconds
# Fields of an entry; those beside are headers.
_BODY, _KIND = b"body", "content-type"
# How many acknowledged messages a subscription leaves in a stream before it has them trimmed.
_TRIM = 1_000

# Adds entries one by one and stops at the first that fails: gives how many were added, and the error.
# ARGV: for each, how many words its fields and values are, and these.
_ADD = """
local at, added = 1, 0
while at <= #ARGV do
    local last = at + ARGV[at]
    local done = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
    if type(done) == 'table' and done.err then return {added, done.err} end
    at, added = last + 1, added + 1
end
return {added}
"""
# Gives entries to who holds the key: first those given to somebody before and not acknowledged.
# KEYS: the key, the stream. ARGV: who asks, the lease, the group, how many, whether old ones are wanted.
_READ = """
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] then
    if holder then return {0} end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return {1}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[5] ~= '' then
    local old = redis.call('XAUTOCLAIM', KEYS[2], ARGV[3], ARGV[1], 0, ARGV[5], 'COUNT', ARGV[4])
    return {2, old[1], old[2]}
end
local found = redis.call('XREADGROUP', 'GROUP', ARGV[3], ARGV[1], 'COUNT', ARGV[4], 'STREAMS', KEYS[2], '>')
return {2, '', found and found[1][2] or {}}
"""
_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Entry(NamedTuple):
    """A message as it was fetched."""

    topic: str
    body: bytes
    id: bytes


class RedisBroker:
    """Sends to Redis Streams and subscribes to them."""

    features = BrokerFeatures()

    def __init__(self, url: str, *, using: str = "") -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        self.prefix = options.pop("prefix", "saga:")
        self._format = _format(options.pop("format", Format.STRUCTURED))
        plain = urlunsplit(parts._replace(query=urlencode(options)))
        self.client = redis.Redis.from_url(
            plain, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT / 3, health_check_interval=30
        )
        self._add = self.client.register_script(_ADD)

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Add messages to the streams of their topics, each topic's in one call."""
        receipts: list[SagaError | None] = [None] * len(messages)
        by_topic: dict[str, list[int]] = {}
        for at, message in enumerate(messages):
            by_topic.setdefault(message.topic, []).append(at)
        away: BrokerUnavailable | None = None
        for topic, places in by_topic.items():
            if away is None:
                away = self._publish(topic, messages, places, receipts)
            else:
                for at in places:
                    receipts[at] = away
        return receipts

    def _publish(
        self,
        topic: str,
        messages: Sequence[Message],
        places: list[int],
        receipts: list[SagaError | None],
    ) -> BrokerUnavailable | None:
        """Add messages of one topic; what is refused costs its own lane only. Gives what ended it, if any."""
        left = places
        while left:
            words = [word for at in left for word in _fields(packed(messages[at], self._format))]
            try:
                answer: Any = self._add(keys=[self.prefix + topic], args=words)
            except redis.RedisError as error:
                return _all_away(error, left, receipts)
            done = int(answer[0])
            if done == len(left):
                return None
            said = bytes(answer[1]).decode("utf-8", "replace")
            if not said.startswith("WRONGTYPE"):
                return _all_away(redis.ResponseError(said), left[done:], receipts)
            refused = messages[left[done]].lane
            receipts[left[done]] = MessageRefused(f"stream {self.prefix}{topic}: {said}")
            rest = left[done + 1 :]
            for at in rest:
                if messages[at].lane == refused:
                    receipts[at] = MessageHeld(f"message {messages[left[done]].id} before it was refused")
            left = [at for at in rest if messages[at].lane != refused]
        return None

    def subscribe(self, consumer: str, topics: Sequence[str]) -> RedisSubscription:
        """Give what ``consumer`` gets of ``topics``, from the oldest message that is still there."""
        return RedisSubscription(self.client, self.prefix, consumer, topics, self._format)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


class RedisSubscription:
    """What one consumer gets."""

    def __init__(
        self, client: redis.Redis, prefix: str, consumer: str, topics: Sequence[str], form: Format
    ) -> None:
        self._client = client
        self._format = form
        self._consumer = consumer
        self._me = uuid4().hex
        self._key = f"{prefix}active:{consumer}"
        self._topics = {prefix + topic: topic for topic in topics}
        # Where to go on among those that were given to somebody before; "": there are none any more.
        self._old = dict.fromkeys(self._topics, b"0-0")
        self._seen: dict[str, bytes] = {}
        self._acknowledged = dict.fromkeys(self._topics, 0)
        self._read = client.register_script(_READ)
        for stream in self._topics:
            self._create_group(stream)

    def _create_group(self, stream: str) -> None:
        try:
            self._client.xgroup_create(stream, self._consumer, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise _as_away(error) from error
        except redis.RedisError as error:
            raise _as_away(error) from error

    def fetch(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Give what came, oldest first, while this is the subscription that is given anything."""
        try:
            if entries := self._take(limit):
                return entries
            if wait:
                self._wait(wait)
                return self._take(limit)
            return []
        except redis.RedisError as error:
            raise _as_away(error) from error

    def _take(self, limit: int) -> list[Entry]:
        found: list[Entry] = []
        for stream, topic in self._topics.items():
            while len(found) < limit:
                new = not self._old[stream]
                held, entries = self._ask(stream, topic, limit - len(found))
                if not held:
                    return []
                found += entries
                if new and not entries:
                    break
        return found

    def _ask(self, stream: str, topic: str, limit: int) -> tuple[bool, list[Entry]]:
        """Give whether it is this subscription's turn, and what it was given."""
        old = self._old[stream]
        args: list[str | int | bytes] = [self._me, _LEASE, self._consumer, limit, old]
        answer: Any = self._read(keys=[self._key, stream], args=args)
        if answer[0] == 0:
            return False, []
        if answer[0] == 1:
            # It was somebody else's until now: what that one has not acknowledged comes first.
            self._old = dict.fromkeys(self._topics, b"0-0")
            return self._ask(stream, topic, limit)
        if old:
            self._old[stream] = b"" if answer[1] == b"0-0" else answer[1]
        entries = [
            Entry(topic, self._opened(topic, entry_id, fields), entry_id)
            for entry_id, fields in (each for each in answer[2] if each and each[1])
        ]
        if entries:
            self._seen[stream] = max(self._seen.get(stream, b"0-0"), entries[-1].id, key=_order)
        return True, entries

    def _opened(self, topic: str, entry_id: bytes, fields: Sequence[bytes]) -> bytes:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        body = bytes(values.pop(_BODY, b""))
        headers = {
            bytes(name).decode("utf-8", "replace"): bytes(value).decode("utf-8", "replace")
            for name, value in values.items()
        }
        kind = headers.pop(_KIND, "")
        return opened(
            topic, body, headers, content_type=kind, form=self._format, fallback_id=entry_id.decode()
        )

    def _wait(self, wait: timedelta) -> None:
        """Wait until something is added. It is only looked at here: taking it needs the key."""
        if self._client.get(self._key) != self._me.encode():
            time.sleep(min(wait.total_seconds(), _STAND_BY))
            return
        newest: dict[Any, Any] = {stream: self._seen.get(stream, b"$") for stream in self._topics}
        if b"$" in newest.values():
            # What was added since the last look would be missed: ask for what is behind the group's end.
            newest = {stream: self._last_given(stream) for stream in self._topics}
        self._client.xread(newest, count=1, block=max(1, int(wait.total_seconds() * 1000)))

    def _last_given(self, stream: str) -> bytes:
        groups: Any = self._client.xinfo_groups(stream)
        return next(
            bytes(group["last-delivered-id"])
            for group in groups
            if bytes(group["name"]).decode() == self._consumer
        )

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge, and now and then trim what all consumers have acknowledged."""
        by_topic: dict[str, list[bytes]] = {}
        for each in deliveries:
            assert isinstance(each, Entry)
            by_topic.setdefault(each.topic, []).append(each.id)
        try:
            for stream, topic in self._topics.items():
                if ids := by_topic.get(topic):
                    self._client.xack(stream, self._consumer, *ids)
                    self._acknowledged[stream] += len(ids)
                    if self._acknowledged[stream] >= _TRIM:
                        self._acknowledged[stream] = 0
                        self._trim(stream)
        except redis.RedisError as error:
            raise _as_away(error) from error

    def _trim(self, stream: str) -> None:
        """Drop entries that no group of the stream has still to get or to acknowledge."""
        kept = []
        groups: Any = self._client.xinfo_groups(stream)
        for group in groups:
            pending: Any = self._client.xpending(stream, group["name"]) if group["pending"] else None
            kept.append(bytes(pending["min"] if pending and pending["min"] else group["last-delivered-id"]))
        if kept:
            self._client.xtrim(stream, minid=min(kept, key=_order).decode(), approximate=True)

    def close(self) -> None:
        """Let another subscription have its turn."""
        try:
            self._client.eval(_LEAVE, 1, self._key, self._me)
        except redis.RedisError:
            return  # its lease runs out


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError:
        raise ImproperlyConfigured(
            f"The URL of a redis: broker has a format {text!a:.40}; there are {', '.join(Format)}."
        ) from None


def _fields(parcel: Parcel) -> list[str | int | bytes]:
    """Give the words of an entry, and before them how many they are."""
    words: list[str | int | bytes] = [_BODY, parcel.body]
    for name, value in {**parcel.headers, _KIND: parcel.content_type}.items():
        if name != "body":
            words += [name, value]
    return [len(words), *words]


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number or 0)


def _all_away(
    error: redis.RedisError, places: Sequence[int], receipts: list[SagaError | None]
) -> BrokerUnavailable:
    away = _as_away(error)
    for at in places:
        receipts[at] = away
    return away


def _as_away(error: redis.RedisError) -> BrokerUnavailable:
    return BrokerUnavailable(f"{type(error).__name__}: {error}")
