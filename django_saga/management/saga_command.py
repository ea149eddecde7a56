"""What every command shares: the database it asks, and how it ends when that fails or nobody reads on."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor

from django_saga.conf import get_settings
from django_saga.core.plain import one_line


class _Help(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The command's own flags before those of every command, and its epilog as it is written."""


class SagaCommand(BaseCommand):
    """A command about the sagas of one database.

    ``epilog``: what its help ends with. ``database_help``: what it takes from the database.
    ``after_trouble``: what to know when the database fails it half way.
    """

    epilog = ""
    database_help = "database of the sagas"
    after_trouble = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Give the parser. A flag of the command's own may have the name of one that every command has, such
        as ``--version``, which tells Django's, and ``--traceback``, which is for the command's own crashes.
        """
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=self.epilog,
            formatter_class=_Help,
            conflict_handler="resolve",
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--database``; what else the command takes is added before."""
        database = get_settings().database
        parser.add_argument(
            "--database",
            default=database,
            choices=tuple(connections),
            metavar="ALIAS",
            help=f"{self.database_help} (default: {database})",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. A database that fails it, or lacks the tables, is a ``CommandError``."""
        try:
            said = super().execute(*args, **options)
            self.stdout.flush()
        except Error as error:
            raise CommandError(explained(options["database"], error, self.after_trouble)) from error
        except BrokenPipeError:
            # As with ``| head``: the reader has seen enough. Python would complain once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(128 + signal.SIGPIPE) from None
        return said


def explained(using: str, error: Error, after_trouble: str = "") -> str:
    """Say which database failed and what to do: told by the migrations it has not had, else by its error."""
    database = f"The database {using!r} ({connections[using].settings_dict['NAME']})"
    if lacking := _first_unapplied(using):
        route = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
        return f"{database} lacks tables of django-saga, from {lacking} on. Run: manage.py migrate{route}"
    return f"{database} could not be asked: {one_line(str(error))} {after_trouble}".rstrip()


def _first_unapplied(using: str) -> str:
    """Give the first of this app's migrations that the database has not had; "" for none, or if it does not
    say.
    """
    try:
        executor = MigrationExecutor(connections[using])
        leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "django_saga"]
        return next((migration.name for migration, _ in executor.migration_plan(leaves)), "")
    except Error:
        return ""
