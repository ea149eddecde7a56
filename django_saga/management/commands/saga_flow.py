"""``manage.py saga_flow``: what came of a saga's or a first message's publishing, as a tree or as Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga.core.mermaid import label
from django_saga.core.plain import one_line, plain
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.observability.flow import Handled, Said, flow, tally


class Command(SagaCommand):
    help = "Show the messages that came of one beginning: who handled each, and what followed from that."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "id", metavar="ID", help="correlation id: a saga's id, or that of the first message"
        )
        parser.add_argument(
            "--format",
            choices=["tree", "mermaid"],
            default="tree",
            help="tree (default), or text for Mermaid",
        )
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        said = flow(options["database"], options["id"])
        if not said:
            raise CommandError(f"No message has the correlation id {plain(options['id'])!r} or that id.")
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        lines = _drawn(options["id"], said) if options["format"] == "mermaid" else _tree(said)
        for line in lines:
            terminal.write(line)
        if options["format"] == "tree":
            told = ", ".join(f"{number} {status}" for status, number in sorted(tally(said).items()))
            terminal.write(f"Handlers: {told or 'none'}.")


def _tree(said: Sequence[Said], indent: str = "") -> Iterator[str]:
    for message in said:
        by = f" by {plain(message.by)}" if message.by else ""
        key = f" for {plain(message.key)}" if message.key else ""
        status = message.status or "came from elsewhere"
        yield f"{indent}{plain(message.topic)}{key}{by}  {status}  {plain(message.id)}"
        for one in message.handled:
            error = f": {one_line(one.error, 120)}" if one.error and one.status != "done" else ""
            yield f"{indent}  → {plain(one.consumer)}  {one.status}{error}"
            yield from _tree(one.then, f"{indent}      ")
        yield from _tree(message.then, f"{indent}    ")


def _drawn(title: str, said: Sequence[Said]) -> Iterator[str]:
    yield f"%% {label(title)}"
    yield "flowchart LR"
    yield from _Drawing().of(said, "")


class _Drawing:
    """Numbers what is drawn."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, said: Sequence[Said], after: str) -> Iterator[str]:
        """Draw messages behind ``after``."""
        for message in said:
            name = self._next("m")
            yield f'    {name}>"{label(message.topic)}"]'
            if after:
                yield f"    {after} --> {name}"
            for one in message.handled:
                yield from self._handler(one, name)
            yield from self.of(message.then, name)

    def _handler(self, one: Handled, message: str) -> Iterator[str]:
        name = self._next("h")
        yield f'    {name}["{label(one.consumer)} - {label(one.status)}"]'
        yield f"    {message} --> {name}"
        yield from self.of(one.then, name)

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"
