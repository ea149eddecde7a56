"""How lengths of time and stored text are written for people."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.plain import columns, fit, one_line, plain
from django_saga.core.shapes import SAGA, STEP, of_saga, of_step
from django_saga.core.spans import parse_span, span
from django_saga.core.states import SagaStatus, StepStatus


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 ms"),
        (0.00001, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_599.6, "1 h"),
        (3_725, "1 h 2 min"),
        (86_399.7, "1 d"),
        (100_000, "1 d 3 h"),
        (-90, "1 min 30 s"),
    ],
)
def test_a_length_of_time_is_written_in_the_units_that_matter(seconds, written):
    assert span(timedelta(seconds=seconds)) == written


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("30m", timedelta(minutes=30)),
        (" 5 min ", timedelta(minutes=5)),
        ("1.5h", timedelta(minutes=90)),
        ("1d12h", timedelta(hours=36)),
        ("2W", timedelta(weeks=2)),
    ],
)
def test_a_length_of_time_is_read(text, length):
    assert parse_span(text) == length


@pytest.mark.parametrize("text", ["", "5", "0s", "h", "-1h", "1h!", "soon", "1e3s", "9" * 30 + "w", "٣h"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="is no length of time"):
        parse_span(text)


@given(st.text())
def test_plain_text_holds_nothing_that_a_terminal_obeys(text):
    harmful = {"Cc", "Cf", "Cs", "Zl", "Zp"}

    def left(result: str, allowed: str) -> list[str]:
        return [c for c in result if unicodedata.category(c) in harmful and c not in allowed]

    joiners = "\u200c\u200d"
    assert left(plain(text), joiners) == []
    assert left(plain(text, lines=True), joiners + "\n") == []
    assert left(one_line(text, 10), joiners) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grüße 日本 👩‍🚀", "grüße 日本 👩‍🚀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\u202eevil", "\\u202eevil"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_harmless_stays_and_the_rest_is_escaped(text, shown):
    assert plain(text) == shown


@given(st.text(), st.integers(1, 20))
def test_text_is_cut_to_columns(text, width):
    assert columns(fit(plain(text), width)) <= width


def test_every_status_has_a_shape_and_no_two_of_a_kind_share_one():
    assert (set(SAGA), set(STEP)) == (set(SagaStatus), set(StepStatus))
    assert len({shape.sign for shape in SAGA.values()}) == len(SAGA)
    assert len({(shape.sign, shape.tone) for shape in STEP.values()}) == len(STEP) - 1  # dead ends look alike
    assert (of_saga("from a newer release").sign, of_step("from a newer release").sign) == ("?", "?")
