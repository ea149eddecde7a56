"""``manage.py saga_worker``: carries sagas to their end."""

from __future__ import annotations

import argparse
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db import Error, connections

from django_saga import runtime
from django_saga.conf import get_settings
from django_saga.engine.child import heeding
from django_saga.engine.intake import Suspects
from django_saga.engine.supervisor import Supervisor
from django_saga.exceptions import SagaError
from django_saga.management.saga_command import SagaCommand
from django_saga.observability import console

# A process that gives no sign of life is killed after two leases, but not before this.
_PATIENCE = timedelta(seconds=5)


class Command(SagaCommand):
    help = (
        "Run due steps of sagas, record their outcomes, rescue steps of lost workers, enforce time limits; "
        "send messages of the outbox, and handle those of the inbox."
    )
    epilog = """
signals:
  SIGTERM, SIGINT   drain: claim no more, finish what runs (at most --drain-timeout), give back the rest, exit
  a second one      release what runs and leave at once; another worker carries it on, in doubt and uncharged
  SIGQUIT           exit at once; what was running is taken over when its lease has run out

exit codes:
  0  stopped as asked, or, with --once, nothing is due any more
  1  could not start: a definition is wrong, or its graph changed while sagas of it are in flight;
     or ended by SIGQUIT, or could not leave in order
"""

    def add_arguments(self, parser: CommandParser) -> None:
        settings = get_settings()
        parser.add_argument(
            "--processes", type=_count, default=1, metavar="N", help="worker processes (default: 1)"
        )
        parser.add_argument(
            "--concurrency",
            type=_count,
            default=settings.concurrency,
            metavar="N",
            help="threads for `def` steps in each process; `async def` steps share a loop beside them "
            f"(default: {settings.concurrency})",
        )
        parser.add_argument(
            "--queues",
            default="",
            metavar="NAME[,NAME…]",
            help="serve only these queues (default: all that registered sagas use)",
        )
        parser.add_argument(
            "--only",
            default="",
            metavar="PART[,PART…]",
            help="do only this: sagas (run steps), relay (send messages), consumer (handle messages) "
            "(default: all of it)",
        )
        parser.add_argument(
            "--once", action="store_true", help="carry on until nothing is due, then exit; one process"
        )
        parser.add_argument(
            "--lease",
            type=_seconds,
            default=settings.lease,
            metavar="SECONDS",
            help="how long a claim lasts unless it is extended; a lost worker's steps wait that long "
            f"(default: {settings.lease.total_seconds():g})",
        )
        parser.add_argument(
            "--drain-timeout",
            type=_seconds,
            default=settings.drain_timeout,
            metavar="SECONDS",
            help="how long a draining worker waits for steps that run "
            f"(default: {settings.drain_timeout.total_seconds():g})",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self._require_tables(options["database"])
        console.attach(self.stdout, self.stderr, verbosity=options["verbosity"])

        parts = _parts(options["only"])
        common = {
            "using": options["database"],
            "queue_names": _names(options["queues"]) or None,
            "lease": options["lease"],
            "drain_timeout": options["drain_timeout"],
        }
        build = partial(runtime.build_station, parts=parts, **common)
        concurrency = options["concurrency"]
        try:
            if options["once"]:
                station = build(concurrency=concurrency, once=True, suspects=Suspects.WHEN_IDLE)
                with heeding(station):
                    station.run()
                return
            code = Supervisor(
                partial(build, concurrency=concurrency, once=False, suspects=Suspects.ELSEWHERE),
                options["processes"],
                console.say,
                patience=max(_PATIENCE, 2 * options["lease"]),
                build_solo=partial(
                    runtime.build_worker, concurrency=1, once=True, suspects=Suspects.ONLY, **common
                ),
            ).run()
        except SagaError as error:
            raise CommandError(str(error)) from error
        if code:
            raise SystemExit(code)

    @staticmethod
    def _require_tables(using: str) -> None:
        """Read a row of each table, so that one that is missing is said once, not by each process. A database
        that is out of reach is waited for by those who work.
        """
        try:
            for model in apps.get_app_config("django_saga").get_models():
                model._base_manager.using(using).first()
        except Error:
            if connections[using].connection is not None:
                raise


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parts(text: str) -> list[str]:
    parts = _names(text) or list(runtime.PARTS)
    if unknown := [part for part in parts if part not in runtime.PARTS]:
        raise CommandError(f"--only {unknown[0]}: name one of {', '.join(runtime.PARTS)}.")
    return parts


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _seconds(text: str) -> timedelta:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{value:g} is not more than 0 seconds")
    return timedelta(seconds=value)
