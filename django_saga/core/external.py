"""Events from outside: the address under which one that is sent meets a step that waits for it."""

from __future__ import annotations

import hashlib
from uuid import UUID

# As long as the columns that keep it.
MAX_ADDRESS_LENGTH = 200


def event_address(name: str, key: str) -> str:
    """Give where events of ``name`` for ``key`` and the steps that wait for one of them meet."""
    address = f"event:{name}:{key}"
    if len(address) <= MAX_ADDRESS_LENGTH:
        return address
    return f"event:{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def approval_address(step_id: UUID) -> str:
    """Give what a step that waits for a person is woken by."""
    return f"approval:{step_id}"


def words(address: str) -> str:
    """Say what is waited for at ``address``, for people."""
    kind, _, rest = address.partition(":")
    if kind == "event":
        name, _, key = rest.partition(":")
        return f"event {name} of {key}"
    if kind == "reply":
        return "reply to its command"
    if kind == "children":
        return "sagas it started" if not address.endswith(":undone") else "sagas it started to be undone"
    return "approval" if kind == "approval" else address
