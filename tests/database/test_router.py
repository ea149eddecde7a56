"""A project's database router has no say in where a saga's state is read: a replica may lag behind."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from django_saga import operations, runtime
from django_saga.engine import recovery
from django_saga.store import definitions
from tests.sagas.start_sagas import ChainSaga, EchoSaga, PausedSaga

pytestmark = [
    pytest.mark.fault("F40"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


class ReplicaRouter:
    """Sends reads of the app's tables to a replica, as a project may for its own, and notes which."""

    asked: ClassVar[list[str]] = []

    def db_for_read(self, model: type, **hints: Any) -> str | None:
        if model._meta.app_label != "django_saga":  # type: ignore[attr-defined]
            return None
        self.asked.append(f"read {model.__name__}")
        return "replica"  # there is none: whoever follows this advice fails

    def db_for_write(self, model: type, **hints: Any) -> str | None:
        if model._meta.app_label == "django_saga":  # type: ignore[attr-defined]
            self.asked.append(f"write {model.__name__}")
        return None


@pytest.fixture(autouse=True)
def router(settings):
    definitions.forget()  # or what was read before the router came would not be read again
    ReplicaRouter.asked.clear()
    settings.DATABASE_ROUTERS = [f"{__name__}.ReplicaRouter"]


def work() -> None:
    runtime.build_worker(using="default", once=True).run()


def test_the_router_is_one_that_projects_obey(settings):
    from django.db import router

    from django_saga.models import SagaStep

    assert router.db_for_read(SagaStep) == "replica"
    assert ReplicaRouter.asked == ["read SagaStep"]


def test_starting_carrying_reading_and_turning_back_ask_no_router(ledger):
    done = EchoSaga.start("x", idempotency_key="k")
    assert EchoSaga.start("x", idempotency_key="k") == done
    undone = ChainSaga.start({"fail": "third"})
    work()
    ran = EchoSaga.run("y")
    ledger.open("first")
    waiting = PausedSaga.start()
    waiting.cancel("changed my mind")
    operations.cancel(PausedSaga.start().id, by="ada", why="a test")
    assert recovery.reap("default", runtime.programs("default")) is None
    work()

    assert [saga.status for saga in (done, undone, ran, waiting)] == [
        "completed",
        "compensated",
        "completed",
        "compensated",
    ]
    assert (done.result(timeout=0), EchoSaga.get(ran.id).result(timeout=0)) == ("x", "y")
    assert ReplicaRouter.asked == []
