"""``manage.py saga_start``: starts a saga by its name."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga import ports
from django_saga.conf import get_settings
from django_saga.core.plain import plain
from django_saga.dsl import payloads
from django_saga.dsl.registry import registry
from django_saga.exceptions import SagaError, SagaFailed, SagaNotFinished
from django_saga.management.json_input import json_value
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.times import time_argument


class Command(SagaCommand):
    help = "Start a saga of this code. Its input is checked as by start(); workers carry it on."
    epilog = """
examples:
  saga_start order '{"sku": "A-1"}' --key order-7
  saga_start report --at 2026-12-01T06:00 --priority 5
  saga_start order - --wait 30 < order.json

exit codes:
  0  it was started, or was there already under that key; with --wait: it completed
  1  it was refused
  2  with --wait: it failed, or has not ended in time
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the saga's name")
        parser.add_argument(
            "input", nargs="?", type=_input, metavar="JSON", help="its input; - reads it (default: null)"
        )
        parser.add_argument("--key", metavar="KEY", help="idempotency key: the same saga for the same key")
        parser.add_argument(
            "--at",
            type=time_argument,
            metavar="TIME",
            help="when to begin; the project's time zone if it names none",
        )
        parser.add_argument("--priority", type=int, metavar="N", help="from 0 to 100 (default: the saga's)")
        parser.add_argument(
            "--wait", type=float, metavar="SECONDS", help="wait for its end, and print its result"
        )
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            program = registry.latest(options["name"])
            if program.problems:
                raise CommandError(f"Saga {plain(options['name'])} is wrong: see manage.py check.")
            handle = ports.engine().start(
                program,
                program.encode_input(options["input"]),
                idempotency_key=options["key"],
                run_at=options["at"],
                priority=options["priority"],
                using=options["database"],
            )
        except (SagaError, ValueError) as error:
            raise CommandError(plain(str(error))) from error
        if options["wait"] is None:
            self.stdout.write(f"{handle.id}")
            return
        self.stderr.write(f"Started {handle.id}, waiting …")
        try:
            self.stdout.write(document(_plain(handle.result(timeout=options["wait"]))))
        except (SagaFailed, SagaNotFinished) as error:
            self.stderr.write(plain(str(error)))
            raise SystemExit(2) from error


def _plain(result: Any) -> Any:
    """Give a result as it is stored: what JSON has no form for is told by its type."""
    limit = get_settings().max_result_bytes
    return json.loads(payloads.encode(result, "the result", limit, "MAX_RESULT_BYTES"))


def _input(text: str) -> Any:
    return json_value(sys.stdin.read() if text == "-" else text)
