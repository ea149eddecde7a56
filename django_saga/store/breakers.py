"""Circuit breakers: what became of attempts, noted at the step's gate.

Noted after the outcome's own commit, in a transaction that takes the gate alone: a note that a crash takes
with it costs a failure that is not counted, and never an outcome.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from django_saga.core.limits import Breaker
from django_saga.core.retry import as_timedelta
from django_saga.models import SagaGate
from django_saga.store import clock, limits

_CLOSED: dict[str, Any] = {"failures": [], "opened_at": None, "open_until": None, "probed_at": None}


def failed(using: str, saga: str, step: str, breaker: Breaker, claimed: list[datetime]) -> datetime | None:
    """Count failed attempts (when each was claimed): enough of them open the circuit, a failed trial
    anew. Give until when it is open, if it was closed before: of all who count, one is told.
    """
    opened = None
    with transaction.atomic(using=using):
        gate = limits.locked(using, [(saga, step)])[step]
        now = clock.now(using)
        since = now.timestamp() - as_timedelta(breaker.within).total_seconds()
        counted = [at for at in gate.failures if at > since] + [now.timestamp()] * len(claimed)
        gate.failures = counted[-breaker.failures :]
        if gate.open_until is None:
            if len(counted) >= breaker.failures:
                gate.opened_at, gate.open_until = now, now + as_timedelta(breaker.open_for)
                opened = gate.open_until
        elif gate.probed_at is not None and max(claimed) >= gate.probed_at:
            gate.open_until = now + as_timedelta(breaker.open_for)
        gate.save(using=using, update_fields=["failures", "opened_at", "open_until"])
    return opened


def answered(using: str, saga: str, step: str, claimed_at: datetime) -> bool:
    """Close the circuit if the attempt that got an answer was a trial of it; True if it was."""
    return bool(_open(using, saga, step).filter(probed_at__lte=claimed_at).update(**_CLOSED))


def close(using: str, saga: str, step: str) -> bool:
    """Close the circuit; False if it is not open."""
    return bool(_open(using, saga, step).update(**_CLOSED))


def _open(using: str, saga: str, step: str) -> QuerySet[SagaGate]:
    return SagaGate.objects.using(using).filter(saga=saga, step=step, open_until__isnull=False)
