"""What commands share that change something: who does it, why, and the question before."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

_NOBODY = "manage.py"


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
