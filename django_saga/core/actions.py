"""What operators do, by the names that the audit has for it."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """An action of an operator on a saga, on all sagas of a name, on a flow, a message or an approval."""

    CANCEL = "cancel"
    COMPENSATE = "compensate"
    RETRY_STEP = "retry step"
    RETRY_COMPENSATION = "retry compensation"
    SKIP_STEP = "skip step"
    SKIP_COMPENSATION = "skip compensation"
    MARK_DONE = "mark done"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE_CIRCUIT = "close circuit"
    FORK = "fork"
    MIGRATE = "migrate"
    FAIL_FLOW = "fail flow"
    REQUEUE_MESSAGE = "requeue message"
    DISCARD_MESSAGE = "discard message"
    APPROVE = "approve"
    REJECT = "reject"
