"""``manage.py saga_show``: one saga, its steps and attempts, as a tree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser, no_translations
from django.db import connections

from django_saga.conf import get_settings
from django_saga.management.json_output import document
from django_saga.management.saga_json import as_json
from django_saga.management.saga_lookup import the_saga
from django_saga.management.saga_tree import Tree
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.observability import story

# More attempts than a person reads; what a saga that retries for years has beyond them is in the admin.
_EVENTS = 10_000


class Command(BaseCommand):
    help = "Show one saga: its steps in order, those to come included, each with its attempts and errors."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Every command has a --traceback, for its own crashes; here it is for those of steps.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        database = get_settings().database
        parser.add_argument(
            "id", metavar="ID", help="the saga's id, or at least the first 8 characters of it"
        )
        parser.add_argument(
            "--traceback",
            action="store_true",
            dest="tracebacks",
            help="show errors in full, with their tracebacks",
        )
        parser.set_defaults(traceback=False)
        parser.add_argument("--json", action="store_true", help="one JSON document instead of the tree")
        parser.add_argument(
            "--database",
            default=database,
            choices=tuple(connections),
            metavar="ALIAS",
            help=f"database of the sagas (default: {database})",
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using, tracebacks = options["database"], options["tracebacks"]
        told = story.read(using, the_saga(using, options["id"]), events=_EVENTS, tracebacks=tracebacks)
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document(as_json(told, tracebacks=tracebacks)))
            return
        terminal.write("\n".join(Tree(told, terminal, tracebacks=tracebacks).lines()))
