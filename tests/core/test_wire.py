"""What is packed in any format is opened again the same; what strangers send is a message, or as it came."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core import envelope
from django_saga.core.messages import Message
from django_saga.core.wire import Format, opened, packed
from django_saga.exceptions import MalformedMessage

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
BINARY = {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "urn:x", "ce_type": "t"}


def a_message(**changed):
    given = {"id": "1", "source": "urn:x", "topic": "t", "data": '{"total":100}', "key": "k", "stream": "t:k"}
    return Message(**{**given, "at": datetime(2026, 1, 1, tzinfo=UTC), "number": 7, **changed})


@given(
    key=st.none() | TEXT.filter(lambda text: 0 < len(text) <= 200),
    headers=st.dictionaries(
        st.from_regex(r"[a-z]{1,9}", fullmatch=True) | st.sampled_from(["source", "data", "X-Y", "n" * 30]),
        TEXT,
        max_size=3,
    ),
    data=TEXT | st.integers() | st.lists(st.booleans()),
    form=st.sampled_from([Format.STRUCTURED, Format.BINARY]),
    prefix=st.sampled_from(["ce_", "cloudEvents_", "cloudEvents:"]),
)
def test_cloudevents_are_opened_as_they_were_packed(key, headers, data, form, prefix):
    message = a_message(
        data=json.dumps(data, separators=(",", ":")),
        key=key,
        stream=None if key is None else "s",
        number=0 if key is None else 7,
        headers=headers,
    )

    parcel = packed(message, form, prefix)
    again = opened("t", parcel.body, parcel.headers, content_type=parcel.content_type)

    assert envelope.read(again) == envelope.read(envelope.write(message))


def test_binary_is_what_the_bindings_say():
    parcel = packed(a_message(headers={"traceparent": "00-1", "X-Y": "z"}), Format.BINARY)

    assert (parcel.body, parcel.content_type) == (b'{"total":100}', "application/json")
    assert parcel.headers == {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "urn:x",
        "ce_type": "t",
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_subject": "k",
        "ce_partitionkey": "k",
        "ce_sagastream": "t:k",
        "ce_sequence": "7",
        "ce_sequencetype": "Integer",
        "ce_traceparent": "00-1",
        "ce_sagaheaders": '{"X-Y":"z"}',
    }
    assert parcel.size > len(parcel.body) + len("ce_specversion")


def test_plain_is_the_data_and_what_tells_it_apart():
    parcel = packed(a_message(headers={"traceparent": "00-1", "X-Y": "z"}), Format.PLAIN)

    assert parcel.body == b'{"total":100}'
    assert parcel.headers == {
        "traceparent": "00-1",
        "X-Y": "z",
        "id": "1",
        "source": "urn:x",
        "time": "2026-01-01T00:00:00Z",
        "key": "k",
    }
    again = envelope.read(opened("t", parcel.body, parcel.headers, form=Format.PLAIN))
    assert (again.id, again.source, again.key, again.topic) == ("1", "urn:x", "k", "t")
    assert (again.stream, again.number, again.data) == (None, 0, '{"total":100}')
    assert again.headers == {"traceparent": "00-1", "X-Y": "z"}


def test_a_plain_message_of_a_stranger_is_known_by_its_place_at_the_broker():
    again = envelope.read(
        opened("t", b"[1]", {"sequence": "9"}, form=Format.PLAIN, fallback_id="0/17", key="k")
    )

    assert (again.id, again.source, again.key, again.data) == ("0/17", "urn:plain:t", "k", "[1]")
    # A place in a stream is nothing that others give away.
    assert (again.stream, again.headers) == (None, {"sequence": "9"})


def test_plain_headers_may_be_called_as_attributes_are():
    headers = {"subject": "Hello", "type": "x", "data": "y", "datacontenttype": "z", "sagaheaders": "w"}
    parcel = packed(a_message(key=None, stream=None, headers=headers), Format.PLAIN)

    again = envelope.read(opened("t", parcel.body, parcel.headers, form=Format.PLAIN))

    assert (again.headers, again.key, again.topic) == (headers, None, "t")


def test_headers_and_keys_of_strangers_that_cannot_be_kept_stay_away():
    headers = {"$.diagnostics": "x", "attempts": "\0\0", "kind": "y"}
    again = envelope.read(opened("t", b"1", headers, form=Format.PLAIN, fallback_id="7", key="\0" * 8))

    assert (again.headers, again.key) == ({"kind": "y"}, None)


def test_where_cloudevents_are_expected_others_are_none():
    assert opened("t", b"[1]", {"id": "1"}, fallback_id="0/17") == b"[1]"


@pytest.mark.parametrize(
    ("body", "headers", "content_type"),
    [
        (b"{", BINARY, "application/json"),
        (b"[1]", BINARY, "text/plain"),
        (b"NaN", BINARY, ""),
        (b"\xff\xfe", BINARY, ""),
        (b"[" * 100_000, BINARY, ""),
        (b"[1]", {**BINARY, "ce_specversion": "0.3"}, ""),
        (b"[1]", {**BINARY, "ce_id": ""}, ""),
        (b"[1]", {"ce_specversion": "1.0"}, ""),
        (b"[1]", {**BINARY, "ce_time": "0001-01-01T00:00:00+01:00"}, ""),
        (b'{"a":"\\ud800"}', BINARY, ""),
    ],
)
def test_what_is_no_message_stays_as_it_came(body, headers, content_type):
    assert opened("t", body, headers, content_type=content_type) == body
    with pytest.raises(MalformedMessage):
        envelope.read(body)


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8", "application/vnd.x+json"])
def test_json_goes_by_several_names(content_type):
    again = envelope.read(opened("t", b'{"a":1.50}', BINARY, content_type=content_type))

    assert json.loads(again.data) == {"a": 1.5}


def test_nothing_in_the_body_is_null():
    assert envelope.read(opened("t", b"", BINARY)).data == "null"


def test_a_key_that_only_the_broker_knows_is_the_messages():
    assert envelope.read(opened("t", b"1", BINARY, key="k")).key == "k"
    assert envelope.read(opened("t", b"1", {**BINARY, "ce_partitionkey": "own"}, key="k")).key == "own"


@given(st.binary(max_size=100), st.dictionaries(TEXT, TEXT, max_size=4), TEXT, st.sampled_from(Format))
def test_whatever_comes_is_opened(body, headers, content_type, form):
    assert isinstance(opened("t", body, headers, content_type=content_type, form=form), bytes)
