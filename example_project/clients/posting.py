"""Asks the site for something, and again while it is not there: one that restarts is back in a moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from example_project.clients import http

TIMEOUT = timedelta(seconds=30)
# Waits between the tries: long enough for a site that is just restarting.
PAUSES = [timedelta(seconds=seconds) for seconds in (0.2, 0.5, 1, 2, 4)]


class NoAnswer(Exception):
    """The site cannot be reached, or fails: going on is of no use."""


def post_patiently(url: str, body: Mapping[str, Any], *, idempotency_key: str) -> http.Answer:
    """Post ``body`` and return the answer, be it a refusal; the key makes several tries harmless.

    Raises ``NoAnswer``.
    """
    for pause in [*PAUSES, None]:
        try:
            answer = http.call("POST", url, body, idempotency_key=idempotency_key, timeout=TIMEOUT)
        except http.ServiceTrouble as problem:
            trouble = str(problem)
        else:
            if answer.status < 500:
                return answer
            trouble = f"POST {url}: status {answer.status}"
        if pause is not None:
            time.sleep(pause.total_seconds())
    raise NoAnswer(trouble)
