"""Lanes: where a step that waits is claimed, written into the one column that claims look at.

A lane is an executor (``thread``, ``async``), or ``alone`` for a step that crashed twice. Nobody serves a
lane with a mark before it, so what is paused costs claims nothing, and keeps its lane to come back to:
``paused/thread`` while its saga is paused, ``held/thread`` while its definition or step name is.

Steps that are limited stand in lanes of their own, ``thread#5f3a9c01``: each is claimed through its gate, and
however many wait there, no other claim has to pass them.
"""

from __future__ import annotations

import hashlib

ALONE = "alone"
PAUSED = "paused/"
HELD = "held/"


def is_open(lane: str) -> bool:
    """True when workers serve ``lane``."""
    return "/" not in lane


def gate_key(saga: str, step: str) -> str:
    """Give what follows the executor in the lane of a limited step; without ``step``, of all of ``saga``."""
    return "#" + hashlib.sha256(f"{saga}/{step}".encode()).hexdigest()[:8]


def is_limited(lane: str) -> bool:
    """True when ``lane`` is claimed through a gate."""
    return "#" in lane


def split(lane: str) -> tuple[str, str]:
    """Give the executor of ``lane``, and its gate's key (empty: it has none)."""
    executor, sign, key = lane.partition("#")
    return executor, sign + key


def marked(lane: str, mark: str) -> str:
    """Give ``lane`` with ``mark``."""
    return lane if mark in lane else mark + lane
