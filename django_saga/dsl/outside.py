"""Steps that wait for the world outside: for an event that somebody sends, for a person who decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django_saga.conf import get_settings
from django_saga.core.states import Alternate, ForwardRecovery, GoOn, OnTimeout
from django_saga.core.waits import WaitDefinition, WaitKind
from django_saga.dsl import payloads
from django_saga.dsl.forms import require_form
from django_saga.dsl.step import Duration, Step
from django_saga.dsl.waits import Waiting
from django_saga.exceptions import EncodingError


class OfItself:
    """The function of a step that waits for an event of its own saga. Each step has another: ``after=[...]``
    of some forms tells steps by their functions.
    """

    def __call__(self, ctx: Any) -> Any:
        return ctx.saga_id


class Asking:
    """The function of a step that waits for a person: gives the form that is to be filled in."""

    def __init__(self, form: Any) -> None:
        self.form = form

    def __call__(self, ctx: Any) -> Any:
        return self.form


def wait_for_event(
    event: str,
    /,
    *,
    correlate: Callable[[Any], Any] | None = None,
    timeout: Duration | None = None,
    on_timeout: OnTimeout | GoOn = OnTimeout.FAIL,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
    pivot: bool = False,
    forward_recovery: ForwardRecovery | Alternate | None = None,
) -> Waiting:
    """Give a step that waits for an event that ``send_event`` sends; the payload is its result.

    ``correlate``: a function of the context that gives the key of the event that is meant; by default the
    saga's id. ``timeout`` (seconds or ``timedelta``) counts from when the step is opened; ``on_timeout`` says
    what happens then. An event that was sent before is found. Raises ``TypeError``
    for a ``correlate`` that is no function.
    """
    if correlate is not None and not callable(correlate):
        raise TypeError(f"correlate={correlate!r}: give a function of the context, as lambda ctx: ctx.input.")
    return Waiting(
        OfItself() if correlate is None else correlate,
        _wait(WaitKind.EVENT, event, on_timeout),
        name=name,
        after=after,
        deadline=timeout,
        atomic=True,
        pivot=pivot,
        forward_recovery=forward_recovery,
    )


def approval(
    permission: str,
    /,
    *,
    form: Any = None,
    timeout: Duration | None = None,
    on_timeout: OnTimeout | GoOn = OnTimeout.FAIL,
    name: str | None = None,
    after: Step | str | Iterable[Step | str] | None = None,
    pivot: bool = False,
    forward_recovery: ForwardRecovery | Alternate | None = None,
) -> Waiting:
    """Give a step that waits for a person with ``permission`` (``"shop.approve_refund"``) to approve.

    ``form`` is a Django form, a dataclass, a pydantic model or a serializer class, and what the person fills
    in; without one there is nothing to fill in. The result is ``{"approved_by": ..., "data": ...}``; a
    rejection is a permanent failure. ``timeout`` and ``on_timeout`` are as in ``wait_for_event``. Raises
    ``TypeError`` for a form that is none of these.
    """
    require_form(form)
    wait = _wait(WaitKind.APPROVAL, permission, on_timeout)
    return Waiting(
        Asking(form),
        wait,
        name=name,
        after=after,
        deadline=timeout,
        atomic=True,
        pivot=pivot,
        forward_recovery=forward_recovery,
    )


def _wait(kind: WaitKind, name: str, on_timeout: OnTimeout | GoOn) -> WaitDefinition:
    if not isinstance(on_timeout, GoOn):
        return WaitDefinition(kind=kind, name=name, on_timeout=on_timeout)
    try:
        result = payloads.encode(
            on_timeout.result, "result", get_settings().max_result_bytes, "MAX_RESULT_BYTES"
        )
    except EncodingError as error:
        raise TypeError(f"on_timeout=OnTimeout.GO_ON(...) cannot be stored: {error}") from error
    return WaitDefinition(kind=kind, name=name, on_timeout=OnTimeout.GO_ON, result=result)
