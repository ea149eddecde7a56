"""What a worker says on its terminal of messages: brokers that are away, handlers that fail."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from django_saga.observability import trouble
from django_saga.observability.trouble import line

logger = logging.getLogger("django_saga.worker")
# Brokers that are known to be away.
_away: set[str] = set()
# By consumer: topics that are left to workers with other code.
_left_to_others: dict[str, Sequence[str]] = {}


def tell(*, event: str, **facts: Any) -> None:
    """Log what happened to messages; a receiver of ``signals.message_event``."""
    _EVENTS[event](**facts)


def _broker_away(*, broker: str, error: BaseException, wait: float, **_: Any) -> None:
    # Told once: it is tried again for as long as it takes.
    if broker not in _away:
        _away.add(broker)
        logger.warning("broker %s is away, its messages wait: %s", broker, line(error))
    else:
        logger.debug("broker %s is still away; tried again in %.1f s: %s", broker, wait, line(error))


def _broker_back(*, broker: str, **_: Any) -> None:
    _away.discard(broker)
    logger.info("broker %s answers again", broker)


def _refused(*, message: Any, error: BaseException, due_at: Any, **_: Any) -> None:
    known = (message.message_id, message.topic, line(error))
    if due_at is None:
        logger.error("message %s for %s is dead: its broker refuses it: %s; see saga_requeue", *known)
    else:
        logger.warning("message %s for %s was refused: %s", *known)


def _failed(*, consumer: str, message: Any, error: BaseException, due_at: Any, **_: Any) -> None:
    logger.warning(
        "message %s of %s failed for %s, attempt %d: %s",
        message.message_id,
        message.topic,
        consumer,
        message.attempts + 1,
        line(error),
    )


def _dead(*, consumer: str, message: Any, error: BaseException, **_: Any) -> None:
    logger.error(
        "message %s of %s is dead for %s: %s; see saga_requeue",
        message.message_id,
        message.topic,
        consumer,
        line(error),
    )


def _flow_failed(*, consumer: str, message: Any, error: BaseException, **_: Any) -> None:
    logger.warning(
        "flow %s failed, what was done in it is undone: %s, at message %s of %s: %s; see saga_flow",
        message.flow,
        consumer,
        message.message_id,
        message.topic,
        line(error),
    )


def _abandoned(*, consumer: str, number: int, **_: Any) -> None:
    logger.error(
        "%d messages wait for %s, which no worker has in its code any more: they are dead; see saga_requeue",
        number,
        consumer,
    )


def _left(*, consumer: str, topics: Sequence[str], **_: Any) -> None:
    # Each thread finds it out; the process says it once.
    if _left_to_others.get(consumer) == topics:
        return
    _left_to_others[consumer] = topics
    logger.info("messages of %s for %s are left to workers with other code", ", ".join(topics), consumer)


def _hook_failed(*, consumer: str, error: BaseException, **_: Any) -> None:
    logger.error(
        "what a handler of %s had registered by transaction.on_commit failed, after the commit: %s",
        consumer,
        line(error),
    )


def _reply_late(*, message: Any, step: str, **_: Any) -> None:
    logger.warning("reply %s is ignored: step %s does not wait for it any more", message.id, step)


def _trouble(*, duty: str, error: BaseException, expected: bool, **_: Any) -> None:
    trouble.tell(duty, error, level=logging.WARNING if expected else logging.ERROR, traceback=not expected)


def _started(*, parts: Sequence[str], **_: Any) -> None:
    if parts:
        logger.info("process %d %s", os.getpid(), ", ".join(parts))


def _retired(**_: Any) -> None:
    logger.error("a worker leaves: a handler hangs past its timeout; its process is replaced")


_EVENTS: dict[str, Callable[..., None]] = {
    "broker_away": _broker_away,
    "broker_back": _broker_back,
    "message_refused": _refused,
    "message_failed": _failed,
    "message_dead": _dead,
    "flow_failed": _flow_failed,
    "abandoned": _abandoned,
    "left": _left,
    "hook_failed": _hook_failed,
    "reply_late": _reply_late,
    "trouble": _trouble,
    "started": _started,
    "retired": _retired,
}
