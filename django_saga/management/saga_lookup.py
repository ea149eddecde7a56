"""The saga a person means by the beginning of its id."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from django_saga.core.plain import plain
from django_saga.management.terminal import clock_time
from django_saga.models import SagaInstance
from django_saga.observability import lookup

_CANDIDATES = 10


def add_saga(parser: CommandParser) -> None:
    """Add the argument that names the saga, ``id``."""
    parser.add_argument("id", metavar="ID", help="the saga's id, or at least the first 8 characters of it")


def the_saga(using: str, text: str) -> SagaInstance:
    """Give the one saga whose id begins with ``text``. Raises ``CommandError`` that says what to give."""
    ids = lookup.id_range(text)
    if ids is None:
        raise CommandError(_no_id(text))
    found = lookup.beginning_with(using, ids, _CANDIDATES + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        what = (
            f"no saga {ids.first}"
            if ids.first == ids.last
            else f"no saga whose id begins with {text.strip()}"
        )
        raise CommandError(f"There is {what} in the database {using!r}; saga_list shows the newest ones.")
    lines = [
        f"  {saga.pk}  {plain(str(saga.definition))}  {saga.status}  {clock_time(saga.created_at)}  "
        f"{plain(saga.idempotency_key or '')}".rstrip()
        for saga in found[:_CANDIDATES]
    ]
    if len(found) > _CANDIDATES:
        lines.append("  … and older ones")
    raise CommandError(
        "\n".join([f"Several sagas' ids begin with {text.strip()}; give more of the id:", *lines])
    )


def _no_id(text: str) -> str:
    said = plain(text.strip())[:60]
    digits = said.replace("-", "")
    if digits and all(letter in "0123456789abcdefABCDEF" for letter in digits):
        if len(digits) > 32:
            return f"{said} is longer than an id, which has 32 digits."
        return (
            f"{said} is too short: give at least {lookup.SHORTEST_PREFIX} digits of the id. "
            "Ids begun within the same minute begin alike, so more may be needed."
        )
    return f"{said!r} is not the id of a saga; saga_list shows ids."
