"""Commands to other services and the replies to them: what they carry, and how a reply is told apart.

A command is a message whose headers say how to answer it. Whoever answers publishes to the topic of its
header ``replyto`` and gives back ``replytoken`` as it came. Header names are as the registered CloudEvents
extensions are written: lower case, no separators.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django_saga.core.names import MAX_NAME_LENGTH

IDEMPOTENCY_KEY = "idempotencykey"  # ``<saga id>:<step>:do`` or ``:undo``, the same however often it is sent
REPLY_TO = "replyto"
REPLY_TOKEN = "replytoken"  # noqa: S105
# Who takes the replies in a project that sends commands.
REPLY_CONSUMER = "django_saga.replies"
# What topics of replies end with: a command cannot have its answer sent anywhere else.
REPLIES = ".replies"


class Answer(StrEnum):
    """How a command ended. A failed one has had no effect."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Reply(NamedTuple):
    """What came back: the result of a command that succeeded, the error of one that failed."""

    status: Answer
    result: Any = None
    error: str = ""

    def to_data(self) -> dict[str, Any]:
        """Give the payload of the message."""
        if self.status is Answer.SUCCEEDED:
            return {"status": self.status.value, "result": self.result}
        return {"status": self.status.value, "error": self.error}


def reply_from(data: Any) -> Reply:
    """Read the payload of a reply. Raises ``ValueError``, which says what is wrong with it."""
    if not isinstance(data, Mapping):
        raise ValueError("it is no JSON object")
    given = data.get("status")
    if given not in list(Answer):
        known = " or ".join(repr(each.value) for each in Answer)
        raise ValueError(f"its status is {given!a:.40}, not {known}")
    status = Answer(str(given))
    if status is Answer.SUCCEEDED:
        return Reply(status, data.get("result"))
    return Reply(status, error=str(data.get("error") or "no reason given"))


def reply_topic(source: str) -> str:
    """Give the topic that replies to ``source`` come by, the same in all of its processes."""
    name = re.sub("[^A-Za-z0-9_-]+", ".", source).strip(".")
    if len(name) + len(REPLIES) > MAX_NAME_LENGTH or not name:
        name = hashlib.sha256(source.encode()).hexdigest()
    return f"{name}{REPLIES}"


def reply_address(step_id: UUID, token: int, *, undo: bool) -> str:
    """Give where the reply to a command and the step that sent it meet. ``token``: the step's fence when it
    was sent, so that each command has another address.
    """
    return f"reply:{step_id}:{'undo' if undo else 'do'}:{token}"


def step_of(address: str) -> UUID:
    """Give the step that sent the command. Raises ``ValueError`` for what is no such address."""
    kind, step_id, *_ = address.split(":")
    if kind != "reply":
        raise ValueError(f"{address!a:.80} is no address of a reply")
    return UUID(step_id)
