"""For tests of projects that use django-saga: what must hold whatever happened, and a clock to move."""

from django_saga.store.clock import shifted as shift_clock
from django_saga.testing.invariants import assert_saga_invariants

__all__ = ["assert_saga_invariants", "shift_clock"]
