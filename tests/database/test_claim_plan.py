"""How the database finds due steps: by the index over live rows, however many finished ones lie beside."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_saga.models import SagaInstance, SagaStep
from tests.database.test_claims import claim
from tests.sagas.start_sagas import EchoSaga

pytestmark = pytest.mark.django_db(transaction=True)

FINISHED, LIVE = 3_000, 60


def test_a_claim_reads_the_live_rows_index_in_its_order_and_sorts_nothing():
    EchoSaga.bulk_start(range(FINISHED))
    SagaStep.objects.update(status="succeeded", due_at=None)
    SagaInstance.objects.update(status="completed")
    EchoSaga.bulk_start(range(LIVE))
    ran: list[tuple[str, Any]] = []

    def note(execute, sql, params, many, context):
        if "SELECT id, saga_id" in sql and "due_at <=" in sql:
            ran.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        claimed = claim(limit=20)
    [(sql, params)] = ran
    plan = plan_of(sql, params)

    assert len(claimed) == 20
    assert "django_saga_claim" in plan, plan
    assert ("TEMP B-TREE" in plan, "Sort" in plan, "filesort" in plan) == (False, False, False), plan


def plan_of(sql: str, params: Any) -> str:
    """What the database means to do, once it knows what lies in the table."""
    with connection.cursor() as cursor:
        table = SagaStep._meta.db_table
        cursor.execute(f"ANALYZE TABLE {table}" if connection.vendor == "mysql" else f"ANALYZE {table}")
        if connection.vendor == "mysql":
            cursor.fetchall()
        how = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(how + sql, params)
        return str(cursor.fetchall())
