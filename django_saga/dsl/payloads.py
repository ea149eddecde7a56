"""How much a stored value may hold: settings, and what the database takes."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from django.db import connections

from django_saga.conf import get_settings
from django_saga.core import encoding


def encode(plain: Any, name: str, max_bytes: int, setting: str) -> str:
    """Give ``plain`` as JSON text. Raises ``EncodingError`` that names ``name``, and for what is too large
    the ``setting``.
    """
    max_depth, depth_from = get_settings().max_depth, "setting MAX_DEPTH"
    deepest = _deepest(get_settings().database)
    if max_depth > deepest:
        max_depth, depth_from = deepest, "the limit of MariaDB"
    return encoding.encode(
        plain, max_bytes=max_bytes, max_depth=max_depth, name=name, setting=setting, depth_from=depth_from
    )


@cache  # each thread has connections of its own, and finding them takes longer than the rest
def _deepest(using: str) -> int:
    # MariaDB checks its JSON columns by JSON_VALID, which says no from 32 levels on; a tag is one.
    return 30 if connections[using].vendor == "mysql" else sys.maxsize
