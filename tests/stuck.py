"""Sagas that get stuck: ``order`` on its way back, ``sent`` past its pivot; ``world`` says what fails."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from django_saga import PermanentFailure, Retry, Saga, step
from django_saga.dsl.registry import registry

World = dict[str, str | None]


@pytest.fixture
def world() -> World:
    """What the bank and the van say; None: it works."""
    return {"refund": "the bank is closed", "tell": "nobody is there"}


@pytest.fixture
def sagas(world: World) -> Iterator[SimpleNamespace]:
    """Both, and no others."""

    def say(name: str, ctx: Any, error: type[Exception]) -> None:
        if told := world[name]:
            raise error(told.format(saga=ctx.saga_id))

    with registry.isolated():

        class OrderSaga(Saga):
            @step
            def charge(self, ctx: Any) -> None:
                pass

            @charge.compensation(retry=Retry(attempts=1))
            def refund(self, ctx: Any) -> None:
                say("refund", ctx, RuntimeError)

            @step(no_compensation=True)
            def ship(self, ctx: Any) -> None:
                raise PermanentFailure("no parcels today")

        class SentSaga(Saga):
            @step
            def pack(self, ctx: Any) -> None:
                pass

            @pack.compensation
            def unpack(self, ctx: Any) -> None:
                pass

            @step(pivot=True, no_compensation=True)
            def send(self, ctx: Any) -> None:
                pass

            @step(no_compensation=True)
            def tell(self, ctx: Any) -> dict[str, Any]:
                say("tell", ctx, PermanentFailure)
                return {"told": True}

            @step(no_compensation=True)
            def close(self, ctx: Any) -> Any:
                return ctx.results.get("tell")

        yield SimpleNamespace(order=OrderSaga, sent=SentSaga)


@pytest.fixture
def order(sagas: SimpleNamespace) -> type[Saga]:
    """The saga that gets stuck on its way back."""
    order: type[Saga] = sagas.order
    return order


@pytest.fixture
def sent(sagas: SimpleNamespace) -> type[Saga]:
    """The saga that gets stuck past its pivot."""
    sent: type[Saga] = sagas.sent
    return sent
