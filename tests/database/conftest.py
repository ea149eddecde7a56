"""Fixtures around the connection to the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from django.db import connection, connections

from tests.database.proxy import Proxy

T = TypeVar("T")


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[Proxy]:
    """Every connection opened from now on goes through it; the test's own is open already, and direct."""
    connection.ensure_connection()
    settings: dict[str, Any] = connections.databases["default"]
    kept = {key: settings[key] for key in ("HOST", "PORT", "OPTIONS")}
    with Proxy(settings["HOST"], settings["PORT"]) as running:
        settings |= {
            "HOST": "127.0.0.1",
            "PORT": running.port,
            # A session that the proxy could not read would lose nothing.
            "OPTIONS": {**settings["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"},
        }
        yield running
        settings |= kept


def elsewhere(call: Callable[[], T]) -> T:
    """Run ``call`` in a thread, and so on a connection of its own; give or raise what came of it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work, name="elsewhere")
    thread.start()
    thread.join(60)
    if errors:
        raise errors[0]
    return results[0]
