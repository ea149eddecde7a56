"""Flows without a conductor: a handler says that one failed, and every consumer undoes what it did in it.

Who took part is known to nobody: messages fan out, and come late. So the failure is one more message, to all,
and each consumer undoes what its own inbox says it did, in one transaction with the mark that it heard
(``store.flows`` says why nothing slips through between the two). Consumers do so beside each other: what one
service wrote, no other one reads, but by messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync

from django_saga.conf import get_settings
from django_saga.core import encoding, envelope
from django_saga.core.flows import COMPLETED, CONTEXT, FLOW_FAILED, FlowFailure, goes_forward
from django_saga.core.messages import CAUSATION, CONSUMER, CORRELATION, TRACE
from django_saga.dsl import payloads
from django_saga.dsl.handler import Handler, handlers
from django_saga.engine import publishing
from django_saga.exceptions import HandlerMissing, InvalidMessage, NothingToUndo
from django_saga.faults import fault_point
from django_saga.messaging.received import Received
from django_saga.models import InboxMessage
from django_saga.store import clock, flows


def handler_for(consumer: str, topic: str) -> Handler | None:
    """Give what a consumer does with messages of a topic. One that has compensations hears of flows that
    failed also without a handler for that, and undoes its part before its own handler is called.
    """
    found = handlers.get(consumer, topic)
    if topic != FLOW_FAILED or not handlers.compensates(consumer):
        return found

    def hear(received: Received) -> None:
        turn_back(received, consumer)
        if found is not None:
            called(found.function, received)

    return replace(found, function=hear) if found else Handler(consumer, topic, hear)


def called(function: Callable[..., Any], *given: Any) -> Any:
    """Call what may be ``async def``."""
    return async_to_sync(function)(*given) if iscoroutinefunction(function) else function(*given)


def keep(using: str, row_id: int, handler: Handler, result: object) -> None:
    """Keep what a handler returned for its compensation. Raises ``EncodingError``."""
    limit = get_settings().max_result_bytes
    text = payloads.encode(result, f"what {handler.path} returned", limit, "MAX_RESULT_BYTES")
    flows.keep(using, row_id, text)


def say(using: str, correlation_id: str, failure: FlowFailure, cause: Mapping[str, str]) -> UUID:
    """Tell all consumers, in the open transaction, that a flow failed; give the message's id.

    ``cause``: the headers of the message whose handler said so.
    """
    carried = {name: cause[name] for name in (*TRACE, COMPLETED, CONTEXT) if name in cause}
    headers = {CORRELATION: correlation_id, CAUSATION: failure.message_id, CONSUMER: failure.consumer}
    known = {name: value for name, value in headers.items() if value}
    try:
        return _publish(using, correlation_id, failure, {**carried, **known})
    except InvalidMessage:
        # It has no room for what was given along. Better to be told without.
        return _publish(using, correlation_id, failure, known)


def _publish(using: str, correlation_id: str, failure: FlowFailure, headers: Mapping[str, str]) -> UUID:
    return publishing.publish(
        FLOW_FAILED, failure.to_data(), key=correlation_id, headers=headers, using=using
    )


def turn_back(received: Received, consumer: str) -> None:
    """Undo what a consumer did in the flow of a failure it hears of, the latest first, in the open
    transaction. What waits or is dead is refused.

    Raises what a compensation raises, ``HandlerMissing`` when one is not in this code any more.
    """
    using = received.using
    late = []
    for row in flows.locked(using, consumer, received.correlation_id):
        if row.status == InboxMessage.Status.DONE:
            if row.result is not None:
                _undo(row, consumer, using)
        elif row.body is not None and _is_late(row, consumer):
            late.append(row.pk)
    flows.refuse(using, late, clock.now(using))


def _is_late(row: InboxMessage, consumer: str) -> bool:
    handler = handlers.get(consumer, row.topic)
    if handler is not None and handler.answers:
        return False
    return goes_forward(row.topic, envelope.read(bytes(row.body or b"")).headers)


def _undo(row: InboxMessage, consumer: str, using: str) -> None:
    handler = handlers.get(consumer, row.topic)
    if handler is None or handler.compensation is None:
        raise HandlerMissing(
            f"consumer {consumer} has no compensation for {row.topic} in this code, and message "
            f"{row.message_id} is to be undone"
        )
    message = envelope.read(bytes(row.body or b""))
    original = Received(
        message, handler, attempt=row.attempts + 1, using=using, known_as=row.message_id, undoes=True
    )
    fault_point("flow.before_undo")
    with suppress(NothingToUndo):
        called(handler.compensation, original, encoding.decode(row.result or "null"))
    flows.undone(using, row.pk, clock.now(using))
    fault_point("flow.after_undo")


def failed_among(using: str, consumer: str, correlation_ids: Collection[str]) -> set[str]:
    """Give those flows whose messages a consumer refuses: they failed, and it can undo its part in them."""
    return flows.failed_among(using, consumer, correlation_ids) if handlers.compensates(consumer) else set()
