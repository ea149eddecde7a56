"""Worker rows: who is there, for people. Recovery never reads them."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django_saga.models import SagaWorker
from django_saga.store import clock


def announce(
    using: str, worker: UUID, *, state: str, queues: Sequence[str], definitions: Sequence[str]
) -> None:
    """Write that ``worker`` lives, what it serves and in which state it is."""
    now = clock.now(using)
    SagaWorker.objects.using(using).update_or_create(
        id=worker,
        defaults={"state": state, "queues": list(queues), "definitions": list(definitions), "seen_at": now},
        create_defaults={
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "state": state,
            "queues": list(queues),
            "definitions": list(definitions),
            "started_at": now,
            "seen_at": now,
        },
    )


def sweep(using: str, *, older_than: timedelta) -> int:
    """Delete rows of workers not seen for that long, so that restarts do not pile up."""
    gone, _ = SagaWorker.objects.using(using).filter(seen_at__lt=clock.now(using) - older_than).delete()
    return gone
