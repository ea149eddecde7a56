"""Priorities: who begins first, and that nobody waits for ever."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from django_saga import InvalidInput, step
from django_saga.core.problem import Problem
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga
from django_saga.models import SagaEvent, SagaStep
from django_saga.store import claims
from django_saga.testing import SagaLab, assert_saga_invariants, shift_clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sagas():
    with registry.isolated():

        class MailSaga(Saga):
            @step(deadline=30, no_compensation=True)
            def send(self, ctx): ...

        class AlarmSaga(MailSaga):
            name = "alarm"
            priority = 5

        yield MailSaga, AlarmSaga
        assert_saga_invariants()


def order() -> list[UUID]:
    """The sagas in the order in which workers would take them, one at a time."""
    found: list[UUID] = []
    while rows := claims.claim(
        "default",
        owner=uuid4(),
        queue="default",
        executor="thread",
        definitions=list(set(SagaStep.objects.values_list("definition_id", flat=True))),
        limit=1,
        lease=timedelta(hours=9),
    ):
        found += [row.saga_id for row in rows]
    return found


def test_of_those_that_wait_the_one_with_the_higher_priority_begins_first(sagas):
    MailSaga, AlarmSaga = sagas
    plain = MailSaga.start()
    low, high = MailSaga.start(priority=1), MailSaga.start(priority=9)
    alarm, calm = AlarmSaga.start(), AlarmSaga.start(priority=0)
    [many] = MailSaga.bulk_start([{}], priority=7)

    assert order() == [saga.id for saga in (high, many, alarm, low, plain, calm)]


def test_nobody_waits_behind_sagas_that_come_later_than_their_head_start(sagas):
    plain = sagas[0].start()
    with shift_clock(timedelta(minutes=4)):
        before = sagas[0].start(priority=5)
    with shift_clock(timedelta(minutes=6)):
        behind = sagas[0].start(priority=5)

        assert order() == [before.id, plain.id, behind.id]


def test_a_head_start_takes_nothing_off_a_deadline_and_begins_nothing_before_its_time(sagas):
    with SagaLab() as lab:
        saga, later = sagas[0].start(priority=100), sagas[0].start(priority=100, run_at=timedelta(hours=1))
        row = SagaStep.objects.get(saga_id=saga.id)
        assert (row.due_at, row.deadline_at) == (
            lab.now - timedelta(minutes=100),
            lab.now + timedelta(seconds=30),
        )
        assert SagaStep.objects.get(saga_id=later.id).due_at == lab.now + timedelta(hours=1)
        lab.run()
        assert (saga.status, later.status) == ("completed", "completed")


def test_no_priority_costs_nothing_in_the_history(sagas):
    saga = sagas[0].start()

    assert SagaEvent.objects.get(saga_id=saga.id).data is None


@pytest.mark.parametrize("wrong", [-1, 101, 1.5, "high", True])
def test_what_is_no_priority_is_refused(sagas, wrong):
    for start in (lambda: sagas[0].start(priority=wrong), lambda: sagas[0].bulk_start([1], priority=wrong)):
        with pytest.raises(InvalidInput, match="priority has to be a whole number from 0 to 100, not "):
            start()
    assert not SagaStep.objects.exists()

    class WrongSaga(Saga):
        priority = wrong

        @step(no_compensation=True)
        def send(self, ctx): ...

    assert list(WrongSaga.program.problems) == [
        Problem(
            "priority",
            "",
            f"priority = {wrong!r} is not a whole number from 0 to 100.",
            "Give 0 to wait in line, and more to go before others.",
        )
    ]
