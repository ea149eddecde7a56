"""A column of values travels to PostgreSQL as one text, and arrives as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection

from django_saga.core.states import StepStatus
from django_saga.store import sql

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]
ONE, TWO = UUID(int=1), UUID(int=2**127)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", [ONE]),
        ("uuid", [ONE, ONE, ONE]),
        ("uuid", [ONE, TWO]),
        ("uuid", [None, ONE, None]),
        ("uuid", [None, TWO]),
        ("uuid", [ONE, None, ONE]),
        ("uuid", [None, None]),
        ("uuid", []),
        ("bigint", [7, 7, 7]),
        ("bigint", [7, 8, 7]),
        ("boolean", [True, True]),
        ("boolean", [True, False, True]),
        ("timestamptz", [NOON, NOON]),
        ("timestamptz", [NOON, None, NOON + timedelta(microseconds=1)]),
        ("text", ["", ""]),
        ("text", ["NULL", "null", None, "a,b", '"', "\\", "{}", " ", "ö"]),
        ("text", ["NULL", "NULL"]),
        ("text", ['{"a": "b\\n"}'] * 2),
        ("text", [StepStatus.RUNNING, StepStatus.SUCCEEDED]),
        ("text", [StepStatus.RUNNING, StepStatus.RUNNING]),
    ],
)
def test_a_column_arrives_as_it_was(kind, values):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM unnest(%s::{kind}[])", [sql.as_array(values)])
        arrived = [value for (value,) in cursor.fetchall()]

    assert arrived == values
