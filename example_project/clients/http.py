"""One JSON call to another server: its answer, or an exception that says whether trying again can help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from django.conf import settings

from django_saga import OutcomeUnknown, PermanentFailure

# Client errors that speak of this moment rather than of the request: too slow, too early, too many.
WORTH_A_RETRY = frozenset({408, 425, 429})


class ServiceTrouble(OutcomeUnknown):
    """The server gave no usable answer; the call may have had its effect. Ask again, with the same key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whether it was content or not; ``body`` is None when it is no JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would arrive as a GET."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


# Without proxies: the services stand beside the site.
_opener = build_opener(ProxyHandler({}), _NoRedirects)


def call(
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str = "",
    timeout: timedelta,
) -> Answer:
    """Send one request and return the answer, of whatever status.

    Raises ``ServiceTrouble`` when there is none: no connection, a broken one, nothing within ``timeout``.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"not an http(s) URL: {url!r}")
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, headers, method=method)  # noqa: S310 (the scheme was checked)
    path = urlsplit(url).path  # and not the whole: what is said here may be shown to customers
    try:
        try:
            response = _opener.open(request, timeout=timeout.total_seconds())
        except HTTPError as refusal:
            response = refusal
        with response:
            return Answer(response.status, _decoded(response.read()), dict(response.headers.items()))
    except (OSError, HTTPException) as problem:
        raise ServiceTrouble(f"{method} {path}: {problem or type(problem).__name__}") from problem


def post(url: str, body: Mapping[str, Any], *, idempotency_key: str) -> dict[str, Any]:
    """Ask a service for something under ``idempotency_key`` and return its answer.

    Raises ``PermanentFailure`` when the service refuses, ``ServiceTrouble`` when trying again can help.
    """
    answer = call("POST", url, body, idempotency_key=idempotency_key, timeout=settings.SERVICE_TIMEOUT)
    if answer.status < 300 and isinstance(answer.body, dict):
        return answer.body
    path = urlsplit(url).path
    said = answer.body.get("error", "") if isinstance(answer.body, dict) else ""
    if 400 <= answer.status < 500 and answer.status not in WORTH_A_RETRY:
        raise PermanentFailure(said or f"POST {path}: refused with status {answer.status}")
    raise ServiceTrouble(f"POST {path}: status {answer.status} {said}".rstrip())


def find_out(base: str, *, reference: str, key: str) -> dict[str, Any] | None:
    """Ask the service at ``base`` what it answered to ``key``; None if nothing came of it, now or ever.

    Raises as ``post`` does.
    """
    answer = post(f"{base}/inquiries", {"reference": reference, "key": key}, idempotency_key=f"{key}:asked")
    found: dict[str, Any] | None = answer["answer"]
    return found


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
