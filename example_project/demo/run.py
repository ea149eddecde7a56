"""Runs the demo from its first process to its last: starts, watches, reports, stops."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shlex import quote

from example_project.clients import http
from example_project.demo.children import Child, ChildDied
from example_project.demo.database import Database
from example_project.demo.screen import Screen, Speed, shown
from example_project.demo.stage import CannotStart, emptied, free_port, site_port

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("payments", "shipping", "bookings", "stores")
LOOK_EVERY = timedelta(seconds=0.25)
TIME_TO_START = timedelta(seconds=60)
# Steps under way may finish: the slowest call to a service takes less.
DRAIN = timedelta(seconds=5)
PATIENCE = DRAIN + timedelta(seconds=5)
# How ``place_orders`` ends when it skipped lines that are no orders.
SOME_SKIPPED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for; ``time_limit`` holds with ``exit_when_done`` only."""

    orders: Path
    rate: float
    others: int
    port: int
    directory: Path
    seed: int
    database_url: str
    exit_when_done: bool
    time_limit: timedelta


def run(options: Options) -> int:
    """Run the demo until Ctrl-C, or with ``exit_when_done`` until the sagas are; return the exit code."""
    screen = Screen()
    try:
        if not options.orders.is_file():
            raise CannotStart(f"There is no file {options.orders}.")
        with emptied(options.directory), _stopped_at_the_end(screen) as children:
            try:
                return Demo(options, screen, children).play()
            except ChildDied as problem:
                # Said here: the line about stopping comes after its reason.
                screen.say(f"\n{problem}")
                return 1
    except CannotStart as problem:
        screen.say(str(problem))
        return 1
    except KeyboardInterrupt:
        return 0


@contextmanager
def _stopped_at_the_end(screen: Screen) -> Iterator[list[Child]]:
    """Collect children; stop them in the order opposite to their start."""
    started: list[Child] = []
    try:
        yield started
    finally:
        patience = PATIENCE
        if started:
            screen.say("\nStopping ...")
        while started:
            try:
                started[-1].stop(patience)
            except KeyboardInterrupt:
                # Asked a second time. The child at hand was killed on the way here.
                patience = timedelta(0)
            started.pop()


