"""Keys: unique, and in the order they were made."""

from __future__ import annotations

import time
from uuid import RFC_4122

from django_saga.models import uuid7


def test_keys_made_one_after_another_sort_so_within_a_millisecond_too():
    keys = [uuid7() for _ in range(20_000)]

    assert keys == sorted(set(keys))


def test_a_key_is_of_version_7_and_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000
    key = uuid7()

    assert (key.version, key.variant) == (7, RFC_4122)
    assert before <= key.int >> 80 <= time.time_ns() // 1_000_000
