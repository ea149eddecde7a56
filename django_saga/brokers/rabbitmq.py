"""RabbitMQ: one topic exchange, a durable queue for each consumer, and confirms awaited for what is sent.

``amqp://user:password@host:5672/vhost?exchange=django_saga&format=binary``. A queue has a single active
consumer, so that order holds: of several subscriptions one is given messages, the next when that one is gone.
A queue that is there already is used as it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured

from django_saga.brokers import address
from django_saga.brokers.waves import send_in_waves, too_large
from django_saga.core.envelope import scalar_text
from django_saga.core.messages import Message
from django_saga.core.wire import Format, Parcel, opened, packed
from django_saga.exceptions import BrokerUnavailable, MessageRefused, SagaError
from django_saga.ports import BrokerFeatures, Delivery

try:
    from kombu.connection import Connection
    from kombu.transport.pyamqp import Transport
except ImportError as error:
    raise ImproperlyConfigured(
        'A broker of DJANGO_SAGA is RabbitMQ, its package is missing: pip install "django-saga[rabbitmq]".'
    ) from error

_OPTIONS: address.Options = {
    "exchange": (str, "django_saga"),
    "format": (Format, Format.STRUCTURED),
    "queue": (address.one_of("quorum", "classic"), "quorum"),
    "prefetch": (int, 1_000),
    "max_message_bytes": (int, 16 * 1024 * 1024),  # what RabbitMQ 4 takes
    "timeout": (float, 10.0),
    "ca_certs": (str, None),
    "certfile": (str, None),
    "keyfile": (str, None),
}
# How often a subscription and its broker hear of each other at least, in seconds.
_HEARTBEAT = 60
# Bytes of headers: they are one frame of at most 128 KiB.
_HEADERS = 100_000
# Of attributes among headers, by CloudEvents' binding for AMQP.
_PREFIX = "cloudEvents_"
_NOT_FOUND, _PRECONDITION_FAILED = 404, 406

_connection: Any = Connection
_CHANNEL_ERRORS: tuple[type[Exception], ...] = Transport.channel_errors
# py-amqp raises AttributeError where it uses a connection that another call found to be closed.
_AWAY: tuple[type[Exception], ...] = (*Transport.connection_errors, *_CHANNEL_ERRORS, AttributeError)


class Letter(NamedTuple):
    """A message as it was fetched; ``tag`` is what RabbitMQ knows it by in its subscription."""

    topic: str
    body: bytes
    tag: int


class RabbitBroker:
    """Sends to an exchange and subscribes to queues that are bound to it."""

    def __init__(self, url: str, *, using: str = "") -> None:
        self.server = Server(address.read(url, _OPTIONS))
        self.features = BrokerFeatures(
            refuses_unroutable=True,
            keeps_for_later_consumers=False,
            max_message_bytes=self.server.options["max_message_bytes"],
        )
        self._sending = threading.Lock()
        self._sender = Sender(self.server)

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Send messages in waves. One that no queue is bound for is refused."""
        with self._sending:
            return send_in_waves(messages, self._sender.send)

    def subscribe(self, consumer: str, topics: Sequence[str]) -> RabbitSubscription:
        """Have a queue of the name ``consumer`` bound to ``topics``, and take from it."""
        try:
            return RabbitSubscription(self.server, consumer, topics)
        except _AWAY as error:
            raise _as_away(error) from error

    def close(self) -> None:
        """Close the connection that messages are sent by."""
        with self._sending:
            self._sender.close()


class Server:
    """Where RabbitMQ is, and how it is connected to."""

    def __init__(self, found: address.Address) -> None:
        self.options = found.options
        self._found = found

    def connect(self, **options: Any) -> Any:
        """Give a new connection with the exchange on it: py-amqp's."""
        found, timeout = self._found, self.options["timeout"]
        host, _, port = found.hosts.rpartition(":") if found.hosts[-1:].isdigit() else (found.hosts, "", "")
        secure = found.scheme == "amqps"
        client = _connection(
            hostname=host or found.hosts or "127.0.0.1",
            port=int(port) if host else (5671 if secure else 5672),
            userid=found.user or "guest",
            password=found.password or "guest",
            virtual_host=found.path or "/",
            transport="pyamqp",
            connect_timeout=timeout / 2,
            ssl=self._tls(host or found.hosts) if secure else False,
            transport_options=options,
        )
        connection = client.transport.establish_connection()
        # For all that waits without a limit of its own.
        connection.transport.sock.settimeout(timeout)
        return connection

    def channel(self, connection: Any) -> Any:
        """Give a new channel, with the exchange declared."""
        channel = connection.channel()
        channel.auto_decode = False
        channel.exchange_declare(self.options["exchange"], "topic", durable=True, auto_delete=False)
        return channel

    def _tls(self, host: str) -> dict[str, Any]:
        files = {name: self.options[name] for name in ("ca_certs", "certfile", "keyfile")}
        return {"server_hostname": host, **{name: path for name, path in files.items() if path}}


