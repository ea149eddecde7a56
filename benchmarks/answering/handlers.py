"""What it does."""

from __future__ import annotations

from django_saga import Command, participant


@participant("bench.asked")
def answer(command: Command) -> dict[str, bool]:
    """Answer at once."""
    return {"ok": True}
