"""``manage.py saga_check``: whether this code, and the workers there are, fit the sagas in flight."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser, no_translations

from django_saga.core.plain import columns, plain
from django_saga.core.shapes import BAD, GOOD, Shape
from django_saga.management.json_output import document
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, ago, colour_wanted
from django_saga.observability import fit
from django_saga.observability.fit import Fit, Version

_FINE, _WRONG = Shape("✔", "+", GOOD), Shape("✖", "x", BAD)


class Command(SagaCommand):
    help = "Compare the sagas of this code with those in flight in the database, and say what does not fit."
    epilog = """
exit codes:
  0  this code and the workers that are there fit all sagas in flight
  1  this code does not, or a definition is wrong, or the database could not be asked
  3  this code does, but no worker that is there serves some sagas in flight, or an ended saga has locks
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        found = fit.look(options["database"])
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        if options["json"]:
            terminal.write(document(_as_json(found)))
        else:
            terminal.write("\n".join(_lines(found, terminal)))
        if not found.fits:
            raise SystemExit(1)
        if not found.served or found.orphaned:
            raise SystemExit(3)


# --- for people -----------------------------------------------------------------------------------


def _lines(found: Fit, terminal: Terminal) -> Iterator[str]:
    if found.versions:
        yield from _table(found, terminal)
    else:
        yield "No saga is in flight."
    for wrong in found.wrong:
        yield ""
        text = f"{terminal.bare_sign(_WRONG)} {plain(wrong.saga)}: {plain(wrong.message)} {plain(wrong.hint)}"
        first, *more = textwrap.wrap(text, terminal.width or 110, subsequent_indent="  ")
        yield from (terminal.paint(_WRONG, first), *more)
        for version in found.versions:
            if wrong.kind == fit.CHANGED and str(version) == wrong.saga:
                yield from (f"    {plain(str(change))}" for change in version.changes)
                for left in version.left:
                    status = left.status.replace("_", " ")
                    yield f"    step {plain(left.step)}: {left.number} in flight, {status}"


def _table(found: Fit, terminal: Terminal) -> Iterator[str]:
    rows = [("SAGA", "IN FLIGHT", "OLDEST", "CODE", "WORKERS")]
    for version in found.versions:
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(version.counts.items()))
        code = _WRONG if version.code != fit.SAME else _FINE
        workers = _WRONG if version.unserved or not version.workers else _FINE
        rows.append(
            (
                plain(str(version)),
                counts,
                ago(version.since, found.now),
                f"{terminal.bare_sign(code)} {version.code}",
                f"{terminal.bare_sign(workers)} {version.workers or 'none'}",
            )
        )
    widths = [max(columns(row[at]) for row in rows) for at in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        yield line if number else terminal.strong(line)


# --- for programs ---------------------------------------------------------------------------------


def _as_json(found: Fit) -> dict[str, Any]:
    return {
        "fits": found.fits,
        "served": found.served,
        "orphaned": found.orphaned,
        "in_flight": [_version_json(version) for version in found.versions],
        "problems": [wrong._asdict() for wrong in found.wrong],
    }


def _version_json(version: Version) -> dict[str, Any]:
    return {
        "saga": version.name,
        "version": version.version,
        "counts": version.counts,
        "oldest_at": version.since.isoformat(),
        "code": version.code,
        "changes": [change._asdict() for change in version.changes],
        "removed_steps": [left._asdict() for left in version.left],
        "workers": version.workers,
        "unserved_queues": version.unserved,
    }