class Sender:
    """The connection that messages are sent by; for one thread at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: Any = None
        self._channel: Any = None
        self._tag = 0
        self._waiting: dict[int, int] = {}  # places in the wave, by tags not confirmed yet
        self._returned: dict[str, str] = {}  # why, by the id of the message
        self._receipts: dict[int, SagaError | None] = {}
        self._wave: Sequence[Message] = ()
        self._blocked = False

    def send(self, wave: Sequence[Message]) -> list[SagaError | None]:
        """Send messages of different lanes, and wait for the broker's word for all of them."""
        parcels = [packed(message, self._server.options["format"], _PREFIX) for message in wave]
        receipts = too_large(parcels, self._server.options["max_message_bytes"], headers=_HEADERS)
        fresh = self._connection is None
        error = self._attempt(wave, parcels, receipts)
        stale = not fresh and not self._blocked and not isinstance(error, (*_CHANNEL_ERRORS, TimeoutError))
        if error is not None and stale:
            # The connection was lost since it was used: nothing behind these was sent, so once more is safe.
            error = self._attempt(wave, parcels, receipts)
        if isinstance(error, _CHANNEL_ERRORS):
            self._one_by_one(wave, parcels, receipts)
        for at in range(len(wave)):
            if at not in receipts:
                receipts[at] = _as_away(error)
        return [receipts[at] for at in range(len(wave))]

    def _one_by_one(
        self, wave: Sequence[Message], parcels: list[Parcel], receipts: dict[int, SagaError | None]
    ) -> None:
        """RabbitMQ closed the channel for one of them and does not say which: ask for each alone."""
        for at in [at for at in range(len(wave)) if at not in receipts]:
            alone: dict[int, SagaError | None] = {}
            error = self._attempt([wave[at]], [parcels[at]], alone)
            code = getattr(error, "reply_code", None)
            if alone:
                receipts[at] = alone[0]
            elif isinstance(error, _CHANNEL_ERRORS) and code in (_NOT_FOUND, _PRECONDITION_FAILED):
                receipts[at] = MessageRefused(f"{type(error).__name__}: {error}")
            elif not isinstance(error, _CHANNEL_ERRORS):
                return

    def _attempt(
        self, wave: Sequence[Message], parcels: list[Parcel], receipts: dict[int, SagaError | None]
    ) -> Exception | None:
        """Send what has no receipt yet. Gives what ended it; then the connection is gone."""
        self._wave, self._receipts, self._waiting, self._returned = wave, receipts, {}, {}
        try:
            channel = self._open()
            for at, message in enumerate(wave):
                if at not in receipts and not self._blocked:
                    self._tag += 1
                    self._waiting[self._tag] = at
                    self._publish(channel, message, parcels[at])
            self._await_confirms()
        except _AWAY as error:
            self._drop()
            return error
        except BaseException:
            self._drop()  # the tags are no longer those that the broker counts
            raise
        return None

    def _open(self) -> Any:
        if self._channel is None:
            self._tag, self._blocked = 0, False
            # No heartbeat: nobody would send it while there is nothing to publish.
            self._connection = self._server.connect(on_blocked=self._on_blocked)
            channel = self._server.channel(self._connection)
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
            channel.confirm_select()
            self._channel = channel
        return self._channel

    def _publish(self, channel: Any, message: Message, parcel: Parcel) -> None:
        prepared = channel.prepare_message(
            parcel.body,
            content_type=parcel.content_type,
            headers={"id": message.id, "source": message.source, **parcel.headers},
            properties={
                "delivery_mode": 2,
                "message_id": message.id,
                "type": message.topic,
                "timestamp": int(message.at.timestamp()),
            },
        )
        channel.basic_publish(prepared, self._server.options["exchange"], message.topic, mandatory=True)

    def _await_confirms(self) -> None:
        ends_at = time.monotonic() + self._server.options["timeout"]
        while self._waiting or self._blocked:
            if self._blocked:
                raise ConnectionError("the broker takes nothing now: it is short of memory or disk space")
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError("the broker confirmed nothing in time")
            self._connection.drain_events(timeout=left)

    def _on_blocked(self, reason: str) -> None:
        self._blocked = True

    def _on_return(self, error: Any, exchange: str, topic: str, message: Any) -> None:
        self._returned[message.properties["message_id"]] = f"no queue is bound to {exchange} for {topic}"

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for at in self._confirmed(tag, multiple):
            why = self._returned.get(self._wave[at].id)
            self._receipts[at] = None if why is None else MessageRefused(why)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for at in self._confirmed(tag, multiple):
            # A queue that is full, or could not store it: nothing is wrong with the message.
            self._receipts[at] = BrokerUnavailable(f"a queue takes no {self._wave[at].topic} now")

    def _confirmed(self, tag: int, multiple: bool) -> list[int]:
        tags = [each for each in self._waiting if each <= tag] if multiple else [tag]
        return [self._waiting.pop(each) for each in tags if each in self._waiting]

    def _drop(self) -> None:
        """Let go of a connection without a word: it may be one that nobody listens at."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(*_AWAY):
                connection.collect()

    def close(self) -> None:
        """Say goodbye."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            _say_goodbye(connection)


