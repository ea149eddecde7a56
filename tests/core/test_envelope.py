"""What comes from a broker is a message that fits the tables, or it is told to be none."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core import envelope
from django_saga.core.messages import MAX_ID_LENGTH, Message, stored_id
from django_saga.core.names import MAX_KEY_LENGTH, fits
from django_saga.exceptions import MalformedMessage

GOOD = {"specversion": "1.0", "id": "1", "source": "urn:x", "type": "t", "data": {"a": 1}}
TEXT = st.text(max_size=300) | st.sampled_from(["\0", "\ud800", "x" * 201, "", "1.0", "1" * 5000])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    *GOOD,
    "time",
    "subject",
    "partitionkey",
    "sagastream",
    "sequence",
    "sagaheaders",
    "traceparent",
    "more",
]


def fits_the_tables(message: Message) -> bool:
    return (
        fits(message.topic, 100)
        and (message.key is None or fits(message.key, MAX_KEY_LENGTH))
        and (message.stream is None or fits(message.stream, 200))
        and fits(message.source, MAX_ID_LENGTH)
        and fits(stored_id(message.source, message.id), MAX_ID_LENGTH)
        and 0 <= message.number < 2**63
        and all(isinstance(value, str) for value in message.headers.values())
    )


def test_headers_are_attributes_where_their_names_allow_it():
    headers = {"traceparent": "00-1", "correlationid": "c", "X-Kind": "k", "type": "header", "a" * 21: "long"}
    message = Message(
        id="1", source="urn:x", topic="t", data="{}", at=datetime(2026, 1, 1, tzinfo=UTC), headers=headers
    )

    event = json.loads(envelope.write(message))

    assert (event["traceparent"], event["correlationid"], event["type"]) == ("00-1", "c", "t")
    assert json.loads(event["sagaheaders"]) == {"X-Kind": "k", "type": "header", "a" * 21: "long"}


def test_attributes_of_others_are_headers():
    body = json.dumps({**GOOD, "rev": "7", "count": 3, "sagaheaders": '{"X": "y"}'}).encode()

    assert envelope.read(body).headers == {"rev": "7", "count": "3", "X": "y"}


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_malformed(body):
    with suppress(MalformedMessage):
        assert fits_the_tables(envelope.read(body))


@given(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=4))
def test_whatever_stands_in_an_attribute_is_read_or_malformed(attributes):
    body = json.dumps({**GOOD, **attributes}).encode()

    with suppress(MalformedMessage):
        assert fits_the_tables(envelope.read(body))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": "x" * 201}, "source is longer than 200"),
        ({"source": "a\0b"}, "source is longer than 200 characters, or cannot be stored"),
        ({"sagastream": "\ud800", "sequence": "1"}, "no name of a stream"),
        ({"sagaheaders": "[" * 100_000}, "nested too deeply"),
        ({"time": "yesterday"}, "not in RFC 3339"),
        ({"sagastream": "s", "sequence": "1e3"}, "is no number"),
        ({"type": "no topic"}, "cannot be a topic"),
        ({"id": ""}, "attribute id is missing"),
    ],
)
def test_it_is_said_why(changed, said):
    with pytest.raises(MalformedMessage, match=said):
        envelope.read(json.dumps({**GOOD, **changed}).encode())


@pytest.mark.parametrize("body", [b'{"data": ' + b"[" * 100_000, b"NaN", b'{"specversion": Infinity}'])
def test_what_json_does_not_know_is_malformed(body):
    with pytest.raises(MalformedMessage):
        envelope.read(body)


@given(
    key=st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=200),
    headers=st.dictionaries(
        st.from_regex(r"[a-z]{1,9}", fullmatch=True)
        | st.sampled_from(["source", "data", "X-Y", "a_b", "n" * 30]),
        st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        max_size=3,
    ),
    data=st.text() | st.integers() | st.lists(st.booleans()),
)
def test_what_is_written_is_read_again_the_same(key, headers, data):
    message = Message(
        id="1",
        source="urn:x",
        topic="t",
        data=json.dumps(data, ensure_ascii=True, separators=(",", ":")),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        key=key,
        stream=None if key is None else "s",
        number=0 if key is None else 7,
        headers=headers,
    )

    again = envelope.read(envelope.write(message))

    assert json.loads(again.data) == data
    assert (again.key, again.stream, again.number, again.headers) == (
        key,
        message.stream,
        message.number,
        headers,
    )
