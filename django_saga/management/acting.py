"""What commands share that change something: who does it, why, and the question before."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_saga.core.plain import plain
from django_saga.exceptions import SagaError

_NOBODY = "manage.py"
_TELL = 2.0  # seconds between words on how far it has come


def add_audit(parser: CommandParser, *, reason: str = "--reason") -> None:
    """Add who does it, and why."""
    parser.add_argument("--by", default="", metavar="NAME", help="who does it, for the audit (default: you)")
    parser.add_argument(reason, default="", metavar="TEXT", help="why, for the audit and the history")


def who(options: dict[str, Any]) -> str:
    """Give who does it: whom ``--by`` names, or the user of the operating system."""
    if options["by"]:
        return str(options["by"])
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return _NOBODY  # no such user, as in some containers


def confirm(question: str) -> None:
    """Ask, and go on only if the answer is yes. Raises ``CommandError`` else, and if nobody is there."""
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        raise CommandError("Nobody answered: give --dry-run to look, or --yes to do it.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.")


def do_each(command: BaseCommand, acts: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Do one thing after the other, and say of each that it was done, or why not. Raises ``CommandError``
    when any was refused.
    """
    refused = number = 0
    for done, act in acts:
        number += 1
        try:
            act()
        except SagaError as error:
            refused += 1
            command.stderr.write(plain(str(error)))
        else:
            command.stdout.write(done)
    if refused:
        raise CommandError(f"{refused} of {number} were refused.")


class Progress:
    """Says now and then how far something has come, if it takes long."""

    def __init__(self, command: BaseCommand) -> None:
        self._stderr = command.stderr
        self._next = time.monotonic() + _TELL

    def tell(self, words: Callable[[], str]) -> None:
        """Say ``words()``, if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL
            self._stderr.write(f"{words()} …")
