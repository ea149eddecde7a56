"""The saga."""

from __future__ import annotations

from django_saga import Saga, remote


class AskingSaga(Saga):
    """One step, which another service does."""

    name = "bench.asking"

    asked = remote("bench.asked", reply_timeout=60, no_compensation=True)
