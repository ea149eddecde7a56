"""``manage.py saga_requeue``: shows the dead letters, and has them tried again, or left alone for good."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga import operations
from django_saga.core.plain import one_line, plain
from django_saga.management.acting import do_each
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, ago, colour_wanted
from django_saga.observability.letters import Letter, dead_letters
from django_saga.store import clock
from django_saga.store.letters import BOXES

_MOST = 10_000


class Command(SagaCommand):
    help = (
        "Show dead letters: messages that brokers refuse or handlers fail on, dead compensations, and steps "
        "that are dead past the pivot. "
        "Have some of them tried again, or discarded."
    )
    epilog = """
examples:
  saga_requeue                                          show them, those that died last first
  saga_requeue inbox:7 outbox:3 --by ann                have these two tried again
  saga_requeue --fingerprint 1f3c… --by ann             all that failed with the same error
  saga_requeue --box inbox --all --by ann --dry-run     what would be requeued
  saga_requeue inbox:7 --discard --by ann --reason "handled by hand"

exit codes:
  0  all of it was done, or there was nothing to do
  1  nothing was done, or some of it was refused
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "letters",
            nargs="*",
            metavar="LETTER",
            help="which ones: outbox:7, inbox:7, compensation:<id>, step:<id>",
        )
        parser.add_argument("--all", action="store_true", help="all that --box and --fingerprint leave")
        parser.add_argument("--box", choices=BOXES, default="", help="only of this kind")
        parser.add_argument(
            "--fingerprint", default="", metavar="MARK", help="only those that failed with this error"
        )
        parser.add_argument(
            "--discard", action="store_true", help="leave them alone for good; needs --reason"
        )
        parser.add_argument("--by", default="", metavar="NAME", help="who does it, for the audit")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument(
            "--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)"
        )
        parser.add_argument("--json", action="store_true", help="show them as one JSON document")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        names, everything = options["letters"], options["all"]
        if names and everything:
            raise CommandError("Name letters, or say --all; not both.")
        found = dead_letters(
            options["database"],
            box=options["box"],
            mark=options["fingerprint"],
            limit=min(max(options["limit"], 1), _MOST),
        )
        # A fingerprint with a name of who does it means all of them: it is what the list was looked at for.
        if not (names or everything or (options["fingerprint"] and options["by"])):
            self._show(found, options)
            return
        self._act(names or [letter.name for letter in found], options)

    def _show(self, found: Sequence[Letter], options: dict[str, Any]) -> None:
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document({"letters": [_as_json(letter) for letter in found]}))
            return
        if not found:
            terminal.write("There are no dead letters.")
            return
        now = clock.now(options["database"])
        for letter in found:
            whose = f" for {letter.consumer}" if letter.consumer else ""
            terminal.write(terminal.strong(f"{letter.name}  {plain(letter.about)}{plain(whose)}"))
            terminal.write(f"    {plain(letter.error_class)}: {one_line(letter.error)}")
            first = f", first {ago(letter.first_at, now)}" if letter.first_at else ""
            terminal.write(
                f"    {letter.attempts} attempts{first}, last {ago(letter.last_at, now)}, "
                f"fingerprint {letter.fingerprint}"
            )
        count = "1 dead letter" if len(found) == 1 else f"{len(found)} dead letters"
        terminal.write(f"{count}. saga_requeue LETTER --by NAME has one tried again.")

    def _act(self, names: Sequence[str], options: dict[str, Any]) -> None:
        by, why, discard = options["by"], options["reason"], options["discard"]
        verb = "discard" if discard else "requeue"
        if options["dry_run"]:
            for name in names:
                self.stdout.write(f"Would {verb} {plain(name)}.")
            return
        if not by:
            raise CommandError("Say who does it: --by NAME.")
        if discard and not why.strip():
            raise CommandError("Say why they are not needed any more: --reason TEXT.")
        act = operations.discard if discard else operations.requeue
        done = "Discarded" if discard else "Requeued"
        do_each(
            self,
            (
                (f"{done} {plain(name)}.", partial(act, name, by=by, why=why, using=options["database"]))
                for name in names
            ),
        )


def _as_json(letter: Letter) -> dict[str, Any]:
    return {
        "letter": letter.name,
        "about": letter.about,
        "consumer": letter.consumer,
        "message_id": letter.message_id,
        "error_class": letter.error_class,
        "error": letter.error,
        "fingerprint": letter.fingerprint,
        "attempts": letter.attempts,
        "first_at": letter.first_at and letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
    }