class Demo:
    """One run."""

    def __init__(self, options: Options, screen: Screen, children: list[Child]) -> None:
        self.options = options
        self.screen = screen
        self.children = children
        self.site = f"http://127.0.0.1:{site_port(options.port)}"
        self.services = {name: f"http://127.0.0.1:{free_port()}" for name in SERVICES}
        self.env = self._environment()
        self.speed = Speed()

    def play(self) -> int:
        """Start everything, place the cases, report how they ended; return the exit code."""
        self.screen.say("Preparing the database ...")
        database = Database(self.env, self.services)
        self._start_processes()
        self._introduce()
        exit_code = self._carry_through(database, self._start_placing())
        if self.options.exit_when_done:
            return exit_code
        self.screen.say("\nEverything stays up: look around, place more. Ctrl-C stops it.")
        try:
            for _ in self._looks():
                self._show_progress(database)
        except KeyboardInterrupt:
            return exit_code
        raise AssertionError("looking without a limit has no end")

    def _environment(self) -> dict[str, str]:
        ours = ("DATABASE_URL", "DJANGO_", "EXAMPLE_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        if self.options.database_url:
            env["DATABASE_URL"] = self.options.database_url
        return env | {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DJANGO_SECRET_KEY": os.urandom(32).hex(),
            "EXAMPLE_SQLITE": str(self.options.directory.resolve() / "shop.sqlite3"),
            **{f"EXAMPLE_{name.upper()}_URL": url for name, url in self.services.items()},
        }

    def _start_processes(self) -> None:
        for name, url in self.services.items():
            database = self.options.directory.resolve() / f"{name}.sqlite3"
            self._start(
                name,
                *("-m", f"example_project.services.{name}", "--port", _port(url)),
                *("--database", str(database), "--seed", str(self.options.seed)),
            )
        self._start("worker", "-m", "django", "saga_worker", "--drain-timeout", str(DRAIN.seconds))
        # In debug mode error pages say what happened, and the style sheets are served.
        self._start("site", "-m", "django", "runserver", "--noreload", _port(self.site), DJANGO_DEBUG="1")
        for url in self.services.values():
            self._wait_for_answer(f"{url}/health")
        self._wait_for_answer(f"{self.site}/")

    def _start_placing(self) -> list[Child]:
        """Start what places the orders, and what places the cases of the other domains."""
        orders = self._start(
            "placing",
            *("-m", "django", "place_orders", str(self.options.orders.resolve())),
            *("--api", f"{self.site}/api/orders/", "--rate", str(self.options.rate)),
            good_exits=(0, SOME_SKIPPED),
        )
        others = self._start(
            "placing-others",
            *("-m", "django", "place_samples", "--site", self.site, "--seed", str(self.options.seed)),
            *("--each", str(self.options.others)),
            good_exits=(0,),
        )
        return [orders, others]

    def _start(self, name: str, *arguments: str, good_exits: tuple[int, ...] = (), **env: str) -> Child:
        child = Child(
            name,
            list(arguments),
            directory=self.options.directory,
            cwd=ROOT,
            env={**self.env, **env},
            good_exits=good_exits,
        )
        self.children.append(child)
        return child

    def _wait_for_answer(self, url: str) -> None:
        for _ in self._looks(TIME_TO_START):
            try:
                answer = http.call("GET", url, timeout=TIME_TO_START)
            except http.ServiceTrouble:
                continue
            if answer.status != 200:
                raise CannotStart(f"{url} answers {answer.status}; see the logs in {self.options.directory}.")
            return
        raise CannotStart(f"{url} does not answer; see the logs in {self.options.directory}.")

    def _introduce(self) -> None:
        # Not before Django is set up.
        from example_project.domains import OTHERS

        logs = [
            str(self.options.directory / f"{name}.log")
            for name in ("site", "worker", *self.services, "placing", "placing-others")
        ]
        self.screen.say(
            f"\n  Site   {self.site}/\n"
            f"  Admin  {self.site}/admin/   user demo, password demo\n"
            f"  API    {self.site}/api/orders/ and so on: {', '.join(domain.cases for domain in OTHERS)}\n"
            f"  Sagas  {self._command()} saga_list\n"
            "         and saga_show ID, saga_check, saga_simulate order, ...\n"
            f"  Logs   {' '.join(logs)}\n\n"
            f"Placing the orders of {self.options.orders}, {self.options.rate:g} a second, and "
            f"{self.options.others} each of the others. Ctrl-C stops everything.\n"
        )

    def _command(self) -> str:
        """Give what a person types before the name of a command that is to see the demo's sagas."""
        if self.options.database_url:
            # It may hold a password, and screens are shared.
            database = "DATABASE_URL=<the URL you gave>"
        else:
            database = f"EXAMPLE_SQLITE={quote(str(shown(Path(self.env['EXAMPLE_SQLITE']))))}"
            if "DATABASE_URL" in os.environ:
                database = f"DATABASE_URL= {database}"  # the demo does without it
        program = (shown(Path(sys.executable)), shown(ROOT / "manage.py"))
        return f"{database} {' '.join(quote(str(path)) for path in program)}"

    def _carry_through(self, database: Database, placing: list[Child]) -> int:
        began = time.monotonic()
        limit = self.options.time_limit if self.options.exit_when_done else timedelta.max
        for _ in self._looks(limit):
            # Asked first: a case placed after the count below would be missed.
            are_placed = all(child.has_ended_well for child in placing)
            in_flight = self._show_progress(database)
            if are_placed and not in_flight:
                break
        else:
            self.screen.say(f"The sagas did not all end within {limit}.")
            return 1
        report = database.report(took=timedelta(seconds=time.monotonic() - began))
        if placing[0].exit_code == SOME_SKIPPED:
            self.screen.say(
                f"\nSome lines of {self.options.orders} are no orders:\n{placing[0].last_lines()}"
            )
        self.screen.say(f"\n{report}")
        return 0 if report.is_right else 1

    def _show_progress(self, database: Database) -> int:
        """Write the line of progress; return how many sagas are under way."""
        now = database.progress()
        speed = self.speed.note(now["completed"] + now["compensated"], at=time.monotonic())
        self.screen.live(
            f"placed {now['placed']}  running {now['in_flight']}  completed {now['completed']}  "
            f"compensated {now['compensated']}  stuck {now['stuck']}  {speed:.1f} sagas/s"
        )
        return now["in_flight"]

    def _looks(self, limit: timedelta = timedelta.max) -> Iterator[None]:
        """Come round every moment until ``limit`` has passed. Raises ``ChildDied``."""
        ends_at = time.monotonic() + limit.total_seconds()
        while time.monotonic() < ends_at:
            for child in self.children:
                child.check()
            yield
            time.sleep(LOOK_EVERY.total_seconds())


def _port(url: str) -> str:
    return url.rpartition(":")[2]
