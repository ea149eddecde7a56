"""How a message looks on the way: three formats, which a broker's adapter writes and reads.

``structured``
    CloudEvents 1.0 in one JSON document, attributes and data.
``binary``
    The data is the body; attributes of CloudEvents are the broker's own headers. Their names have the prefix
    of the protocol's binding: ``ce_`` for Kafka, ``cloudEvents_`` or ``cloudEvents:`` for AMQP.
``plain``
    The data is the body; beside the sender's headers there are ``id``, ``source``, ``key`` and ``time``, in
    whose place no header of the sender's can be. For programs that know nothing of CloudEvents.

Behind the adapter there is only one form, the structured one: that is what ``opened`` gives. CloudEvents of
both modes are read whatever a broker's format is; plain messages where it is ``plain``.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

from django_saga.core import envelope
from django_saga.core.messages import Message, headers_problem
from django_saga.core.names import MAX_KEY_LENGTH, fits

_PREFIXES = ("ce_", "cloudEvents_", "cloudEvents:")
_PLAIN = ("id", "source", "key", "time")


class Format(StrEnum):
    """What a broker is sent."""

    STRUCTURED = "structured"
    BINARY = "binary"
    PLAIN = "plain"


class Parcel(NamedTuple):
    """A message as it is handed to a broker's client."""

    body: bytes
    content_type: str
    headers: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of it all."""
        return len(self.body) + self.headers_size

    @property
    def headers_size(self) -> int:
        """Bytes of the headers."""
        return sum(len(name) + len(value.encode()) for name, value in self.headers.items())


def packed(message: Message, form: Format, prefix: str = "ce_") -> Parcel:
    """Write ``message`` in a format; ``prefix``: of the names of attributes among headers."""
    if form is Format.STRUCTURED:
        return Parcel(envelope.write(message), envelope.CONTENT_TYPE, {})
    attributes = envelope.attributes(message)
    # It is the content type of the body.
    content_type = attributes.pop("datacontenttype")
    data = message.data.encode()
    if form is Format.BINARY:
        return Parcel(data, content_type, {f"{prefix}{name}": text for name, text in attributes.items()})
    known = {name: attributes[name] for name in ("id", "source", "time")}
    if message.key is not None:
        known["key"] = message.key
    return Parcel(data, content_type, {**message.headers, **known})


def opened(
    topic: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    content_type: str = "",
    form: Format = Format.STRUCTURED,
    fallback_id: str = "",
    key: str | None = None,
) -> bytes:
    """Give what came as a structured message; what is none, as it came.

    ``fallback_id`` and ``key`` are the broker's own, for messages that have none among their headers.
    """
    if content_type.startswith(envelope.CONTENT_TYPE):
        return body
    event = _attributes(headers)
    if not event and form is Format.PLAIN:
        event = _plain_attributes(topic, headers, fallback_id)
    if not event:
        return body
    if key is not None and fits(key, MAX_KEY_LENGTH):
        event.setdefault("partitionkey", key)
    # Whatever is wrong with it: the messages behind it must not wait for that.
    with suppress(Exception):
        if _is_json(content_type):
            return envelope.write(envelope.message_of({**event, "data": envelope.parsed(body or b"null")}))
    return body


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    for prefix in _PREFIXES:
        if f"{prefix}specversion" in headers:
            return {
                name.removeprefix(prefix): text for name, text in headers.items() if name.startswith(prefix)
            }
    return {}


def _plain_attributes(topic: str, headers: Mapping[str, str], fallback_id: str) -> dict[str, str]:
    event = {
        "specversion": "1.0",
        "type": topic,
        "id": headers.get("id") or fallback_id,
        "source": headers.get("source") or f"urn:plain:{topic}",
    }
    for name, attribute in (("time", "time"), ("key", "partitionkey")):
        if name in headers:
            event[attribute] = headers[name]
    # Apart from the attributes, whatever they are called; those that cannot be headers here stay away.
    others = {
        name: text
        for name, text in headers.items()
        if name not in _PLAIN and not headers_problem({name: text})
    }
    return {**event, "sagaheaders": json.dumps(others)}


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind == "application/json" or kind.endswith("+json")
