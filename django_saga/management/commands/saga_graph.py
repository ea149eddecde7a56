"""``manage.py saga_graph``: a saga's graph as text for Mermaid."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, TypeAlias

from django.core.management.base import CommandError, CommandParser, no_translations
from django.db import DatabaseError

from django_saga.core import mermaid
from django_saga.core.outline import Node, lock_policy, of_definition, of_stored, ordered
from django_saga.dsl.registry import registry
from django_saga.management.definition_lookup import unknown
from django_saga.management.saga_command import SagaCommand
from django_saga.models import SagaDefinition

Drawn: TypeAlias = tuple[str, Sequence[Node], str]  # title, steps, lock policy


class Command(SagaCommand):
    help = "Print a saga's graph as text for Mermaid: steps, what they wait for, how they are undone."
    database_help = "where versions that are no longer in code are looked up"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the saga's name")
        parser.add_argument("--version", type=_version, metavar="N", help="its version (default: the newest)")
        parser.add_argument("--format", choices=["mermaid"], default="mermaid", help="default: mermaid")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        name, version, using = options["name"], options["version"], options["database"]
        found = _in_code(name, version) or _in_database(using, name, version)
        if found is None:
            raise CommandError(unknown(using, name, version))
        title, nodes, policy = found
        self.stdout.write(mermaid.flowchart(title, ordered(nodes), policy))


def _in_code(name: str, version: int | None) -> Drawn | None:
    versions = [program.definition for program in registry.all() if program.definition.name == name]
    for definition in reversed(versions):
        if version in (None, definition.version):
            return str(definition), of_definition(definition), lock_policy(definition)
    return None


def _in_database(using: str, name: str, version: int | None) -> Drawn | None:
    rows = SagaDefinition.objects.using(using).filter(name=name).order_by("-version")
    try:
        row = rows.first() if version is None else rows.filter(version=version).first()
    except DatabaseError:
        return None  # not migrated, or out of reach: what is in code can be drawn all the same
    return (str(row), of_stored(row.graph), lock_policy(row.graph)) if row else None


def _version(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value
