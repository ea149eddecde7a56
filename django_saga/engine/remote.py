"""What a step does that has another service act: sends a command, and looks for the reply.

The command is written with the note that the step waits, in one transaction, so it is sent if and only if
the step waits for its reply. The reply finds the step by an address that is signed, goes with the command and
comes back with the reply: it names the step, whether it acts or undoes, and the fence token of the attempt
that sent the command. So each command has its own reply, and none can be made up.

Invariant: at most one reply is taken for a command, and none for a command that the step does not wait for
any more. ``store.external.take`` has the step take it in the transaction that records what comes of it; one
that is late, or comes twice, lies at an address where nobody looks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core import signing

from django_saga.conf import get_settings
from django_saga.core import encoding
from django_saga.core.commands import (
    IDEMPOTENCY_KEY,
    REPLY_TO,
    REPLY_TOKEN,
    Answer,
    Reply,
    reply_address,
    reply_from,
    reply_topic,
    step_of,
)
from django_saga.core.messages import stored_id
from django_saga.core.spans import span
from django_saga.core.waits import WAITING
from django_saga.dsl import payloads
from django_saga.engine import ringing
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task
from django_saga.engine.waiting import NoReply, NotYet, Refused
from django_saga.exceptions import PermanentFailure
from django_saga.faults import fault_point
from django_saga.signals import message_event
from django_saga.store import clock, external, waiting

_SALT = "django_saga.reply"


def look(task: Task, context: Context) -> Any:
    """Send the command, or look for the reply; what that gives is the result."""
    wait = task.step.wait
    assert wait is not None
    assert wait.reply_timeout is not None
    command = wait.compensation if task.undo else wait.name
    if task.row.reason != WAITING:
        return _send(task, context, command, wait.reply_timeout)
    if (reply := _taken(task, task.waits_for)) is None:
        until = task.row.deadline_at
        assert until is not None
        if clock.now(task.using) < until:
            return NotYet(until=until, waits_for=task.waits_for, partial=not task.undo)
        return NoReply(f"{command} was not answered within {span(wait.reply_timeout)}")
    if reply.status is Answer.FAILED:
        return Refused(f"{command} failed: {reply.error}", declined=True)
    return reply.result


def _send(task: Task, context: Context, command: str, reply_timeout: timedelta) -> NotYet:
    address = reply_address(task.row.id, task.row.token, undo=task.undo)
    context.publish(
        command,
        task.program.do(task.row.name)(context),
        headers={
            IDEMPOTENCY_KEY: task.idempotency_key,
            REPLY_TO: reply_topic(get_settings().sender),
            REPLY_TOKEN: signing.Signer(salt=_SALT).sign(address),
        },
    )
    until = clock.now(task.using) + reply_timeout
    return NotYet(until=until, waits_for=address, partial=not task.undo, sends=True)


def _taken(task: Task, address: str) -> Reply | None:
    text = external.take(task.using, address, task.row.id)
    return None if text is None else reply_from(encoding.decode(text))


def take_reply(message: Any) -> None:
    """Keep a reply that came for the step that waits for it, and have that look; ``message``: see
    ``messaging.received``.

    One that nobody waits for any more is kept and told. Raises ``PermanentFailure`` for what is no reply to a
    command that was sent from here.
    """
    try:
        address = signing.Signer(salt=_SALT).unsign(message.headers.get(REPLY_TOKEN, ""))
    except signing.BadSignature:
        raise PermanentFailure(
            "it is forged, or no reply to a command of this project: the signature in its header "
            f"{REPLY_TOKEN} is not by this project's SECRET_KEY"
        ) from None
    try:
        reply = reply_from(message.payload)
    except ValueError as error:
        raise PermanentFailure(f"it is no reply: {error}") from None
    using, step_id = message.using, step_of(address)
    limit = get_settings().max_message_bytes
    text = payloads.encode(reply.to_data(), "reply", limit, "MAX_MESSAGE_BYTES")
    waits, step = waiting.waits_at(using, step_id, address)
    known_as = stored_id(message.source, message.id)  # of any length its sender liked
    event = external.NewEvent("reply", step, address, known_as, text)
    external.write(using, event)
    fault_point("reply.after_insert")
    if waits:
        ringing.after_commit(using, [address])
    else:
        message_event.send_robust(take_reply, event="reply_late", message=message, step=step)
