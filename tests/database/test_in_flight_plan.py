"""How the database finds sagas in flight: by the index over them, however many ended ones lie beside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance
from django_saga.store import in_flight
from tests.database.test_claim_plan import FINISHED, LIVE
from tests.sagas.start_sagas import EchoSaga

# Elsewhere there are no partial indexes.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.sqlite]


def plan_of(call: Any) -> tuple[Any, str]:
    """What ``call`` gives, and what the database means to do for it once it knows what lies in the table."""
    ran: list[tuple[str, Any]] = []

    def note(execute, sql, params, many, context):
        ran.append((sql, params))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {SagaInstance._meta.db_table}")
    with connection.execute_wrapper(note):
        given = call()
    [(sql, params)] = ran
    with connection.cursor() as cursor:
        how = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(how + sql, params)
        return given, str(cursor.fetchall())


@pytest.fixture
def many() -> list[UUID]:
    """Ids of those in flight."""
    EchoSaga.bulk_start(range(FINISHED))
    SagaInstance.objects.update(status="completed")
    if connection.vendor == "postgresql":
        # What was in flight a moment ago still lies in the index, and makes it look dear.
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM {SagaInstance._meta.db_table}")
            cursor.execute(f"REINDEX TABLE {SagaInstance._meta.db_table}")
    return sorted(handle.id for handle in EchoSaga.bulk_start(range(LIVE)))


def test_sagas_in_flight_are_counted_by_their_index(many):
    [counted], plan = plan_of(lambda: in_flight.counted("default"))

    assert (counted.status, counted.number) == ("running", LIVE)
    assert "django_saga_unfinished" in plan, plan


def test_sagas_in_flight_are_walked_in_the_order_of_their_index(many):
    key = SagaInstance.objects.values_list("definition_id", flat=True)[0]

    found, plan = plan_of(lambda: in_flight.after("default", SagaStatus.RUNNING, key, many[9], 20))

    assert found == many[10:30]
    assert "django_saga_unfinished" in plan, plan
    assert ("TEMP B-TREE" in plan, "Sort" in plan, "filesort" in plan) == (False, False, False), plan
