"""Steps that another service does: `reserve = remote("stock.reserve", compensation="stock.release", ...)`.

The step sends a command and waits for the reply. What the other side does is a participant, see
``messaging.participant``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django_saga import ports
from django_saga.conf import get_settings
from django_saga.core.commands import REPLY_CONSUMER, reply_topic
from django_saga.core.retry import Retry
from django_saga.core.states import Alternate, ForwardRecovery
from django_saga.core.waits import WaitDefinition, WaitKind
from django_saga.dsl.handler import Handler, handlers
from django_saga.dsl.step import Duration, Step
from django_saga.dsl.waits import Giving, Waiting


def remote(
    command: str,
    *,
    reply_timeout: Duration,
    compensation: str | None = None,
    payload: Callable[[Any], Any] | None = None,
    retry: Retry | None = None,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
    no_compensation: bool = False,
    pivot: bool = False,
    forward_recovery: ForwardRecovery | Alternate | None = None,
) -> Waiting:
    """Give a step that sends ``command`` to another service and waits for its reply; what that gives is the
    result.

    ``compensation``: the command that has the other side undo it. ``payload``: a function of the context that
    gives what both commands carry; by default the step's input. A command that failed for good fails the step
    for good. Without a reply within ``reply_timeout`` (seconds or ``timedelta``) nobody knows what happened:
    the command is sent again as ``retry`` says, with the same idempotency key, and then the saga turns back
    and has it undone. Raises ``TypeError`` for what is no function or no length of time.
    """
    if payload is not None and not callable(payload):
        raise TypeError(f"payload={payload!r}: give a function of the context, as in lambda ctx: ctx.input.")
    if isinstance(reply_timeout, bool) or not isinstance(reply_timeout, (int, float, timedelta)):
        raise TypeError(f"reply_timeout={reply_timeout!r}: give seconds or a timedelta.")
    wait = WaitDefinition(
        kind=WaitKind.REMOTE,
        name=command,
        compensation=compensation or "",
        reply_timeout=reply_timeout
        if isinstance(reply_timeout, timedelta)
        else timedelta(seconds=reply_timeout),
    )
    # Whoever sends commands takes replies.
    handlers.register(Handler(REPLY_CONSUMER, reply_topic(get_settings().sender), ports.take_reply))
    return Waiting(
        Giving(payload),
        wait,
        name=name,
        after=after,
        retry=retry,
        atomic=True,
        no_compensation=no_compensation,
        pivot=pivot,
        forward_recovery=forward_recovery,
    )
