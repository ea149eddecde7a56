"""A saga that tests compose at run time, and its actions."""

from __future__ import annotations

from typing import Any

from django_saga import ComposedSaga, PermanentFailure, Retry, RetryLater, action
from tests.ledger import effect, external, wait_at_gate

ONCE = Retry(attempts=1)


@action(atomic=True, retry=ONCE)
def reserve(ctx: Any) -> Any:
    effect(ctx.idempotency_key)
    return {"id": 7, "for": ctx.input}


@reserve.compensation(atomic=True)
def release(ctx: Any) -> None:
    effect(ctx.idempotency_key, "undo")


@action("call", retry=ONCE)
def call_someone(ctx: Any) -> Any:
    external(ctx.idempotency_key, note=repr(ctx.input))
    return {"called": ctx.input}


@call_someone.compensation
def call_back(ctx: Any) -> None:
    external(ctx.idempotency_key, "undo", note=repr(ctx.input))


@action(no_compensation=True, retry=ONCE)
def wait(ctx: Any) -> None:
    external(ctx.idempotency_key)
    wait_at_gate("composed")


@action(no_compensation=True)
async def look(ctx: Any) -> Any:
    return ctx.input


@action(no_compensation=True)
def later(ctx: Any) -> None:
    raise RetryLater(3600)


@action(no_compensation=True)
def refuse(ctx: Any) -> None:
    external(ctx.idempotency_key)
    raise PermanentFailure("no")


class ComposedTestSaga(ComposedSaga):
    """What tests compose."""

    actions = (reserve, call_someone, wait, look, later, refuse)
