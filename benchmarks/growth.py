"""Fills the tables with finished sagas, as months of production would."""

from __future__ import annotations

_ID = "('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
_STEP_ID = "('018f0000-0000-7{step}00-8000-' || lpad(to_hex(n), 12, '0'))::uuid"


def fill(sagas: int) -> None:
    """Insert ``sagas`` completed order sagas with their steps and history."""
    from django.db import connection

    from benchmarks.sagas import OrderSaga
    from django_saga.store import definitions

    program = OrderSaga.program
    assert program is not None
    definition = definitions.identify("default", program.definition)
    rows = f"FROM generate_series(1, {sagas}) n"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_saga_sagainstance (id, definition_id, name, status, reason, culprit, input,"
            " input_digest, created_at, finished_at)"
            f" SELECT {_ID}, {definition}, 'bench.order', 'completed', '', '', '{{\"order\": 1}}',"
            f" md5(n::text), now(), now() {rows}"
        )
        for number, step in enumerate(("reserve", "charge", "ship"), start=1):
            cursor.execute(
                "INSERT INTO django_saga_sagastep (id, saga_id, name, definition_id, queue, executor, status,"
                " attempt, crashes, outcome, partial, token, reason, error, result, created_at, ended_at)"
                f" SELECT {_STEP_ID.format(step=number)}, {_ID}, '{step}', {definition}, 'default', 'thread',"
                " 'succeeded', 1, 0, 'succeeded', false, 1, '', '', '{\"ok\": true}', now(), now()"
                f" {rows}"
            )
        for step in ("", "reserve", "charge", "ship"):
            kind = "step_succeeded" if step else "saga_started"
            cursor.execute(
                "INSERT INTO django_saga_sagaevent (saga_id, kind, step, attempt, token, at, error_class,"
                f" error, traceback) SELECT {_ID}, '{kind}', '{step}', 1, 1, now(), '', '', '' {rows}"
            )
        cursor.execute("VACUUM ANALYZE django_saga_sagainstance, django_saga_sagastep, django_saga_sagaevent")
