"""What the encoding writes, the database's JSON column gives back with every type and digit."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_saga.core.encoding import decode, digest, encode
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step
from django_saga.exceptions import InvalidInput
from tests.core.json_values import VALUES, exactly, normalised

TABLE = "saga_test_stored_values"
COLUMN = {
    "postgresql": "jsonb",
    "sqlite": "text CHECK (json_valid(value))",
    "mysql": "json",
}


class Order(Saga):
    @step(no_compensation=True)
    def charge(self, ctx): ...


@pytest.fixture(scope="module")
def _table(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {TABLE} (value {COLUMN[connection.vendor]})")
        yield
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLE}")


def kept(text: str) -> str:
    """Store ``text`` and give what the database has of it."""
    read = "value::text" if connection.vendor == "postgresql" else "value"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} VALUES (%s)", [text])
        cursor.execute(f"SELECT {read} FROM {TABLE}")
        [(found,)] = cursor.fetchall()
        cursor.execute(f"DELETE FROM {TABLE}")
    return str(found)


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_table")]

ANY_MACHINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=200, deadline=None, suppress_health_check=ANY_MACHINE)
@given(VALUES)
def test_every_value_survives_the_database(value):
    found = kept(encode(value, max_bytes=262_144))

    assert exactly(decode(found)) == exactly(normalised(value))
    assert digest(found) == digest(encode(value, max_bytes=262_144))


@settings(max_examples=500, deadline=None, suppress_health_check=ANY_MACHINE)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=30, max_size=60))
def test_every_float_survives_the_database(value):
    assert exactly(decode(kept(encode(value, max_bytes=262_144)))) == exactly(value)


@pytest.mark.parametrize(
    "value",
    [
        10**4000 - 1,
        -(2**63),
        2**63,
        5e-324,
        1.7976931348623157e308,
        9999999999999998.0,
        1e16,
        -0.0,
        1.0,
        0.1 + 0.2,
        Decimal("1E-1000"),
        Decimal("-0.00"),
        timedelta.min,
        timedelta.max,
        "\x01\x1f\x7f\u2028\ufffe\U0010ffff",
        '\\u0000 \\" \\ud800',
        {"": {"$": {"$$": 1}}, "a": "", "A": 1, "ä": 2},
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_values_at_the_edges_survive_the_database(value):
    assert exactly(decode(kept(encode(value, max_bytes=262_144)))) == exactly(value)


def nested(levels: int) -> list[object]:
    value: list[object] = [Decimal(1)]
    for _ in range(levels - 1):
        value = [value]
    return value


def deepest() -> int:
    return 30 if connection.vendor == "mysql" else 64


def test_the_deepest_input_survives_the_database():
    value = nested(deepest())

    assert decode(kept(Order.program.encode_input(value))) == value


def test_a_deeper_input_is_refused_before_the_database_refuses_it():
    with pytest.raises(InvalidInput) as caught:
        Order.program.encode_input(nested(deepest() + 1))

    bound = "the limit of MariaDB" if connection.vendor == "mysql" else "setting MAX_DEPTH"
    assert str(caught.value) == (
        f"Saga order: input{'[0]' * 12}…: nested more than {deepest()} levels deep ({bound})"
    )


@pytest.mark.mariadb
def test_mariadb_does_refuse_what_is_deeper():
    """Fails once MariaDB does better, and the limit can go."""
    if not connection.mysql_is_mariadb:  # type: ignore[attr-defined]
        pytest.skip("MySQL stores up to 100 levels")

    with pytest.raises((IntegrityError, OperationalError)):
        kept(encode(nested(31), max_bytes=262_144))