class RabbitSubscription:
    """What one consumer gets, by a connection of its own."""

    def __init__(self, server: Server, consumer: str, topics: Sequence[str]) -> None:
        self._prefetch = server.options["prefetch"]
        self._format = server.options["format"]
        self._came: deque[Letter] = deque()
        self._open: dict[int, None] = {}  # tags that are not acknowledged, oldest first
        self.connection = server.connect(heartbeat=_HEARTBEAT)
        try:
            self._channel = _declare(server, self.connection, consumer)
            for topic in topics:
                self._channel.queue_bind(consumer, server.options["exchange"], topic)
            self._round_trip()
            tag = f"{consumer[:200]}-{uuid4().hex}"
            self._channel.basic_consume(consumer, tag, callback=self._on_message)
        except BaseException:
            self.close()
            raise

    def fetch(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Give what came; nothing while another subscription is the active one."""
        try:
            self.connection.heartbeat_tick()
            if not self._came:
                self._wait(wait.total_seconds())
            with suppress(TimeoutError):
                while len(self._came) < limit:
                    self.connection.drain_events(timeout=0)
        except _AWAY as error:
            raise _as_away(error) from error
        return [self._came.popleft() for _ in range(min(limit, len(self._came)))]

    def _wait(self, seconds: float) -> None:
        if not seconds:
            self._round_trip()  # brings what is on its way
            return
        ends_at = time.monotonic() + seconds
        with suppress(TimeoutError):
            while not self._came and (left := ends_at - time.monotonic()) > 0:
                self.connection.drain_events(timeout=left)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge, and wait until RabbitMQ has read that."""
        tags = [each.tag for each in deliveries if isinstance(each, Letter) and each.tag in self._open]
        if not tags:
            return
        for tag in tags:
            del self._open[tag]
        highest = max(tags)
        try:
            if next(iter(self._open), highest + 1) > highest:
                self._channel.basic_ack(highest, multiple=True)
            else:
                for tag in tags:
                    self._channel.basic_ack(tag)
            self._round_trip()
        except _AWAY as error:
            raise _as_away(error) from error

    def close(self) -> None:
        """Leave; the queue gives what was not acknowledged to the next one, in its order."""
        _say_goodbye(self.connection)

    def _round_trip(self) -> None:
        # Any call that is answered would do, as all that was said before on the channel is read first.
        self._channel.basic_qos(0, self._prefetch, False)

    def _on_message(self, message: Any) -> None:
        letter = Letter(message.delivery_info["routing_key"], self._opened(message), message.delivery_tag)
        self._came.append(letter)
        self._open[letter.tag] = None

    def _opened(self, message: Any) -> bytes:
        body, properties = message.body, message.properties
        given = properties.get("application_headers") or {}
        headers = {name: text for name, value in given.items() if (text := scalar_text(value)) is not None}
        return opened(
            message.delivery_info["routing_key"],
            body.encode() if isinstance(body, str) else bytes(body),
            headers,
            content_type=properties.get("content_type") or "",
            form=self._format,
            fallback_id=properties.get("message_id") or "",
        )


def _declare(server: Server, connection: Any, queue: str) -> Any:
    """Give a channel with the queue declared. One that is there may have been made with other arguments."""
    channel = server.channel(connection)
    try:
        channel.queue_declare(queue, passive=True)
        return channel
    except _CHANNEL_ERRORS as error:
        if getattr(error, "reply_code", None) != _NOT_FOUND:
            raise
    kind = server.options["queue"]
    arguments: dict[str, Any] = {"x-queue-type": kind, "x-single-active-consumer": True}
    version = str(connection.server_properties.get("version", ""))
    if kind == "quorum" and version.partition(".")[0].isdigit() and int(version.partition(".")[0]) >= 4:
        # From that version on, what was given too often and not acknowledged would be thrown away.
        arguments["x-delivery-limit"] = -1
    channel = server.channel(connection)
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
    return channel


def _say_goodbye(connection: Any) -> None:
    with suppress(*_AWAY):
        connection.close()
    with suppress(*_AWAY):
        connection.collect()


def _as_away(error: Exception | None) -> BrokerUnavailable:
    return BrokerUnavailable(f"{type(error).__name__}: {error}")
