"""The signs of what becomes of messages."""

from __future__ import annotations

from django_saga.core import shapes
from django_saga.core.shapes import Shape

_SHAPES = {
    "pending": Shape("▷", ">", shapes.QUIET),
    "waiting": Shape("▷", ">", shapes.QUIET),
    "published": Shape("✔", "+", shapes.GOOD),
    "done": Shape("✔", "+", shapes.GOOD),
    "dead": Shape("✖", "x", shapes.BAD),
    "failed": Shape("✖", "x", shapes.BAD),
    "discarded": Shape("■", "#", shapes.BACK),
    "refused": Shape("■", "#", shapes.BACK),
    "undone": Shape("↩", "<", shapes.BACK),
}


def shape_of(status: str) -> Shape:
    """Give the sign of a message's status."""
    return _SHAPES[status]
