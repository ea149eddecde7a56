"""Where the demo takes place: an emptied directory of its own, and ports that are free."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What the demo leaves behind, and what the next one may therefore delete.
OWN_FILES = ("*.sqlite3", "*.sqlite3-shm", "*.sqlite3-wal", "*.log")


class CannotStart(Exception):
    """The demo cannot begin; the message says what to do about it."""


@contextmanager
def emptied(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for one demo at a time, without the files of the last one."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as problem:
        raise CannotStart(f"{directory} cannot be used: {problem.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"Another demo is running in {directory}. Stop it, or choose another directory by --dir."
            ) from None
        (directory / ".gitignore").write_text("*\n")
        for pattern in OWN_FILES:
            for left_over in directory.glob(pattern):
                left_over.unlink()
        yield


def site_port(wanted: int) -> int:
    """Return ``wanted`` if it can be had, a free port for 0. Raises ``CannotStart``."""
    try:
        return _bound_port(wanted)
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise CannotStart(
            f"Port {wanted} cannot be used ({reason}). Choose another one by --port, or any by --port 0."
        ) from None


def free_port() -> int:
    return _bound_port(0)


def _bound_port(wanted: int) -> int:
    with socket.socket() as probe:
        # As the servers do: a port is free although connections to its last owner linger in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        port: int = probe.getsockname()[1]
        return port
