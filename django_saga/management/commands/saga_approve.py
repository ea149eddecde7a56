"""``manage.py saga_approve``: approves or rejects for a user what a step waits for."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga import operations
from django_saga.core.plain import plain
from django_saga.exceptions import SagaError
from django_saga.management.json_input import json_value
from django_saga.management.saga_command import SagaCommand
from django_saga.management.saga_lookup import add_saga, the_saga


class Command(SagaCommand):
    help = "Approve or reject, as a user who has the permission for it, what a step waits for."

    def add_arguments(self, parser: CommandParser) -> None:
        add_saga(parser)
        parser.add_argument("step", metavar="STEP", help="the step that waits for approval")
        parser.add_argument("--user", required=True, metavar="NAME", help="the name of the user who decides")
        parser.add_argument("--data", type=json_value, metavar="JSON", help="what the step's form asks for")
        parser.add_argument("--reject", action="store_true", help="reject it: the saga turns back")
        parser.add_argument("--reason", default="", metavar="TEXT", help="for the audit and the history")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        if options["reject"] and options["data"] is not None:
            raise CommandError("--data is filled in to approve, not to reject.")
        using, name = options["database"], options["user"]
        saga, step = the_saga(using, options["id"]), options["step"]
        user = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: name}).first()
        if user is None:
            raise CommandError(f"There is no user {plain(name)!r}.")
        try:
            if options["reject"]:
                operations.reject(saga.pk, step, by=user, why=options["reason"], using=using)
            else:
                operations.approve(
                    saga.pk, step, by=user, data=options["data"], why=options["reason"], using=using
                )
        except (SagaError, PermissionDenied) as error:
            raise CommandError(plain(str(error))) from error
        done = "Rejected" if options["reject"] else "Approved"
        self.stdout.write(f"{done} {plain(step)} of saga {plain(saga.name)} {saga.pk}.")
