"""The demo as a person runs it: it ends well, stops when told to, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from example_project.data import generate_orders
from example_project.domains import OTHERS
from tests.example.site import free_port
from tests.processes import LOGS, ROOT, RealProcess, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.crash,
    # It has a database of its own: an SQLite file, whatever the other tests run on.
    pytest.mark.sqlite,
]

StartDemo = Callable[..., RealProcess]


@pytest.fixture
def start_demo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartDemo]:
    """Start the demo in ``tmp_path / "demo"`` with the first 40 orders, and the arguments given."""
    pytest.importorskip("rest_framework", reason="the shop's API needs Django REST framework")
    orders = tmp_path / "orders.csv"
    lines = (generate_orders.HERE / "orders.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    orders.write_text("".join(lines[:41]), encoding="utf-8")
    started: list[RealProcess] = []

    def start(*arguments: str) -> RealProcess:
        log = tmp_path / f"demo-{len(started)}.log"
        own = ["--dir", str(tmp_path / "demo"), "--orders", str(orders), "--port", "0", "--others", "1"]
        demo = RealProcess(["-m", "example_project.demo", *own, *arguments], env={}, log=log)
        started.append(demo)
        request.node.stash.setdefault(LOGS, {})[f"demo {len(started)}"] = log
        return demo

    yield start
    for demo in started:
        if demo.is_running:
            demo.terminate()
            demo.wait()
    # None, unless a test has failed.
    for process in processes_in(tmp_path / "demo"):
        os.kill(process, signal.SIGKILL)


def processes_in(directory: Path) -> list[int]:
    """Return the processes that hold files of ``directory`` open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = [os.readlink(file) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(file.startswith(str(directory)) for file in files):
            found.append(int(process.name))
    return found


def test_all_orders_end_and_the_books_agree(start_demo: StartDemo, tmp_path: Path) -> None:
    # With this seed both services fail for some of these orders, before their effect and after it.
    demo = start_demo("--exit-when-done", "--rate", "100", "--seed", "2", "--others", "12")

    exit_code = demo.wait(120)

    assert exit_code == 0, demo.output
    ends = re.findall(r"^  (\d+ \w+): \d+ completed, \d+ compensated, 0 stuck$", demo.output, re.MULTILINE)
    assert ends == ["40 orders", *(f"12 {domain.cases}" for domain in OTHERS)]
    trouble = r"\(\d+ answered 503, \d+ cut off after the effect"
    assert {"payments", "shipping"} <= set(
        re.findall(rf"^(\w+): \d+ calls {trouble}", demo.output, re.MULTILINE)
    )
    assert "The books agree" in demo.output
    assert processes_in(tmp_path / "demo") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it(start_demo: StartDemo, tmp_path: Path, number: signal.Signals) -> None:
    demo = start_demo("--rate", "5")
    demo.wait_for_line("^placed [1-9]")

    os.kill(demo.pid, number)

    assert demo.wait() == 0
    assert "Traceback" not in demo.output
    assert processes_in(tmp_path / "demo") == []


def test_it_stays_up_for_commands_after_the_last_order_until_told_to_stop(
    start_demo: StartDemo, tmp_path: Path
) -> None:
    demo = start_demo("--rate", "100")
    command = demo.wait_for_line("^  Sagas  (.* saga_list)$")[1]
    demo.wait_for_line("Everything stays up", timeout=120)
    typed = ["env", "-u", "DJANGO_SETTINGS_MODULE", *shlex.split(command)]  # that of the tests
    listed = subprocess.run(typed, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert len(re.findall(rb" v1 .* (?:completed|compensated) ", listed.stdout)) == 25

    os.kill(demo.pid, signal.SIGINT)

    assert demo.wait() == 0
    assert processes_in(tmp_path / "demo") == []


def test_a_demo_that_is_killed_leaves_no_process_behind(start_demo: StartDemo, tmp_path: Path) -> None:
    demo = start_demo("--rate", "5")
    demo.wait_for_line("^placed [1-9]")

    demo.kill9(only_parent=True)

    wait_until(lambda: processes_in(tmp_path / "demo") == [], message="all children have ended")


@pytest.mark.parametrize("name", ["payments", "worker"])
def test_a_child_that_dies_is_named_and_ends_the_demo(
    start_demo: StartDemo, tmp_path: Path, name: str
) -> None:
    demo = start_demo("--rate", "5")
    demo.wait_for_line("^placed [1-9]")
    log = tmp_path / "demo" / f"{name}.log"

    for process in processes_in(log):
        os.kill(process, signal.SIGKILL)

    assert demo.wait() == 1
    assert f"The process {name!r} ended with exit code -9. Its last lines, from {log}:" in demo.output
    assert processes_in(tmp_path / "demo") == []


def test_a_second_demo_in_the_same_directory_is_refused(start_demo: StartDemo, tmp_path: Path) -> None:
    port = free_port()
    first = start_demo("--rate", "5", "--port", str(port))
    first.wait_for_line(rf"^  Site   http://127\.0\.0\.1:{port}/$")

    second = start_demo()

    assert second.wait() == 1
    assert second.output.strip() == (
        f"Another demo is running in {tmp_path / 'demo'}. Stop it, or choose another directory by --dir."
    )
    assert first.is_running


def test_a_port_that_is_taken_is_named(start_demo: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        demo = start_demo("--port", str(port))

        assert demo.wait() == 1

    assert demo.output.strip() == (
        f"Port {port} cannot be used (Address already in use). "
        "Choose another one by --port, or any by --port 0."
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--orders", "nowhere.csv"], "There is no file nowhere.csv."),
        (
            ["--port", "70000"],
            "Port 70000 cannot be used (bind(): port must be 0-65535.). Choose another one",
        ),
        (
            ["--database-url", "nonsense"],
            "Preparing the database ...\nThe settings are not right: Scheme '://' is unknown.",
        ),
        (["--dir", "/dev/null/demo"], "/dev/null/demo cannot be used: Not a directory."),
    ],
)
def test_a_demo_that_cannot_start_says_why(start_demo: StartDemo, arguments: list[str], said: str) -> None:
    demo = start_demo(*arguments)

    assert demo.wait() == 1
    assert demo.output.strip().startswith(said)
