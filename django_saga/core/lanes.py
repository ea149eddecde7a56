"""Lanes: where a step that waits is claimed, written into the one column that claims look at.

A lane is an executor (``thread``, ``async``), or ``alone`` for a step that crashed twice. Nobody serves a
lane with a mark before it, so what is paused costs claims nothing, and keeps its lane to come back to:
``paused/thread`` while its saga is paused, ``held/thread`` while its definition or step name is.
"""

from __future__ import annotations

ALONE = "alone"
PAUSED = "paused/"
HELD = "held/"


def is_open(lane: str) -> bool:
    """True when workers serve ``lane``."""
    return "/" not in lane


def marked(lane: str, mark: str) -> str:
    """Give ``lane`` with ``mark``."""
    return lane if mark in lane else mark + lane
