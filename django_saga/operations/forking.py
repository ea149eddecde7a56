"""Having another saga go on in place of one, from one of its steps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.engine import announcing, forking
from django_saga.engine.handle import SagaHandle
from django_saga.engine.tasks import Recorded
from django_saga.models import SagaInstance
from django_saga.operations.access import By
from django_saga.operations.actions import carry_out


def fork(
    saga_id: UUID | str,
    from_step: str,
    *,
    input: Any = None,
    by: By,
    why: str = "",
    using: str | None = None,
) -> SagaHandle:
    """Have another saga go on in place of one, from one of its steps, with ``input`` or (None) the same one.

    It takes over what the original did before that step and beside it, its locks, its pause and its deadline.
    The original ends ``superseded``: it runs and undoes nothing any more. Gives the handle of the new saga.

    Raises ``OperationRefused`` (recorded) when the saga has ended, a step of it is in flight, the step was
    not reached, or something was done at it or behind it that would have to be undone; ``InvalidInput`` for
    an input that is none of the saga's; ``SagaNotFound`` when there is none.
    """
    using = using or get_settings().database
    done: list[forking.Forked] = []

    def go_on(using: str, saga: SagaInstance) -> tuple[Recorded, str]:
        forked = forking.fork(using, saga.pk, from_step, input, why=why)
        done.append(forked)
        return forked.recorded, f"as saga {forked.saga.id}"

    carry_out(Action.FORK, saga_id, go_on, step=from_step, by=by, why=why, using=using)
    [forked] = done
    announcing.started(using, forked.program, [forked.saga])
    return SagaHandle(forked.program, forked.saga.id, using)
