"""How often a call to a service outside is tried; the services come and go within seconds."""

from __future__ import annotations

from django_saga import Retry

CALL = Retry(attempts=6, delay=0.5, max_delay=10)
# What is undone must not give up sooner than what is done.
UNDO_CALL = Retry(attempts=12, delay=0.5, max_delay=30)
