"""Placing a case: its row and its saga come to be in one transaction, or neither does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, transaction

from django_saga import SagaHandle
from example_project.cases.models import Case

C = TypeVar("C", bound=Case)


class KeyTaken(Exception):
    """The idempotency key belongs to another case, with other contents."""


def place(draft: C, start: Callable[[C], SagaHandle], *, key: str | None = None) -> tuple[C, bool]:
    """Save ``draft`` and start its saga by ``start``; give the case, and say whether it is a new one.

    The same ``key`` gives the case that was placed under it. Raises ``KeyTaken`` when that one asked for
    something else.
    """
    if key and (known := _placed_under(key, draft)):
        return _same(known, draft), False
    try:
        return _create(draft, start, key), True
    except IntegrityError:
        # Two callers with one key: the other one was faster. Without a key there is nothing to collide with.
        if not key or not (known := _placed_under(key, draft)):
            raise
        return _same(known, draft), False


@transaction.atomic
def _create(draft: C, start: Callable[[C], SagaHandle], key: str | None) -> C:
    draft.idempotency_key = key
    draft.save(force_insert=True)
    draft.saga_id = start(draft).id
    draft.save(update_fields=["saga_id"])
    return draft


def _placed_under(key: str, draft: C) -> C | None:
    return type(draft)._default_manager.filter(idempotency_key=key).first()


def _same(known: C, draft: C) -> C:
    if any(getattr(known, name) != getattr(draft, name) for name in draft.ASKED):
        raise KeyTaken
    return known
