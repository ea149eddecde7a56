"""When a worker looks again."""

from __future__ import annotations

import time

from django_saga.engine.polling import TOLD, Polling


def test_a_look_that_is_known_to_be_due_is_not_put_off_by_those_before_it():
    polling = Polling(30, growth=TOLD)
    now = time.monotonic()
    polling.by(0.5)
    for _ in range(5):
        polling.looked(found=False, left_behind=False)

    assert now + 0.5 <= polling.next_at < now + 5


def test_the_earlier_of_two_alarms_counts_and_one_that_has_passed_does_not():
    polling = Polling(30)
    now = time.monotonic()
    polling.by(8)
    polling.by(4)
    polling.by(6)
    polling.looked(found=False, left_behind=True)
    assert now + 4 <= polling.next_at < now + 6

    polling.by(-1)
    polling.looked(found=False, left_behind=True)
    assert polling.next_at < now + 6
