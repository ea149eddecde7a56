"""``manage.py place_orders FILE``: places the orders of a CSV file through the REST endpoint."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.shop.order_file import COLUMNS, BadFile, BadLine, open_orders, read_orders
from example_project.shop.placing import NoShop, place_orders

SOME_SKIPPED = 3  # 2 is said by argparse of a wrong command line
SECONDS_BETWEEN_REPORTS = 2.0


class Command(BaseCommand):
    help = (
        f"Place the orders of a CSV file with the columns {', '.join(COLUMNS)}. A line that is no order is "
        "reported and skipped. The reference is the idempotency key: placing a file again is harmless. "
        f"Exit codes: 0 all placed, {SOME_SKIPPED} some lines were skipped, 1 it could not go on."
    )
    # A client of the site: it needs neither its database nor its checks.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="CSV file, UTF-8")
        parser.add_argument(
            "--api",
            metavar="URL",
            type=_http_url,
            default="http://127.0.0.1:8000/api/orders/",
            help="the orders endpoint (default %(default)s)",
        )
        parser.add_argument(
            "--rate",
            metavar="N",
            type=_positive,
            help="orders a second, at most (default: as fast as it goes)",
        )

    def handle(self, *, file: str, api: str, rate: float | None, verbosity: int, **options: Any) -> None:
        counts = Counter[str]()
        skipped = set[int]()
        reported_at = time.monotonic()
        try:
            with open_orders(file) as opened:
                for outcome in place_orders(read_orders(opened), api, rate=rate):
                    if isinstance(outcome, BadLine):
                        self._complain(file, outcome)
                        skipped.add(outcome.number)
                        counts["skipped"] = len(skipped)
                    else:
                        counts["placed" if outcome.is_new else "known"] += 1
                    if verbosity and time.monotonic() - reported_at > SECONDS_BETWEEN_REPORTS:
                        reported_at = time.monotonic()
                        self.stdout.write(f"{_summary(counts)} so far, line {outcome.number}")
        except OSError as problem:
            raise CommandError(f"{file} cannot be read: {problem.strerror or problem}") from None
        except BadFile as problem:
            raise CommandError(f"{file}: {problem}") from None
        except NoShop as problem:
            raise CommandError(f"{problem}\n{_summary(counts)}. {_again(file)}") from None
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {_summary(counts)}. {_again(file)}", returncode=130) from None
        if counts["skipped"]:
            raise CommandError(f"{_summary(counts)}; see above.", returncode=SOME_SKIPPED)
        if verbosity:
            self.stdout.write(self.style.SUCCESS(f"{_summary(counts)}."))

    def _complain(self, file: str, line: BadLine) -> None:
        place = f"{file}, line {line.number}" + (f", {line.field}" if line.field else "")
        self.stderr.write(f"{place}: {line.problem}")


def _summary(counts: Counter[str]) -> str:
    parts = [f"{counts['placed']} orders placed"]
    if counts["known"]:
        parts.append(f"{counts['known']} placed before")
    if counts["skipped"]:
        parts.append(f"{counts['skipped']} skipped")
    return ", ".join(parts)


def _again(file: str) -> str:
    return f"Placing {file} again goes on where it stopped: no order is placed twice."


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:8000/api/orders/")
    return text
