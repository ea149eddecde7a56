"""A process that starts sagas for as long as it is let, whatever becomes of the database; or judges them.

``python -m tests.worker.under_load start FILE``: starts sagas one after the other and notes each in ``FILE``
once its commit was acknowledged, until the gate ``enough`` is open. ``… judge FILE``: waits for all sagas to
end, checks the invariants and prints what became of those in ``FILE``.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import django
from django.db import DatabaseError, InterfaceError, connection


def start(acknowledged: Path) -> None:
    """Start sagas, every fifth of which turns back."""
    from tests.ledger import is_open
    from tests.sagas.worker_sagas import WorkerChain

    number = 0
    with acknowledged.open("w", buffering=1) as notes:
        while not is_open("enough"):
            number += 1
            try:
                saga = WorkerChain.start({"ship": "permanent"} if number % 5 == 0 else {})
            except (DatabaseError, InterfaceError):
                connection.close()
                time.sleep(0.02)
            else:
                notes.write(f"{saga.id}\n")


def judge(acknowledged: Path) -> None:
    """Say what became of the sagas that were acknowledged, and how often effects happened."""
    from django_saga.core.states import LIVE_SAGA
    from django_saga.models import SagaInstance
    from django_saga.testing import assert_saga_invariants
    from tests.ledger import effects
    from tests.processes import wait_until

    wait_until(lambda: not SagaInstance.objects.filter(status__in=LIVE_SAGA).exists(), timeout=60)
    assert_saga_invariants()
    found = {str(key): status for key, status in SagaInstance.objects.values_list("id", "status")}
    became = Counter(found.get(key, "missing") for key in acknowledged.read_text().split())
    print(json.dumps({"became": became, "effects": sorted(set(effects().values()))}))


if __name__ == "__main__":
    django.setup()
    {"start": start, "judge": judge}[sys.argv[1]](Path(sys.argv[2]))
