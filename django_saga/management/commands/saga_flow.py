"""``manage.py saga_flow``: what came of a saga's or a first message's publishing, as a tree or as Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations

from django_saga import operations
from django_saga.core.mermaid import label
from django_saga.core.plain import one_line, plain
from django_saga.exceptions import SagaError
from django_saga.management.saga_command import SagaCommand
from django_saga.management.terminal import Terminal, colour_wanted
from django_saga.observability.flow import Line, Said, flow, tally, walk

_DEEPEST = 20  # further in there is no room for the words


class Command(SagaCommand):
    help = (
        "Show the messages that came of one beginning: who handled each, and what followed from that. "
        "Have a flow that cannot go on undone."
    )
    epilog = """
examples:
  saga_flow 01a2195b-cdef-7c68-9485-535f84a7ea56
  saga_flow 01a2195b-cdef-7c68-9485-535f84a7ea56 --format mermaid > flow.mmd
  saga_flow 01a2195b-cdef-7c68-9485-535f84a7ea56 --fail --by ann --reason "the supplier is gone"
"""

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
        parser.add_argument(
            "--fail",
            action="store_true",
            help="tell all consumers that it failed: who has a compensation undoes its part",
        )
        parser.add_argument("--by", default="", metavar="NAME", help="who does it, for the audit")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why it failed")
        super().add_arguments(parser)

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        if options["fail"]:
            self._fail(options)
            return
        lines = walk(flow(options["database"], options["id"]))
        if not lines:
            raise CommandError(f"No message has the correlation id {plain(options['id'])!r} or that id.")
        terminal = Terminal(self.stdout, colour=colour_wanted(options))
        for line in _drawn(options["id"], lines) if options["format"] == "mermaid" else _tree(lines):
            terminal.write(line)
        if options["format"] == "tree":
            told = ", ".join(f"{number} {status}" for status, number in sorted(tally(lines).items()))
            terminal.write(f"Handlers: {told or 'none'}.")

    def _fail(self, options: dict[str, Any]) -> None:
        if not options["by"] or not options["reason"].strip():
            raise CommandError("Say who does it and why: --by NAME --reason TEXT.")
        try:
            operations.fail_flow(
                options["id"], by=options["by"], why=options["reason"], using=options["database"]
            )
        except SagaError as error:
            raise CommandError(plain(str(error))) from None
        self.stdout.write("All consumers are told. saga_flow shows what each of them undoes.")


def _tree(lines: Sequence[Line]) -> Iterator[str]:
    for depth, about, _after in lines:
        indent = "  " * min(depth, _DEEPEST)
        if isinstance(about, Said):
            by = f" by {plain(about.by)}" if about.by else ""
            key = f" for {plain(about.key)}" if about.key else ""
            status = about.status or "came from elsewhere"
            yield f"{indent}{plain(about.topic)}{key}{by}  {status}  {plain(about.id)}"
        else:
            error = f": {one_line(about.error, 120)}" if about.error and about.status != "done" else ""
            yield f"{indent}→ {plain(about.consumer)}  {about.status}{error}"


def _drawn(title: str, lines: Sequence[Line]) -> Iterator[str]:
    yield f"%% {label(title)}"
    yield "flowchart LR"
    names = [f"{'m' if isinstance(line.about, Said) else 'h'}{at}" for at, line in enumerate(lines, start=1)]
    for name, (_depth, about, after) in zip(names, lines, strict=True):
        if isinstance(about, Said):
            yield f'    {name}>"{label(about.topic)}"]'
        else:
            yield f'    {name}["{label(about.consumer)} - {label(about.status)}"]'
        if after is not None:
            yield f"    {names[after]} --> {name}"
