"""``manage.py saga_prune``: deletes sagas that ended long ago."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser, no_translations

from django_saga.core.plain import plain
from django_saga.core.spans import span
from django_saga.engine.pruning import prune_sagas
from django_saga.management.acting import Progress, confirm
from django_saga.management.saga_command import SagaCommand
from django_saga.management.times import span_argument


class Command(SagaCommand):
    help = (
        "Delete sagas that ended long ago, with their steps, history and operations, and the sagas that "
        "their steps started. What has not ended, or is stuck, is never touched."
    )
    epilog = """
examples:
  saga_prune --older-than 90d --dry-run
  saga_prune --older-than 90d --name order --yes

With the setting KEEP_SAGAS workers do it by themselves.
"""
    after_trouble = "What was deleted stays so: run it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=span_argument,
            required=True,
            metavar="SPAN",
            help="ended so long ago: 90d, 26w",
        )
        parser.add_argument("--name", default="", metavar="NAME", help="only sagas of this name")
        parser.add_argument("--dry-run", action="store_true", help="only count them")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        dry_run, age = options["dry_run"], options["older_than"]
        whose = f" of {plain(options['name'])}" if options["name"] else ""
        if not (dry_run or options["yes"]):
            confirm(f"Delete all sagas{whose} that ended more than {span(age)} ago, with their history?")
        progress = Progress(self)
        total = prune_sagas(
            age,
            name=options["name"],
            dry_run=dry_run,
            progress=lambda total: progress.tell(lambda: f"{total:,} sagas"),
            using=options["database"],
        )
        sagas = "1 saga" if total == 1 else f"{total:,} sagas"
        self.stdout.write(f"{'Would delete' if dry_run else 'Deleted'} {sagas}.")
