"""Freezing a worker without freezing the database with it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from django.db import connection

from tests.processes import RealProcess, wait_until


def freeze(process: RealProcess) -> None:
    """Stop ``process`` (SIGSTOP) while it is not in the middle of a write.

    Elsewhere a transaction holds a few rows; on SQLite it would hold up everybody.
    """
    _stop(process)
    while connection.vendor == "sqlite" and not _is_free():
        process.cont()
        # To the end of its write: stopped again at once it would get nowhere, and its parent would kill it.
        wait_until(_is_free)
        _stop(process)


def _stop(process: RealProcess) -> None:
    """Return when every thread stands still: the signal is sent before that, and a thread goes on until it
    is given the processor to find it. Who looked then would see no lock, and miss the one taken next.
    """
    process.stop()
    wait_until(lambda: all(state in "Tt" for state in _threads(process.pid)))


def _threads(group: int) -> list[str]:
    """Give the states of the threads of a process group, as Linux tells them; none elsewhere."""
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if _fields(stat)[2] == str(group):
                states += [_fields(each)[0] for each in stat.parent.glob("task/*/stat")]
    return states


def _fields(stat: Path) -> list[str]:
    """Give what stands behind the name: state, parent, group, …; the name itself may hold anything."""
    return stat.read_text().rpartition(")")[2].split()


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
