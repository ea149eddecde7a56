"""Freezing a worker without freezing the database with it."""

from __future__ import annotations

import sqlite3

from django.db import connection

from tests.processes import RealProcess


def freeze(process: RealProcess) -> None:
    """Stop ``process`` (SIGSTOP) while it is not in the middle of a write.

    Elsewhere a transaction holds a few rows; on SQLite it would hold up everybody.
    """
    process.stop()
    while connection.vendor == "sqlite" and not _is_free():
        process.cont()
        process.stop()


def _is_free() -> bool:
    probe = sqlite3.connect(connection.settings_dict["NAME"], timeout=0.1, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE")
        probe.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        probe.close()
    return True
