"""``manage.py saga_asyncapi``: what this project takes and sends by messages, as an AsyncAPI 3 document."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, no_translations

from django_saga.conf import project_name
from django_saga.observability.asyncapi import document


class Command(BaseCommand):
    help = (
        "Print an AsyncAPI 3 document (JSON) of the topics that handlers and participants take, and of the "
        "commands that sagas send. No database is asked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        project = project_name()
        parser.add_argument("--title", default=project, help=f"of the document (default: {project})")
        parser.add_argument("--api-version", default="1", metavar="TEXT", help="of the document (default: 1)")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        made = document(options["title"], options["api_version"])
        self.stdout.write(json.dumps(made, indent=2, ensure_ascii=False))
