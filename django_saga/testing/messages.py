"""The invariants of outbox and inbox, checked from their rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from django_saga.conf import get_settings
from django_saga.core.flows import FLOW_FAILED
from django_saga.core.messages import message_id
from django_saga.models import InboxMessage, OutboxMessage, OutboxStream


def assert_message_invariants(using: str | None = None) -> int:
    """Check every message in the database ``using``; give how many were checked.

    Raises ``AssertionError`` that lists each violation. Holds at any time for messages that nobody requeued.
    """
    using = using or get_settings().database
    wrong = [*_of_the_outbox(using), *_of_the_inbox(using)]
    if wrong:
        raise AssertionError(f"{len(wrong)} violations of message invariants:\n" + "\n".join(wrong))
    return OutboxMessage.objects.using(using).count() + InboxMessage.objects.using(using).count()


def _of_the_outbox(using: str) -> Iterator[str]:
    last = dict(OutboxStream.objects.using(using).values_list("name", "last_number"))
    rows = OutboxMessage.objects.using(using).exclude(stream=None).order_by("stream", "number")
    for stream, found in groupby(rows.defer("payload"), key=attrgetter("stream")):
        messages = list(found)
        numbers = [each.number for each in messages]
        # What was sent long ago is pruned: the numbers that are left have no gap, and end with the last.
        if numbers != list(range(numbers[0], last.get(stream, 0) + 1)):
            yield f"stream {stream} has the numbers {numbers}, and counts to {last.get(stream, 0)}"
        if [each.pk for each in messages] != sorted(each.pk for each in messages):
            yield f"stream {stream}: its ids do not rise with its numbers"
        source = get_settings().sender
        for each in messages:
            if each.message_id != message_id(source, stream, each.number):
                yield f"message {each.number} of {stream} has an id that is not made of its place"
        waits = next((each.number for each in messages if each.status == "pending"), None)
        passed = [each.number for each in messages if each.status == "published" and waits]
        if waits and any(number > waits for number in passed):
            yield f"stream {stream}: message {waits} was overtaken by {max(passed)}"


def _of_the_inbox(using: str) -> Iterator[str]:
    for row in InboxMessage.objects.using(using).defer("body", "traceback"):
        at_rest = row.status != InboxMessage.Status.WAITING
        if at_rest is (row.ended_at is None):
            yield f"message {row.message_id} of {row.consumer} is {row.status}, and ended at {row.ended_at}"
    yield from _of_failed_flows(using)


def _of_failed_flows(using: str) -> Iterator[str]:
    rows = InboxMessage.objects.using(using).defer("body", "traceback")
    told = {
        (row.consumer, row.correlation_id)
        for row in rows.filter(topic=FLOW_FAILED, status=InboxMessage.Status.DONE)
    }
    for row in rows.filter(status=InboxMessage.Status.DONE).exclude(result=None):
        flow = row.correlation_id or row.message_id
        if (row.consumer, flow) in told:
            yield f"message {row.message_id} of {row.consumer} has its effect, and its flow {flow} failed"
