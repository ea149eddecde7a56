"""``manage.py saga_migrate``: moves sagas in flight from one version of their definition to another."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga.core.plain import one_line, plain
from django_saga.core.shapes import BACK, BAD, GOOD, Shape
from django_saga.exceptions import SagaError
from django_saga.management.acting import Progress, add_audit, confirm, who
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.operations import migrate_sagas
from django_saga.operations.migrations import IN_FLIGHT, MIGRATED, REFUSED, MigrationReport

_SHAPES = {
    MIGRATED: Shape("✔", "+", GOOD),
    IN_FLIGHT: Shape("▶", ">", BACK),
    REFUSED: Shape("✖", "x", BAD),
}


class Command(SagaCommand):
    help = "Move the sagas in flight of one version to another, each under its lock, if it can go on there."
    epilog = """
exit codes:
  0  all of them were moved, or there was none
  1  could not begin, or some are left in the old version: see why, and run it again
"""
    after_trouble = "What was moved stays so: run it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the saga's name")
        parser.add_argument("--from", type=int, required=True, metavar="N", dest="old", help="their version")
        parser.add_argument(
            "--to", type=int, required=True, metavar="N", dest="new", help="the version to go on by"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            type=_pair,
            metavar="OLD=NEW",
            help="a step's name in the old and in the new version; may be given several times",
        )
        parser.add_argument("--dry-run", action="store_true", help="tell what would become of them, only")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        add_audit(parser, reason="--why")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["dry_run"] or options["yes"]):
            self._ask(options)
        progress = Progress(self)
        try:
            report = migrate_sagas(
                options["name"],
                from_version=options["old"],
                to_version=options["new"],
                mapping=dict(options["map"]),
                by=who(options),
                why=options["why"],
                dry_run=options["dry_run"],
                progress=lambda report: progress.tell(lambda: _so_far(report)),
                using=options["database"],
            )
        except SagaError as error:
            raise CommandError(plain(str(error), lines=True)) from error
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document(_as_json(report)))
        else:
            terminal.write("\n".join(_lines(report, terminal)))
        if report.left:
            raise SystemExit(1)

    def _ask(self, options: dict[str, Any]) -> None:
        route = f"{options['name']} from v{options['old']} to v{options['new']}"
        confirm(f"Move all sagas in flight of {plain(route)} (--dry-run only tells)?")


def _so_far(report: MigrationReport) -> str:
    done = f"{report.looked_at:,} looked at, {report.count(MIGRATED):,} {_moved(report)}"
    return f"{done}, {report.left:,} left"


def _lines(report: MigrationReport, terminal: Terminal) -> Iterator[str]:
    if not report.looked_at:
        yield f"No saga of {plain(report.route)} is in flight."
        return
    yield terminal.strong(
        f"{plain(report.route)}{': a dry run, nothing was changed' if report.dry_run else ''}"
    )
    for fate in sorted(
        report.fates.values(), key=lambda fate: (list(_SHAPES).index(fate.outcome), -fate.number)
    ):
        shape = _SHAPES[fate.outcome]
        word = _moved(report) if fate.outcome == MIGRATED else fate.outcome
        said = f"{terminal.bare_sign(shape)} {fate.number:,} {word}: {one_line(fate.detail, 2_000)}"
        yield terminal.paint(shape, said)
        more = ", …" if fate.number > len(fate.examples) else ""
        yield f"    {', '.join(map(str, fate.examples))}{more}"
    if report.count(IN_FLIGHT):
        yield "Workers have steps of those in flight: run it again in a while."


def _moved(report: MigrationReport) -> str:
    return "would go" if report.dry_run else "moved"


def _as_json(report: MigrationReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "looked_at": report.looked_at,
        "migrated": report.count(MIGRATED),
        "left": report.left,
        "fates": [
            {
                "outcome": fate.outcome,
                "detail": fate.detail,
                "number": fate.number,
                "examples": [str(example) for example in fate.examples],
            }
            for fate in report.fates.values()
        ],
    }


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new
