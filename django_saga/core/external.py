"""Events from outside: how they are named, and the address under which one that is sent meets a step that
waits for it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from uuid import UUID

MAX_NAME_LENGTH = 100
MAX_KEY_LENGTH = 200
# As long as the columns that keep it.
MAX_ADDRESS_LENGTH = 200
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def name_problem(name: object) -> str:
    """Say why ``name`` cannot be the name of an event; nothing when it can."""
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name):
        return ""
    return (
        f"{name!a:.80} cannot be the name of an event: use up to {MAX_NAME_LENGTH} letters, digits, "
        '"_", "." and "-"'
    )


def key_text(key: Any) -> str:
    """Give ``key`` as text: a whole number and a UUID stand for their digits. Raises ``ValueError``."""
    text = str(key) if isinstance(key, UUID) or type(key) is int else key
    if isinstance(text, str) and 0 < len(text) <= MAX_KEY_LENGTH and not _UNSTORABLE.search(text):
        return text
    raise ValueError(
        f"the key of an event has to be text of 1 to {MAX_KEY_LENGTH} characters without NUL and lone "
        f"surrogates, a whole number or a UUID, not {key!a:.80}"
    )


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
    if kind == "children":
        return "sagas it started" if not address.endswith(":undone") else "sagas it started to be undone"
    return "approval" if kind == "approval" else address
