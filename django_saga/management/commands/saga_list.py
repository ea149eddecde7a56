"""``manage.py saga_list``: the newest sagas and where they stand."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser, no_translations

from django_saga.core.plain import plain
from django_saga.core.problem import did_you_mean
from django_saga.core.spans import span
from django_saga.core.states import SagaStatus
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_table import as_json, table
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.management.times import span_argument
from django_saga.models import SagaDefinition, SagaInstance
from django_saga.observability import locking, lookup
from django_saga.observability.standing import telling_steps
from django_saga.store import clock

_MOST = 10_000


class Command(SagaCommand):
    help = "List sagas, newest first: status, where each stands, when it began, its idempotency key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--status",
            action="append",
            default=[],
            choices=[status.value for status in SagaStatus],
            help="only sagas of this status; may be given several times",
        )
        parser.add_argument("--stuck", action="store_true", help="short for --status stuck")
        parser.add_argument("--name", default="", metavar="NAME", help="only sagas of this name")
        parser.add_argument(
            "--since",
            type=span_argument,
            metavar="SPAN",
            help="only sagas that began within this time: 90s, 30m, 2h, 1d",
        )
        parser.add_argument(
            "--limit", type=_count, default=25, metavar="N", help="how many at most (default: 25)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using, limit = options["database"], options["limit"]
        statuses = list(options["status"])
        if options["stuck"]:
            statuses.append(SagaStatus.STUCK.value)
        now = clock.now(using)
        since = None if options["since"] is None else now - min(options["since"], timedelta(days=36_500))
        found = lookup.newest(using, statuses=statuses, name=options["name"], since=since, limit=limit + 1)
        sagas, more = found[:limit], len(found) > limit
        steps, locks = telling_steps(using, sagas), locking.waiting(using, sagas)
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            listed = [as_json(saga, steps.get(saga.pk, []), locks.get(saga.pk, []), now) for saga in sagas]
            terminal.write(document({"sagas": listed, "more": more}))
            return
        if not sagas:
            terminal.write(self._nothing(using, options, statuses))
            return
        for line in table(sagas, steps, locks, now, terminal):
            terminal.write(line)
        if more:
            terminal.write(f"The {limit} newest are shown; --limit {min(limit * 4, _MOST)} shows more.")

    def _nothing(self, using: str, options: dict[str, Any], statuses: list[str]) -> str:
        if name := options["name"]:
            known = set(SagaDefinition.objects.using(using).values_list("name", flat=True))
            if name not in known:
                return f"No saga named {plain(repr(name))} was ever started here.{did_you_mean(name, known)}"
        asked = []
        if statuses:
            asked.append(f"of status {' or '.join(dict.fromkeys(statuses))}")
        if options["name"]:
            asked.append(f"named {options['name']}")
        if options["since"] is not None:
            asked.append(f"begun within {span(options['since'])}")
        if asked and SagaInstance.objects.using(using).exists():
            return f"No saga is {', '.join(asked)}."
        return (
            "There are no sagas yet. One appears here as soon as code starts it, as with OrderSaga.start(…)."
        )


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"{value} is not between 1 and {_MOST}")
    return value
