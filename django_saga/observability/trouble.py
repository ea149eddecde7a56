"""Errors of a worker's own, told once by each process: an outage says the same many times a second, in each
of its threads.
"""

from __future__ import annotations

import logging
import math
import time

logger = logging.getLogger("django_saga.worker")
# The same error is told again after this long, in seconds.
_QUIET = 30.0
_told: dict[str, float] = {}


def tell(who: str, error: BaseException, *, level: int = logging.WARNING, traceback: bool = False) -> None:
    """Tell of an error on one line, and not again while it lasts, whoever else of this process meets it."""
    text, now = line(error), time.monotonic()
    known = now - _told.get(text, -math.inf) < _QUIET
    if not known and level > logging.DEBUG:
        for old in [old for old, at in list(_told.items()) if now - at >= _QUIET]:
            _told.pop(old, None)
        _told[text] = now
    logger.log(
        logging.DEBUG if known else level,
        "%s: %s",
        who,
        text,
        exc_info=error if traceback and not known else None,
    )


def forget() -> None:
    """Tell of everything again: what was wrong is over."""
    _told.clear()


def line(error: BaseException) -> str:
    """Give an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
