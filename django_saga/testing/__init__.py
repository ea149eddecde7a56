"""For tests of projects that use django-saga: sagas carried without a worker, faults, assertions, a clock.

Loaded on first use, so that pytest may import the plugin beside this in projects that do not use Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_saga.store.clock import shifted as shift_clock
    from django_saga.testing.asserting import (
        assert_compensated,
        assert_completed,
        assert_stuck,
        saga_steps,
    )
    from django_saga.testing.delivery import deliver_messages
    from django_saga.testing.invariants import assert_saga_invariants
    from django_saga.testing.lab import SagaLab
    from django_saga.testing.matrix import SagaCase, saga_matrix
    from django_saga.testing.messages import assert_message_invariants
    from django_saga.testing.telling import saga_story

__all__ = [
    "SagaCase",
    "SagaLab",
    "assert_compensated",
    "assert_completed",
    "assert_message_invariants",
    "assert_saga_invariants",
    "assert_stuck",
    "deliver_messages",
    "saga_matrix",
    "saga_steps",
    "saga_story",
    "shift_clock",
]

_HOME = {
    "SagaCase": "testing.matrix",
    "SagaLab": "testing.lab",
    "assert_compensated": "testing.asserting",
    "assert_completed": "testing.asserting",
    "assert_message_invariants": "testing.messages",
    "assert_saga_invariants": "testing.invariants",
    "assert_stuck": "testing.asserting",
    "deliver_messages": "testing.delivery",
    "saga_matrix": "testing.matrix",
    "saga_steps": "testing.asserting",
    "saga_story": "testing.telling",
}


def __getattr__(name: str) -> Any:
    if name == "shift_clock":
        value = import_module("django_saga.store.clock").shifted
    elif name in _HOME:
        value = getattr(import_module(f"django_saga.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
