"""The site's database in the demo: made ready at the start, counted all the while, read at the end."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError

from example_project.clients import http
from example_project.demo.reporting import Account, Report
from example_project.demo.stage import CannotStart

if TYPE_CHECKING:
    from example_project.cases.books import Dealing

LOGIN = PASSWORD = "demo"
TIME_TO_REPORT = timedelta(seconds=10)
# Signals tell an app of the end of a saga only after its commit.
TIME_TO_TELL = timedelta(seconds=5)


class Database:
    """Used from the demo's own process. At most one in a process."""

    def __init__(self, env: Mapping[str, str], services: Mapping[str, str]) -> None:
        """Migrate it, load what the apps begin with, make the login. Raises ``CannotStart``."""
        os.environ.pop("DATABASE_URL", None)
        os.environ.update(env)
        try:
            django.setup()
        except (ImproperlyConfigured, ImportError, ValueError) as problem:
            raise CannotStart(f"The settings are not right: {problem}") from None
        self._services = services
        try:
            call_command("migrate", verbosity=0)
            _make_login()
            self._begin()
        except DatabaseError as problem:
            raise CannotStart(f"The database cannot be used: {problem}") from None

    def _begin(self) -> None:
        from example_project.domains import DOMAINS

        for domain in DOMAINS:
            domain.samples.load()
        self._books = {domain.cases: domain.books() for domain in DOMAINS}

    def progress(self) -> Counter[str]:
        """Count what was ``placed``, what is ``in_flight``, and sagas by status, over all domains."""
        from example_project.cases.progress import progress

        total = Counter[str]()
        for books in self._books.values():
            now = progress(books.cases, books.saga)
            total.update({"placed": now.placed, "in_flight": now.in_flight, **now.sagas})
        return total

    def report(self, *, took: timedelta) -> Report:
        """Compare what the apps say with the ledgers of the services."""
        ledgers = [
            http.call("GET", f"{url}/ledger", timeout=TIME_TO_REPORT).body for url in self._services.values()
        ]
        waits_until = time.monotonic() + TIME_TO_TELL.total_seconds()
        while True:
            report = self._read(ledgers, took)
            if report.is_right or time.monotonic() > waits_until:
                return report
            time.sleep(0.25)

    def _read(self, ledgers: list[dict[str, Any]], took: timedelta) -> Report:
        from example_project.cases.books import Effect, disagreements

        accounts: list[Account] = []
        dealings: list[Dealing] = []
        problems: list[str] = []
        for name, books in self._books.items():
            cases = books.read()
            accounts.append(Account(cases=name, ends=_ends(cases), promise=books.promise))
            dealings += [dealing for case in cases for dealing in books.dealings(case)]
            problems += books.problems(cases)
        effects = [Effect.of(row) for ledger in ledgers for row in ledger["effects"]]
        return Report(
            accounts=accounts,
            ledgers=ledgers,
            problems=[*disagreements(dealings, effects), *problems],
            took=took,
        )


def _make_login() -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(LOGIN, "demo@example.com", PASSWORD)


def _ends(cases: list[Any]) -> Counter[str]:
    return Counter(str(case.saga.status) if case.saga else "without a saga" for case in cases)
