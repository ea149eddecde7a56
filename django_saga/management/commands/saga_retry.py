"""``manage.py saga_retry``: has what is dead in a saga tried again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga import operations
from django_saga.core.plain import one_line, plain
from django_saga.core.states import StepStatus
from django_saga.management.acting import add_audit, do_each, who
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_lookup import add_saga, the_saga
from django_saga.observability import story
from django_saga.observability.advice import dead_steps


class Command(SagaCommand):
    help = (
        "Have what is dead in a stuck saga tried again, with fresh attempts: compensations, or steps past "
        "its pivot. Mend the cause first; saga_show tells it."
    )
    epilog = """
examples:
  saga_retry 01a1fb8d --dry-run                          what it waits for
  saga_retry 01a1fb8d --reason "the bank is open again"  all of it
  saga_retry 01a1fb8d charge                             only this step, or its compensation

exit codes:
  0  workers try it again
  1  nothing was done, or some of it was refused
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_saga(parser)
        parser.add_argument("steps", nargs="*", metavar="STEP", help="which steps (default: all dead ones)")
        add_audit(parser)
        parser.add_argument("--dry-run", action="store_true", help="only say what would be tried again")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        saga = the_saga(using, options["id"])
        told = story.read(using, saga, events=0, payloads=False)
        status = {step.node.name: step.status for step in told.steps}
        errors = {step.node.name: step.row.error for step in told.steps if step.row}
        wanted = options["steps"] or [step.node.name for step in dead_steps(told)]
        if unknown := [name for name in wanted if name not in status]:
            known = plain(", ".join(status))
            raise CommandError(f"Saga {plain(saga.name)} has no step {plain(unknown[0])!r}; it has {known}.")
        if not wanted:
            raise CommandError(f"Nothing is dead in saga {plain(saga.name)} {saga.pk}: it is {saga.status}.")
        whats = {name: _what(name, status[name]) for name in wanted}
        if options["dry_run"]:
            for name, what in whats.items():
                self.stdout.write(f"Would try {what} again. It failed: {one_line(errors.get(name, ''))}")
            return
        given = {"by": who(options), "why": options["reason"], "using": using}
        do_each(
            self,
            (
                (
                    f"In saga {plain(saga.name)} {saga.pk}, {what} is tried again.",
                    partial(_act(status[name]), saga.pk, name, **given),
                )
                for name, what in whats.items()
            ),
        )


def _what(step: str, status: str) -> str:
    return f"the compensation of {plain(step)}" if status == StepStatus.UNDO_FAILED else plain(step)


def _act(status: str) -> Callable[..., None]:
    undo = status == StepStatus.UNDO_FAILED
    return operations.retry_compensation if undo else operations.retry_step
