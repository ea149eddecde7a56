"""The example project as its users have it: a site and commands that are processes, spoken to over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from django.db import connections

from example_project.clients import http
from tests import databases
from tests.processes import ROOT, RealProcess, wait_until

TIMEOUT = timedelta(seconds=30)


class Site:
    """The shop's site on a free port, and its management commands."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.env = {**env, "DJANGO_SETTINGS_MODULE": "example_project.settings", "PYTHONPATH": str(ROOT)}
        self.url = f"http://127.0.0.1:{free_port()}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve the site until the end of the block, on a migrated database with the demo's catalogue."""
        self.run("migrate", "--verbosity", "0")
        self.run("load_samples")
        port = self.url.rpartition(":")[2]
        process = RealProcess(
            ["-m", "django", "runserver", "--noreload", port],
            env={**self.env, "DJANGO_DEBUG": "1"},
            log=self.directory / "site.log",
        )
        try:
            wait_until(lambda: self._answers(process), message="the site answers")
            yield
        finally:
            process.end()

    def run(self, *command: str, exit_code: int = 0) -> str:
        """Run a management command to its end; return all that it wrote."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *command],
            cwd=ROOT,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == exit_code, done.stdout
        return done.stdout

    def get(self, path: str) -> http.Answer:
        return http.call("GET", self.url + path, timeout=TIMEOUT)

    def post_order(self, body: object, *, key: str = "") -> http.Answer:
        return http.call(
            "POST",
            f"{self.url}/api/orders/",
            body,  # type: ignore[arg-type]
            idempotency_key=key,
            timeout=TIMEOUT,
        )

    def orders(self) -> int:
        """Return how many orders there are."""
        return int(self.get("/api/orders/").body["count"])

    def _answers(self, process: RealProcess) -> bool:
        assert process.is_running, process.output
        try:
            return self.get("/api/orders/").status == 200
        except http.ServiceTrouble:
            return False


@contextmanager
def database_of_its_own(directory: Path) -> Iterator[dict[str, str]]:
    """Make an empty database of the kind that the tests run on; yield the environment that points to it.

    The test session's own connection has to be there (``django_db_setup``) and unblocked.
    """
    if databases.kind() == "sqlite":
        yield {"DATABASE_URL": "", "EXAMPLE_SQLITE": str(directory / "shop.sqlite3")}
        return
    name = f"test_saga_shop_{uuid4().hex[:12]}"
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield {"DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()}
    finally:
        with connections["default"]._nodb_cursor() as cursor:
            force = " WITH (FORCE)" if databases.kind() == "postgres" else ""
            cursor.execute(f"DROP DATABASE {name}{force}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
