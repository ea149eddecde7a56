"""What every test gets: the database asked for, markers that skip and (``processes.py``) real processes."""

from __future__ import annotations

import os
import signal
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.contenttypes.management import create_contenttypes
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models.signals import post_migrate
from hypothesis import HealthCheck, settings
from pytest_django.plugin import DjangoDbBlocker

from tests import databases
from tests.ledger import VARIABLE, Ledger

pytest_plugins = ["tests.processes", "tests.stuck"]
# How fast a machine is says nothing about the code: by default Hypothesis fails what takes long.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
_CORE = Path(__file__).parent / "core"
_DEFINITIONS, _COPY = "django_saga_sagadefinition", "tests_definitions_as_migrated"


def pytest_configure() -> None:
    # A CI that gives up sends SIGTERM: leave as for Ctrl-C, which stops workers and the embedded server.
    signal.signal(signal.SIGTERM, _interrupt)


def pytest_report_header() -> str:
    # Not the URL: it may hold a password.
    server = "a server from the wheel" if databases.is_missing_server() else "as given"
    return f"database: {databases.kind()}, {server}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _once_for_all_databases(config, items)
    for item in items:
        needed = [name for name in databases.ENGINES if item.get_closest_marker(name)]
        if needed and databases.kind() not in needed:
            item.add_marker(pytest.mark.skip(reason=f"needs {' or '.join(needed)}"))


def _once_for_all_databases(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of the core to the run on SQLite, unless nothing else was asked for: it knows no database,
    as an import contract says.
    """
    core = [item for item in items if _CORE in item.path.parents]
    if databases.kind() != "sqlite" and len(core) < len(items):
        config.hook.pytest_deselected(items=core)
        items[:] = [item for item in items if _CORE not in item.path.parents]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Start a server where none was given, and give this session a test database of its own."""
    # The dict behind the connection, which may exist already: changed in place.
    database = connections.settings["default"]
    if databases.kind() == "sqlite":
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "saga.sqlite3")
        yield
        return
    database["TEST"]["NAME"] = f"test_saga_{os.getpid()}"
    if not databases.is_missing_server():
        yield
        return
    with databases.embedded_postgres() as url:
        # Processes that tests start inherit it.
        os.environ["DATABASE_URL"] = url
        database.update({key: value for key, value in databases.settings_from_url(url).items() if value})
        yield
        connections.close_all()
        del os.environ["DATABASE_URL"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Empty tables faster: not those that migrations fill with the same rows again, which then nobody has to
    look for, and on PostgreSQL by DELETE, as its TRUNCATE makes new files for every table and index. Rows of
    definitions come back from a copy of what the migration wrote: they need not be made again each time.
    """
    database = connections["default"].settings_dict
    if database["NAME"] != database["TEST"]["NAME"]:
        return  # no test of this session is on the test database, so there is none
    with django_db_blocker.unblock(), connections["default"].cursor() as cursor:
        if databases.kind() == "postgres":
            _need_not_survive_a_power_cut(cursor)
        cursor.execute(f"CREATE TABLE {_COPY} AS SELECT * FROM {_DEFINITIONS}")
    connections["default"].close()  # what was altered is for connections that are opened from now on
    operations = connections["default"].ops
    flush = operations.sql_flush

    def sql_flush(style: Any, tables: Sequence[str], **options: Any) -> list[str]:
        emptied = [table for table in tables if table not in ("django_content_type", "auth_permission")]
        again = [f"INSERT INTO {_DEFINITIONS} SELECT * FROM {_COPY}"] if _DEFINITIONS in tables else []
        if databases.kind() == "postgres":
            return [*[f"DELETE FROM {operations.quote_name(table)}" for table in emptied], *again]
        return [*flush(style, emptied, **options), *again]

    operations.sql_flush = sql_flush  # type: ignore[method-assign]
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


def _need_not_survive_a_power_cut(cursor: CursorWrapper) -> None:
    """Have commits in the test database, by whichever process, not wait for the disk: tests kill clients of
    its server, which loses nothing by that. The one that crashes a server has one of its own.
    """
    name = cursor.db.ops.quote_name(cursor.db.settings_dict["NAME"])
    cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger of the test's own; processes that the test starts write into it too."""
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv(VARIABLE, str(path))
    return Ledger(path)


@pytest.fixture
def invariants_hold(db: None) -> Iterator[None]:
    """Afterwards, with all processes of the test gone, every saga has to be as the app promises."""
    from django_saga.testing import assert_saga_invariants

    yield
    assert_saga_invariants()


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
