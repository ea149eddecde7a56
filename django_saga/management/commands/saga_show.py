"""``manage.py saga_show``: one saga, its steps and attempts, as a tree."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga.core.plain import plain
from django_saga.exceptions import SagaError
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_json import as_json
from django_saga.management.saga_lookup import add_saga, the_saga
from django_saga.management.saga_tree import Tree
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.management.times import time_argument
from django_saga.models import SagaInstance
from django_saga.observability import past, story
from django_saga.store import clock

# More attempts than a person reads; what a saga that retries for years has beyond them is in the admin.
_EVENTS = 10_000
_SECOND = timedelta(seconds=1)


class Command(SagaCommand):
    help = "Show one saga: its steps in order, those to come included, each with its attempts and errors."

    def add_arguments(self, parser: CommandParser) -> None:
        add_saga(parser)
        parser.add_argument(
            "--traceback",
            action="store_true",
            dest="tracebacks",
            help="show errors in full, with their tracebacks",
        )
        parser.set_defaults(traceback=False)
        parser.add_argument(
            "--at",
            type=_instant,
            metavar="TIME",
            help="show it as it stood then: 2026-11-20T18:42:04, in the project's time zone if it names none",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of the tree")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using, tracebacks = options["database"], options["tracebacks"]
        saga = the_saga(using, options["id"])
        if options["at"] is None:
            told = story.read(using, saga, events=_EVENTS, tracebacks=tracebacks)
        else:
            told = self._past(using, saga, options["at"], tracebacks=tracebacks)
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document(as_json(told, tracebacks=tracebacks)))
            return
        terminal.write("\n".join(Tree(told, terminal, tracebacks=tracebacks).lines()))

    def _past(self, using: str, saga: SagaInstance, at: datetime, *, tracebacks: bool) -> story.Story:
        if at > clock.now(using) + _SECOND:
            raise CommandError(f"{at} is still to come.")
        try:
            return past.read(using, saga, at, tracebacks=tracebacks)
        except SagaError as error:
            raise CommandError(plain(str(error))) from error


def _instant(text: str) -> datetime:
    """Read a time; one to the second is its last instant, as times are shown to the second."""
    at = time_argument(text)
    return at if "." in text else at + _SECOND - timedelta(microseconds=1)
