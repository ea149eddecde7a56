"""Calls that begin together, each in a thread with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection


def in_threads(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Run ``call(n)`` in ``count`` threads that begin together; give what each returned or raised."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return call(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
