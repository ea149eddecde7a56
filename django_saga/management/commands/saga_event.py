"""``manage.py saga_event``: sends an event to the saga that waits for it, now or later."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga.core.plain import plain
from django_saga.engine.sending import send_event
from django_saga.exceptions import InvalidInput
from django_saga.management.json_input import json_value
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_lookup import the_saga


class Command(SagaCommand):
    help = "Send an event to the step that waits for it; until there is one, it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the event's name, as in wait_for_event(NAME)")
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("--key", metavar="KEY", help="the key that its correlate= gives")
        whom.add_argument("--saga", metavar="ID", help="the saga, where it waits for an event of its own")
        parser.add_argument(
            "--data", type=json_value, default=None, metavar="JSON", help="the payload (default: null)"
        )
        parser.add_argument(
            "--event-id", metavar="ID", help="the sender's id of it: sent again, it is the same event"
        )
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        key = options["key"] if options["saga"] is None else the_saga(using, options["saga"]).pk
        try:
            new = send_event(
                options["name"], options["data"], key=key, event_id=options["event_id"], using=using
            )
        except InvalidInput as error:
            raise CommandError(plain(str(error))) from error
        told = f"{plain(options['name'])} of {plain(str(key))}"
        self.stdout.write(f"Sent {told}." if new else f"{told} was sent before: nothing was changed.")
