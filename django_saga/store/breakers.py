"""Circuit breakers: what became of attempts, noted at the step's gate.

Noted after the outcome's own commit, in a transaction that takes the gate alone: a note that a crash takes
with it costs a failure that is not counted, and never an outcome.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from django_saga.core.limits import Breaker
from django_saga.core.retry import as_timedelta
from django_saga.models import SagaGate
from django_saga.store import clock, limits


def failed(using: str, saga: str, step: str, breaker: Breaker, claimed: list[datetime]) -> None:
    """Count failed attempts (when each was claimed): enough of them open the circuit, a failed trial
    anew.
    """
    with transaction.atomic(using=using):
        gate = limits.locked(using, [(saga, step)])[step]
        now = clock.now(using)
        since = now.timestamp() - as_timedelta(breaker.within).total_seconds()
        counted = [at for at in gate.failures if at > since] + [now.timestamp()] * len(claimed)
        gate.failures = counted[-breaker.failures :]
        if gate.open_until is None:
            if len(counted) >= breaker.failures:
                gate.opened_at, gate.open_until = now, now + as_timedelta(breaker.open_for)
        elif gate.probed_at is not None and max(claimed) >= gate.probed_at:
            gate.open_until = now + as_timedelta(breaker.open_for)
        gate.save(using=using, update_fields=["failures", "opened_at", "open_until"])


def answered(using: str, saga: str, step: str, claimed_at: datetime) -> None:
    """Close the circuit if the attempt that got an answer was a trial of it."""
    tried = SagaGate.objects.using(using).filter(
        saga=saga, step=step, open_until__isnull=False, probed_at__lte=claimed_at
    )
    tried.update(failures=[], opened_at=None, open_until=None, probed_at=None)
