"""The definition a person means by a saga's name and, perhaps, a version."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DatabaseError

from django_saga.core.definition import SagaDefinition
from django_saga.core.plain import plain
from django_saga.core.problem import did_you_mean
from django_saga.dsl.registry import registry
from django_saga.engine import versions
from django_saga.exceptions import InvalidDefinition, UnknownSaga
from django_saga.management.saga_command import explained
from django_saga.models import SagaDefinition as Row


def the_definition(using: str, name: str, version: int | None) -> SagaDefinition:
    """Give the definition of ``name`` as it is in code, else in the database; no ``version``: the newest.

    Raises ``CommandError`` that says what there is, or what is wrong with it.
    """
    programs = [program for program in registry.all() if program.definition.name == name]
    try:
        for program in reversed(programs):
            if version in (None, program.definition.version):
                program.require_valid()
                return program.definition
        if row := _row(using, name, version):
            return versions.as_started(row)
    except (InvalidDefinition, UnknownSaga) as error:
        raise CommandError(plain(str(error), lines=True)) from error
    raise CommandError(unknown(using, name, version))


def unknown(using: str, name: str, version: int | None) -> str:
    """Say that there is no such saga, and which there are."""
    known = {(str(p.definition.name), p.definition.version) for p in registry.all()}
    try:
        known |= set(Row.objects.using(using).values_list("name", "version"))
    except DatabaseError as error:
        note = f" {explained(using, error)}"
    else:
        note = ""
    if numbers := sorted(number for known_name, number in known if known_name == name):
        return f"Saga {name!r} has no version {version}; there is {', '.join(map(str, numbers))}.{note}"
    names = sorted({known_name for known_name, _ in known})
    listed = f" Known are {', '.join(map(plain, names))}." if names else " None is known at all."
    return f"No saga is named {plain(repr(name))}.{did_you_mean(name, names)}{listed}{note}"


def _row(using: str, name: str, version: int | None) -> Row | None:
    rows = Row.objects.using(using).filter(name=name).order_by("-version")
    try:
        return rows.first() if version is None else rows.filter(version=version).first()
    except DatabaseError:
        return None  # not migrated, or out of reach
