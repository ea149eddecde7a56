"""Values that sagas may carry, for Hypothesis, and what they are after a round trip."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

# Zones of whole minutes, which is all that clocks in use have.
ZONES = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
# Keys that look like tags are what could go wrong.
KEYS = TEXT | st.sampled_from(["$", "$$", "$date", "$decimal", "$$decimal", "$uuid", "$float", "$unheard-of"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.sampled_from(["$", '"$', '{"$date":"2020-01-01"}', "\\u0000", "\ufdd0", "\U0010ffff", '"']),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(timezones=ZONES),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.uuids(),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def normalised(value: Any) -> Any:
    """What comes back of ``value``: tuples are lists."""
    if isinstance(value, (list, tuple)):
        return [normalised(item) for item in value]
    if isinstance(value, dict):
        return {key: normalised(item) for key, item in value.items()}
    return value


def exactly(value: Any) -> Any:
    """A form of ``value`` that tells types apart: 1 from 1.0 and True, 0.0 from -0.0."""
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, (datetime, date, time, timedelta, Decimal, uuid.UUID)):
        return type(value).__name__, str(value)
    return type(value).__name__, repr(value)
