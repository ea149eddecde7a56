"""A mutation: what it breaks, where, and the test that has to notice."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """One replacement in one file."""

    path: str
    old: str
    new: str


class Mutation(NamedTuple):
    """A way to break the engine, and the test that turns red."""

    number: str
    what: str
    edits: tuple[Edit, ...]
    test: str
