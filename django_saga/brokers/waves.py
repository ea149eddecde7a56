"""Sends messages in waves, for brokers that confirm each of them: one message of each lane, then their word.

No later message of a lane is sent before the broker has the one before it. Lanes share waves, so that many
lanes cost no more waiting than one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from django_saga.core.messages import Message
from django_saga.core.wire import Parcel
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused, SagaError

# Sends messages of different lanes, and gives the broker's word for each.
Send = Callable[[Sequence[Message]], Sequence[SagaError | None]]


def too_large(
    parcels: Sequence[Parcel], limit: int, headers: int | None = None
) -> dict[int, SagaError | None]:
    """Refuse parcels larger than a broker takes, by their place; ``headers``: its limit for those alone."""
    most = limit if headers is None else headers
    return {
        at: MessageRefused(
            f"{each.size:,} bytes, {each.headers_size:,} of them headers; the broker takes {limit:,}"
            + (f", and {headers:,} of headers" if headers is not None else "")
        )
        for at, each in enumerate(parcels)
        if each.size > limit or each.headers_size > most
    }


def send_in_waves(messages: Sequence[Message], send: Send) -> list[SagaError | None]:
    """Send ``messages``, and give the broker's word for each as ``Broker.publish`` does."""
    receipts: list[SagaError | None] = [None] * len(messages)
    lanes: dict[str, deque[int]] = {}
    for at, message in enumerate(messages):
        lanes.setdefault(message.lane, deque()).append(at)
    while lanes:
        wave = [places.popleft() for places in lanes.values()]
        said = send([messages[at] for at in wave])
        for at, receipt in zip(wave, said, strict=True):
            receipts[at] = receipt
            if receipt is not None:
                for behind in lanes.pop(messages[at].lane):
                    receipts[behind] = MessageHeld(f"message {messages[at].id} before it was not sent")
        lanes = {lane: places for lane, places in lanes.items() if places}
        if all(isinstance(receipt, BrokerUnavailable) for receipt in said):
            # It took nothing: another wave would only wait for the same.
            for places in lanes.values():
                for at in places:
                    receipts[at] = said[0]
            break
    return receipts
