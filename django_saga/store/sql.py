"""SQL for many rows at once, in the words each database understands.

The journal records hundreds of outcomes in one transaction, several thousand a second; building that with
model instances costs more than running it. So the few hot statements are written here, for any model, and
each difference between databases is asked from ``connection.features`` or named in ``_ability``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime

from django_saga.store.prepared import preparing

Row = tuple[Any, ...]

# Element types of array parameters, by Django's name of the field.
_ARRAYS = {
    "UUIDField": "uuid[]",
    "BigIntegerField": "bigint[]",
    "BigAutoField": "bigint[]",
    "ForeignKey:BigAutoField": "bigint[]",
    "PositiveIntegerField": "integer[]",
    "BooleanField": "boolean[]",
    "DateTimeField": "timestamptz[]",
    "JSONField": "jsonb[]",
    "BinaryField": "bytea[]",
    "PositiveSmallIntegerField": "smallint[]",
}


def has_arrays(connection: BaseDatabaseWrapper) -> bool:
    """True where a whole column of values travels as one parameter, which keeps statements short and
    constant.
    """
    return connection.vendor == "postgresql"


def changes_at_once(connection: BaseDatabaseWrapper) -> bool:
    """True where one statement, a transaction of its own, finds rows, locks them, changes them and gives them
    back.
    """
    return connection.vendor == "postgresql"


def table(model: type[models.Model]) -> str:
    """Give the model's table. Ours are plain lower-case words, which no database wants quoted."""
    return model._meta.db_table


def now(connection: BaseDatabaseWrapper, ahead: float = 0.0) -> str:
    """Give the SQL for the time of the statement in the database, which is what leases are measured in.

    ``ahead``: seconds to add.
    """
    later = f"{ahead:.6f}"
    if connection.vendor == "postgresql":
        return f"(statement_timestamp() + interval '{later} seconds')" if ahead else "statement_timestamp()"
    if connection.vendor == "sqlite":
        # As many digits as Django stores: times are compared as text.
        return f"(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '{later} seconds') || '000')"
    return f"(utc_timestamp(6) + INTERVAL {later} SECOND)"


def literal(connection: BaseDatabaseWrapper, at: datetime) -> str:
    """Give the SQL for the time ``at``, where ``now`` could stand."""
    if connection.vendor == "postgresql":
        return f"timestamptz '{at.isoformat()}'"
    return f"'{connection.ops.adapt_datetimefield_value(at)}'"


def epoch(connection: BaseDatabaseWrapper) -> str:
    """Give the SQL for the time right now in seconds since 1970, as a float: cheap to read for many rows."""
    return {
        "postgresql": "extract(epoch FROM clock_timestamp())::float8",
        # A day number is good to some 40 microseconds; it was made from milliseconds, as ``now`` is.
        "sqlite": "round((julianday('now') - 2440587.5) * 86400.0, 3)",
    }.get(connection.vendor, "CAST(unix_timestamp(sysdate(6)) AS DOUBLE)")


