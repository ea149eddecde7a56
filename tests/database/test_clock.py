"""The database's time, read in three ways that have to agree to their last digit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from django_saga.store import clock, sql
from django_saga.store.rows import StepRow
from django_saga.testing import shift_clock
from tests.database.test_claims import LEASE, claim
from tests.sagas.start_sagas import EchoSaga

pytestmark = [pytest.mark.fault("F44"), pytest.mark.django_db(transaction=True)]

ROUNDS = 100  # times of one moment differ now and then only


def test_the_time_of_a_row_is_neither_before_nor_after_the_time_itself():
    for _ in range(ROUNDS):
        before = clock.now("default")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {sql.epoch(connection)}")
            read = clock.at(cursor.fetchone()[0])
        assert before <= read <= clock.now("default")


def test_a_step_is_due_at_the_very_moment_that_it_is_due_for():
    taken: list[StepRow] = []
    for number in range(ROUNDS):
        EchoSaga.start(number)
        taken += claim()

    assert len(taken) == ROUNDS


def test_a_time_that_is_held_stands_in_every_way_of_reading_it():
    with clock.held("default") as move:
        began = clock.now("default")
        EchoSaga.start("x", run_at=timedelta(seconds=2))

        move(timedelta(seconds=2) - timedelta(microseconds=1))
        assert claim() == []
        with shift_clock(timedelta(microseconds=1)):
            [row] = claim()
            assert clock.now("default") == clock.at(0.0) == began + timedelta(seconds=2)
        move(timedelta(days=1))

    assert (row.claimed_at, row.due_at) == (
        began + timedelta(seconds=2),
        began + timedelta(seconds=2) + LEASE,
    )
    assert clock.now("default") < began + timedelta(days=1)
