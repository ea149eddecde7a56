"""CloudEvents 1.0, structured as JSON: how a message is written for the way, and read again.

Extensions: ``partitionkey`` (partitioning), ``sequence`` and ``sequencetype`` (sequence) as registered by the
specification, and ``sagastream``, whose numbers ``sequence`` counts. The sender's headers are attributes of
their own where their names allow it, as ``traceparent`` and ``correlationid``; the others are in
``sagaheaders``. So attributes of foreign messages that are none of these are headers.

Nothing that is read is trusted: what does not fit the columns that keep it is no message.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from django_saga.core.messages import MAX_ID_LENGTH, MAX_STREAM_LENGTH, Message, headers_problem
from django_saga.core.names import MAX_KEY_LENGTH, fit_rule, fits, is_storable, name_problem
from django_saga.exceptions import MalformedMessage

CONTENT_TYPE = "application/cloudevents+json"
JSON = "application/json"
# What an attribute may be called, and what is none of the sender's.
_ATTRIBUTE = re.compile("[a-z0-9]{1,20}")
_STANDARD = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema")
_EXTENSIONS = ("partitionkey", "sequence", "sequencetype", "sagastream", "sagaheaders")
_OWN = frozenset([*_STANDARD, *_EXTENSIONS, "data", "data_base64"])


def attributes(message: Message) -> dict[str, str]:
    """Give all but the data, by the names of CloudEvents."""
    event = {
        "specversion": "1.0",
        "id": message.id,
        "source": message.source,
        "type": message.topic,
        "time": message.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": JSON,
    }
    if message.key is not None:
        event["subject"] = event["partitionkey"] = message.key
    if message.stream is not None:
        event |= {"sagastream": message.stream, "sequence": str(message.number), "sequencetype": "Integer"}
    others = {}
    for name, value in message.headers.items():
        if _ATTRIBUTE.fullmatch(name) and name not in _OWN:
            event[name] = value
        else:
            others[name] = value
    if others:
        event["sagaheaders"] = json.dumps(others, separators=(",", ":"))
    return event


def write(message: Message) -> bytes:
    """Give ``message`` as bytes, which ``read`` turns back into the same message."""
    # The data is JSON already: put in its place as it is.
    head = json.dumps(attributes(message), ensure_ascii=False, separators=(",", ":"))
    return f'{head[:-1]},"data":{message.data}}}'.encode()


def read(body: bytes) -> Message:
    """Give the message in ``body``. Raises ``MalformedMessage``."""
    return message_of(parsed(body))


def parsed(body: bytes) -> Any:
    """Read JSON. Raises ``MalformedMessage``."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise MalformedMessage("nested too deeply") from None
    except ValueError as error:
        raise MalformedMessage(f"not JSON: {error}") from None


def _refuse(constant: str) -> None:
    raise MalformedMessage(f"{constant} is no JSON")


def message_of(event: Any) -> Message:
    """Give the message that attributes and data make. Raises ``MalformedMessage``."""
    try:
        return _message_of(event)
    except RecursionError:
        raise MalformedMessage("nested too deeply") from None


def _message_of(event: Any) -> Message:
    if not isinstance(event, dict):
        raise MalformedMessage(f"a JSON {type(event).__name__}, not an object")
    if event.get("specversion") != "1.0":
        raise MalformedMessage(f"specversion {event.get('specversion')!a:.20}, not CloudEvents 1.0")
    topic, key = _text(event, "type"), event.get("partitionkey", event.get("subject"))
    source, stream = _text(event, "source"), event.get("sagastream")
    if not fits(source, MAX_ID_LENGTH):
        raise MalformedMessage(f"source is longer than {MAX_ID_LENGTH} characters, or cannot be stored")
    if stream is not None and not fits(stream, MAX_STREAM_LENGTH):
        raise MalformedMessage("sagastream is no name of a stream")
    headers = _headers(event)
    if key is not None and not fits(key, MAX_KEY_LENGTH):
        raise MalformedMessage(f"the key has to be {fit_rule(MAX_KEY_LENGTH)}, not {key!a:.80}")
    if problem := name_problem(topic, "a topic") or headers_problem(headers):
        raise MalformedMessage(problem)
    data = json.dumps(event.get("data"), ensure_ascii=False, separators=(",", ":"))
    if not is_storable(data):
        raise MalformedMessage("the data has a lone surrogate")
    return Message(
        id=_text(event, "id"),
        source=source,
        topic=topic,
        data=data,
        at=_time(event),
        key=key,
        stream=stream,
        number=_number(event) if stream is not None else 0,
        headers=headers,
    )


def _text(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedMessage(f"attribute {name} is missing, or no text")
    return value


def _headers(event: dict[str, Any]) -> dict[str, str]:
    try:
        headers = json.loads(event.get("sagaheaders", "{}"))
    except (TypeError, ValueError):
        headers = None
    if not isinstance(headers, dict):
        raise MalformedMessage("sagaheaders is no JSON object in a text")
    others = {name: scalar_text(value) for name, value in event.items() if name not in _OWN}
    return {**headers, **{name: text for name, text in others.items() if text is not None}}


def scalar_text(value: Any) -> str | None:
    """Give an attribute or header as text; None for what is neither text, number nor boolean."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None


def _time(event: dict[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(event["time"])
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except KeyError:
        return datetime.fromtimestamp(0, UTC)  # optional, and nobody here can know
    except (TypeError, ValueError, OverflowError):
        raise MalformedMessage(f"time {event['time']!a:.40} is not in RFC 3339") from None


def _number(event: dict[str, Any]) -> int:
    text = event.get("sequence")
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise MalformedMessage(f"sequence {text!a:.40} is no number")