def is_in(connection: BaseDatabaseWrapper, column: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Give ``column IN values`` and its parameters; ``values`` are UUIDs, whole numbers or text."""
    if has_arrays(connection):
        return f"{column} = ANY(%s)", [as_array(values)]
    if not values:
        return "1 = 0", []
    return f"{column} IN ({', '.join(['%s'] * len(values))})", [to_db(connection, v) for v in values]


def as_array(values: Sequence[Any]) -> str:
    """Write ``values`` as PostgreSQL's text for an array (its manual, 8.15.2).

    psycopg would take the list, and spend several times as long on it as the server does on the rows.
    """
    if not values:
        return "{}"
    first, last = values[0], values[-1]
    if first == last and values.count(first) == len(values):
        # Most columns hold one value: no owner, no deadline, the one time of a batch.
        return f"{{{','.join([_element(first)] * len(values))}}}"
    if type(first) is UUID or type(last) is UUID:
        # Mostly each another: looking them up takes as long as writing them.
        return f"{{{','.join(['NULL' if value is None else value.hex for value in values])}}}"
    # Others repeat themselves (names, states): each value is written once.
    written = {value: _element(value) for value in set(values)}
    return f"{{{','.join(map(written.__getitem__, values))}}}"


def _element(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "NULL"
    if kind is UUID:
        return value.hex  # type: ignore[no-any-return]
    if kind is int or kind is bool:
        return str(value)
    if kind is datetime:
        return f'"{value.isoformat()}"'
    if kind is bytes:
        return f'"\\\\x{value.hex()}"'
    if value.isidentifier() and value.upper() != "NULL":
        return value  # type: ignore[no-any-return]
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def chunks(
    connection: BaseDatabaseWrapper, values: Sequence[Any], *, width: int = 1
) -> Iterable[Sequence[Any]]:
    """Cut ``values`` so that a statement with ``width`` parameters for each stays within the database's
    limit.
    """
    limit = connection.features.max_query_params
    if not limit or has_arrays(connection):
        return [values]
    size = max(1, (limit - 20) // width)
    return [values[at : at + size] for at in range(0, len(values), size)]


def locking(connection: BaseDatabaseWrapper, *of: str, skip_locked: bool = False) -> str:
    """Give the clause that locks the rows of a SELECT against other writers, where the database locks
    rows.
    """
    features = connection.features
    if not features.has_select_for_update:
        return ""
    return connection.ops.for_update_sql(
        skip_locked=skip_locked and features.has_select_for_update_skip_locked,
        of=of if features.has_select_for_update_of else (),
        no_key=features.has_select_for_no_key_update,
    )


def to_db(connection: BaseDatabaseWrapper, value: Any) -> Any:
    """Give ``value`` as a parameter of ``connection``."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    if isinstance(value, UUID) and not has_arrays(connection):
        return str(value)
    return value


def as_time(value: Any) -> datetime | None:
    """Give a time read from any database, aware and in UTC."""
    if isinstance(value, str):
        value = parse_datetime(value)
    if value is not None and value.tzinfo is None:
        return value.replace(tzinfo=UTC)  # type: ignore[no-any-return]
    return value  # type: ignore[no-any-return]


def as_uuid(value: Any) -> UUID | None:
    """Give a UUID read from any database."""
    return value if value is None or isinstance(value, UUID) else UUID(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "UUIDField": as_uuid,
    "DateTimeField": as_time,
    "BooleanField": lambda value: None if value is None else bool(value),
}


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field


def column(model: type[models.Model], name: str) -> str:
    """Give the column of a field."""
    return str(_field(model, name).column)


def _kind(field: models.Field[Any, Any]) -> str:
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return target.get_internal_type()


@lru_cache(maxsize=256)
def _readers(
    model: type[models.Model], columns: tuple[str, ...]
) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    kinds = [_kind(_field(model, column)) for column in columns]
    return tuple((at, _READERS[kind]) for at, kind in enumerate(kinds) if kind in _READERS)


def read(
    using: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    sql: str,
    params: Sequence[Any],
) -> list[Row]:
    """Run a SELECT whose first columns are ``columns`` of ``model``; JSON stays text, other types are
    Python's.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Row] = cursor.fetchall()
    if has_arrays(connection):
        return rows
    readers = _readers(model, columns)
    converted = []
    for row in rows:
        values = list(row)
        for at, reader in readers:
            values[at] = reader(values[at])
        converted.append(tuple(values))
    return converted


def execute(using: str, sql: str, params: Sequence[Any]) -> int:
    """Run a statement and give how many rows it touched."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if not has_arrays(connection):
            params = [to_db(connection, value) for value in params]
        cursor.execute(sql, params)
        return int(cursor.rowcount)


@lru_cache(maxsize=256)
def _casts(model: type[models.Model], columns: tuple[str, ...]) -> str:
    fields = [_field(model, column) for column in columns]
    return ", ".join(f"%s::{_ARRAYS.get(_kind(field), 'text[]')}" for field in fields)


class Statement(NamedTuple):
    """A statement that writes, with its parameters as the driver takes them."""

    sql: str
    params: Sequence[Any]


def insertion(
    using: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    given: Mapping[str, str] | None = None,
    update: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    ignore: bool = False,
) -> list[Statement]:
    """Give what inserts ``rows`` (values in the order of ``columns``, JSON as text).

    ``given``: more columns, which have the same value in all rows, with the SQL of that value.
    ``update``: columns a row that is already there takes over from the new one; of those in ``keep``, only
    values that are not NULL. ``ignore``: leave a row that collides with any unique key out.
    """
    if not rows:
        return []
    connection = connections[using]
    alike = dict(given or {})
    head, clash = _around(connection.vendor, model, (*columns, *alike), update, keep, ignore=ignore)
    also = "".join(f", {value}" for value in alike.values())
    if has_arrays(connection):
        text = f"{head} SELECT *{also} FROM unnest({_casts(model, columns)}) {clash}"
        return [Statement(text, [as_array(column) for column in zip(*rows, strict=True)])]
    one = f"({', '.join(['%s'] * len(columns))}{also})"
    return [
        Statement(
            f"{head} VALUES {', '.join([one] * len(part))} {clash}",
            [to_db(connection, value) for row in part for value in row],
        )
        for part in chunks(connection, rows, width=len(columns))
    ]


def together(using: str, statements: Sequence[Statement], *, prepare: bool = False) -> int:
    """Run statements that do not need to see each other's work; give how many rows the last one touched.

    PostgreSQL runs them as one (its manual, 7.8.4): each way to the server and back costs as much as a small
    statement. ``prepare``: they are inserts that the caller does again and again, and runs again if they fail
    as a conflict.
    """
    connection = connections[using]
    if has_arrays(connection) and len(statements) > 1:
        *first, last = statements
        aside = ", ".join(f"w{number} AS ({each.sql})" for number, each in enumerate(first))
        params = [value for each in statements for value in each.params]
        statements = [Statement(f"WITH {aside} {last.sql}", params)]
    touched = 0
    for text, values in statements:
        with preparing(connection) if prepare else connection.cursor() as cursor:
            cursor.execute(text, values)
            touched = int(cursor.rowcount)
    return touched


def insert(
    using: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    given: Mapping[str, str] | None = None,
    ignore: bool = False,
) -> int:
    """Insert ``rows`` as ``insertion`` says, and give how many took effect."""
    statements = insertion(using, model, columns, rows, given=given, ignore=ignore)
    return sum(together(using, [each]) for each in statements)


@lru_cache(maxsize=256)
def _around(
    vendor: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    update: tuple[str, ...],
    keep: tuple[str, ...],
    *,
    ignore: bool,
) -> tuple[str, str]:
    """Give what stands before and after the values of an insert."""
    verb = "INSERT IGNORE" if ignore and vendor == "mysql" else "INSERT"
    names = ", ".join(column(model, name) for name in columns)
    return f"{verb} INTO {table(model)} ({names})", _on_clash(vendor, model, update, keep, ignore=ignore)


def _on_clash(
    vendor: str, model: type[models.Model], update: tuple[str, ...], keep: tuple[str, ...], *, ignore: bool
) -> str:
    mysql = vendor == "mysql"
    if ignore:
        return "" if mysql else "ON CONFLICT DO NOTHING"
    if not update:
        return ""
    new = "VALUES({})" if mysql else "EXCLUDED.{}"
    name = table(model)
    sets = []
    for column in update:
        value = new.format(column)
        if column in keep:
            value = f"COALESCE({value}, {name}.{column})"
        sets.append(f"{column} = {value}")
    how = "ON DUPLICATE KEY UPDATE" if mysql else "ON CONFLICT (id) DO UPDATE SET"
    return f"{how} {', '.join(sets)}"
