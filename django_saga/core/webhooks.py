"""Signatures of callbacks over HTTP, as Standard Webhooks has them: https://www.standardwebhooks.com

What is signed is ``<id>.<timestamp>.<body>``, by HMAC-SHA256 with a key that both sides have; it travels in
three headers. The reference library brings an HTTP client and a good deal more for these lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

ID_HEADER, TIME_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
# How far the sender's clock and the way may differ from ours, either way.
TOLERANCE = timedelta(minutes=5)
_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # of a key, in bytes, as the specification has it


def key_of(secret: str) -> bytes:
    """Give the key in ``whsec_<base64>``. Raises ``ValueError``, which does not say what the secret is."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a secret is {_PREFIX!r} and {_SHORTEST} to {_LONGEST} bytes in base64")
    return key


def sign(key: bytes, message_id: str, at: datetime, body: bytes) -> str:
    """Give the value of the signature's header."""
    return f"v1,{_digest(key, message_id, str(int(at.timestamp())), body)}"


def problem(
    keys: Sequence[bytes],
    *,
    message_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    now: Callable[[], datetime],
) -> str:
    """Say why a callback is not to be believed; nothing when it is. ``signatures``: several, by spaces, while
    a secret is being changed; one of them has to be by one of ``keys``.
    """
    if not (message_id and timestamp and signatures):
        return f"the headers {ID_HEADER}, {TIME_HEADER} and {SIGNATURE_HEADER} are needed"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        return f"{TIME_HEADER} is no number of seconds since 1970"
    given = [each.removeprefix("v1,").encode() for each in signatures.split(" ") if each.startswith("v1,")]
    known = [_digest(key, message_id, timestamp, body).encode() for key in keys]
    if not any(hmac.compare_digest(one, other) for one in given for other in known):
        return "the signature is not by a secret that is known here"
    # Only now: whoever is not known here has nothing looked up.
    if abs(now() - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        return f"{TIME_HEADER} is more than {TOLERANCE.seconds // 60} minutes off"
    return ""


def _digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
