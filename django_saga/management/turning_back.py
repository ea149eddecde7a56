"""What the commands share that have a saga turn back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga.core.plain import plain
from django_saga.core.state import PAST_PIVOT
from django_saga.core.states import SagaStatus
from django_saga.engine import versions
from django_saga.exceptions import IllegalTransition, SagaError
from django_saga.management.acting import add_audit, confirm, who
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_lookup import add_saga, the_saga
from django_saga.management.undo_lines import plan_lines
from django_saga.models import SagaInstance
from django_saga.observability import undoing


class TurnBackCommand(SagaCommand):
    """Shows what would be undone, asks, and has it undone. ``act`` is the operation, ``past_pivot`` says
    whether that is one in spite of the pivot.
    """

    act: ClassVar[Callable[..., None]]
    past_pivot: ClassVar[bool] = False
    epilog = """
exit codes:
  0  the saga turns back, or with --dry-run: it could
  1  it cannot, or nobody said yes
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_saga(parser)
        add_audit(parser)
        parser.add_argument("--dry-run", action="store_true", help="only say what would be undone")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        saga = the_saga(using, options["id"])
        if saga.status == SagaStatus.COMPENSATING or (
            saga.status == SagaStatus.STUCK and saga.reason != PAST_PIVOT
        ):
            raise CommandError(plain(_cannot(saga)))
        try:
            self.stdout.write("\n".join(self._plan(using, saga)))
            if options["dry_run"]:
                return
            if not options["yes"]:
                confirm("Have it turn back?")
            type(self).act(saga.pk, by=who(options), why=options["reason"], using=using)
        except IllegalTransition as error:
            raise CommandError(plain(f"{_cannot(saga)} ({error})")) from error
        except SagaError as error:
            raise CommandError(plain(str(error))) from error
        self.stdout.write(f"It turns back; saga_show {saga.pk} tells how far it is.")

    def _plan(self, using: str, saga: SagaInstance) -> Iterator[str]:
        plan = undoing.plan(using, saga, past_pivot=self.past_pivot)
        yield f"Saga {plain(str(saga.definition))} {saga.pk} is {saga.status}. If it turns back now:"
        yield from plan_lines(versions.of_saga(saga), plan)
        yield f"    ends       {plan.status.value}"


def _cannot(saga: SagaInstance) -> str:
    said = f"Saga {saga.name} {saga.pk} is {saga.status}, and cannot turn back"
    if saga.status == SagaStatus.COMPENSATING:
        return f"{said}: it does already."
    if saga.status != SagaStatus.STUCK:
        return f"{said}."
    if saga.reason == PAST_PIVOT:
        return f"{said} by this: saga_retry has its dead steps tried again, saga_compensate undoes it."
    return f"{said} any more: saga_retry has its dead compensations tried again."
