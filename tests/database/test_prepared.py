"""Inserts that the server keeps, and sessions that are not what they were when it took them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection

from django_saga import runtime
from django_saga.models import SagaStep
from django_saga.store import prepared
from tests.sagas.start_sagas import ChainSaga, EchoSaga

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold", "ledger"),
]

RUNS = 4  # of a saga, after which its inserts are kept


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(prepared, "_refused", False)
    connection.close()  # what the session keeps is this test's
    yield
    connection.close()


def kept() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY statement")
        return [" and ".join(re.findall(r"INSERT INTO (\w+)", str(row[0]))) for row in cursor.fetchall()]


def run() -> None:
    for number in range(RUNS):
        EchoSaga.run(number)


def test_only_inserts_are_kept_and_only_after_some_runs():
    EchoSaga.run("once")
    assert kept() == []

    run()

    assert kept() == ["django_saga_sagastep and django_saga_sagaevent"]


def test_behind_a_pooler_that_is_declared_nothing_is_kept(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)

    run()

    assert kept() == []


@pytest.mark.fault("F28")
def test_a_session_that_lost_what_it_kept_costs_no_attempt_and_is_not_asked_to_again():
    sagas = ChainSaga.bulk_start([{}] * 10)  # however many outcomes share an insert, there are enough
    inserts = 0

    def lose(execute, sql, params, many, context):
        nonlocal inserts
        if "INSERT INTO django_saga_sagastep" in sql:
            inserts += 1
            if inserts == RUNS:
                # As behind a pooler, where the next transaction has another session, unnoticed by the driver.
                context["connection"].connection.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(lose):
        runtime.build_worker(using="default", concurrency=1, once=True).run()

    assert [saga.status for saga in sagas] == ["completed"] * 10
    assert set(SagaStep.objects.values_list("attempt", flat=True)) == {1}
    run()
    assert (prepared._refused, kept()) == (True, [])


def test_the_cursors_of_others_stay_as_they_are():
    run()

    session: Any = connection.connection
    assert session.prepare_threshold is None
    with connection.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT %s", ["x"])
    assert not any("SELECT" in statement for statement in kept())
