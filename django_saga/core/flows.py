"""Flows: what messages carry of the business they belong to, and how a flow that failed is told of.

A flow is all that came of one first message, across services, with nobody who directs it. Its correlation id
is the id of that message, or of the saga that published it. Header names are as the registered CloudEvents
extensions are written: lower case, no separators.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from django_saga.exceptions import MalformedMessage

# The topic on which every service of a flow hears that it failed.
FLOW_FAILED = "saga.flow.failed"
# Headers: who has done their part so far, what was given along, and that it tells of turning back.
COMPLETED = "sagacompleted"
CONTEXT = "sagacontext"
TURNED = "sagaturned"


def goes_forward(topic: str, headers: Mapping[str, str]) -> bool:
    """True for what belongs to the business of a flow; False for what tells of its end.

    ``topic``: that by which it came; what a foreign message says of its type may be another one.
    """
    return topic != FLOW_FAILED and TURNED not in headers


def completed_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Name the consumers that did their part before this message. Raises ``MalformedMessage``."""
    names = _read(headers, COMPLETED, "[]")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise MalformedMessage(f"header {COMPLETED} is no JSON array of names")


def context_in(headers: Mapping[str, str]) -> dict[str, Any]:
    """Give what was given along. Raises ``MalformedMessage``."""
    context = _read(headers, CONTEXT, "{}")
    if isinstance(context, dict):
        return context
    raise MalformedMessage(f"header {CONTEXT} is no JSON object")


def _read(headers: Mapping[str, str], name: str, default: str) -> Any:
    try:
        return json.loads(headers.get(name) or default)
    except (ValueError, RecursionError):
        return None


class FlowFailure(NamedTuple):
    """Who says that a flow failed, and why. ``message_id``, ``topic``: of the message that was handled;
    empty when a person said it.
    """

    consumer: str
    error_class: str
    error: str
    message_id: str = ""
    topic: str = ""

    def to_data(self) -> dict[str, str]:
        """Give the payload of the message."""
        return self._asdict()
