"""Real processes against the test database, for tests that kill, pause and restart workers.

Use them in tests marked ``crash`` and ``django_db(transaction=True)``: a process sees only what is committed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest
from django.apps import apps
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
LOGS = pytest.StashKey[dict[str, Path]]()
PAUSE_BETWEEN_LOOKS = 0.02

T = TypeVar("T")


class RealProcess:
    """A process in a group of its own, whose output goes to ``log``."""

    def __init__(self, arguments: list[str], *, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill9(self, *, only_parent: bool = False) -> None:
        """Kill the process with all its children, as a power cut does; or the parent alone."""
        self._signal(signal.SIGKILL, only_parent=only_parent)
        self.popen.wait()

    def stop(self) -> None:
        """Freeze the process and its children (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the parent to end (SIGTERM)."""
        self.popen.terminate()

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end and return the exit code; negative for a signal."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._fail(f"still running after {timeout} s")

    def wait_for_line(self, pattern: str, timeout: float = 60) -> re.Match[str]:
        """Wait until a line of the output matches ``pattern``."""
        ends_at = time.monotonic() + timeout
        while True:
            ended = not self.is_running
            if match := re.search(pattern, self.output, re.MULTILINE):
                return match
            if ended:
                self._fail(f"ended ({self.popen.returncode}) before {pattern!r}")
            if time.monotonic() > ends_at:
                self._fail(f"no {pattern!r} within {timeout} s")
            time.sleep(PAUSE_BETWEEN_LOOKS)

    def end(self) -> None:
        """Make sure that nothing of the process group is left, in whatever state it is."""
        self._signal(signal.SIGKILL)
        self.popen.wait()

    def _fail(self, what: str) -> NoReturn:
        raise AssertionError(f"{what}:\n{self.output[-4000:]}")

    def _signal(self, number: signal.Signals, *, only_parent: bool = False) -> None:
        with suppress(ProcessLookupError):
            if only_parent:
                os.kill(self.pid, number)
            else:
                os.killpg(self.pid, number)


class StartProcess(Protocol):
    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, faults: str = ""
    ) -> RealProcess: ...


@pytest.fixture
def start_python(
    request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path
) -> Iterator[StartProcess]:
    """Start Python on the test database: ``start_python("-m", "tests.some_script")``.

    ``faults`` is the value of ``SAGA_FAULTS``, such as ``claim.after_commit@2=kill9``.
    """
    # On ``transactional_db`` for the order: every process is gone before the tables are emptied.
    started: list[RealProcess] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None, faults: str = "") -> RealProcess:
        log = tmp_path / f"process-{len(started) + 1}.log"
        process = RealProcess(list(arguments), env={**environment(faults), **(env or {})}, log=log)
        started.append(process)
        request.node.stash.setdefault(LOGS, {})[f"process {len(started)}: {' '.join(arguments)[:80]}"] = log
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture
def start_command(start_python: StartProcess) -> StartProcess:
    """Start a management command: ``start_command("saga_list", "--json")``."""

    def start(*arguments: str, env: Mapping[str, str] | None = None, faults: str = "") -> RealProcess:
        return start_python("-m", "django", *arguments, env=env, faults=faults)

    return start


@pytest.fixture
def start_worker(start_command: StartProcess) -> StartProcess:
    """Start ``saga_worker`` with the arguments given: ``start_worker("--once", faults="step.mid=kill9")``."""

    def start(*arguments: str, env: Mapping[str, str] | None = None, faults: str = "") -> RealProcess:
        return start_command("saga_worker", *arguments, env=env, faults=faults)

    return start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for name, log in item.stash.get(LOGS, {}).items():
            report.sections.append((f"output of {name}", log.read_text(errors="replace")[-20_000:]))
    return report


def wait_until(predicate: Callable[[], T | None], *, timeout: float = 60, message: str = "") -> T:
    """Ask ``predicate`` until its answer is true and return that; a time-out shows the saga tables."""
    ends_at = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > ends_at:
            raise AssertionError(
                f"not within {timeout} s: {message or predicate}; last answer {answer!r}\n{saga_tables()}"
            )
        time.sleep(PAUSE_BETWEEN_LOOKS)
    return answer


def saga_tables(rows: int = 30) -> str:
    """The newest ``rows`` of each of the app's tables, as text."""
    lines = []
    for model in apps.get_app_config("django_saga").get_models():
        lines.append(f"-- {model._meta.label}: {model._default_manager.count()} rows")
        newest = model._default_manager.order_by("-pk").values()[:rows]
        lines += ["   " + ", ".join(f"{k}={v!r:.200}" for k, v in row.items()) for row in newest]
    return "\n".join(lines)


def environment(faults: str = "") -> dict[str, str]:
    """What a process on the test database has in its environment beside what this one has."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "SAGA_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        **({"SAGA_FAULTS": faults, "DJANGO_SAGA_FAULT_POINTS": "1"} if faults else {}),
    }
