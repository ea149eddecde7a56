"""A saga that waits for its locks: no step of it is opened before it has them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga.core import machine
from django_saga.core.events import CancelRequested, DeadlinePassed, LocksGranted, SagaStarted
from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, define, stored

FORK = define("a b c<ab", deadline=60)
STARTED = SagaStarted(locks=("order:1", "order:2"), waits=True, deadline_at=EPOCH + timedelta(hours=1))
LATER = EPOCH + timedelta(minutes=5)


def test_a_saga_that_waits_is_pending_without_a_step():
    state = machine.start(FORK, STARTED, now=EPOCH)

    assert state == SagaState(SagaStatus.PENDING, {}, deadline_at=STARTED.deadline_at)


def test_a_saga_that_holds_its_locks_begins_at_once():
    started = SagaStarted(locks=("order:1",))

    assert machine.start(FORK, started, now=EPOCH) == machine.start(FORK, SagaStarted(), now=EPOCH)


def test_a_saga_that_was_let_in_begins_then_and_its_steps_have_all_their_time():
    state = machine.start(FORK, STARTED, now=EPOCH)

    begun = machine.apply(state, machine.decide(FORK, state, LocksGranted(), now=LATER))

    opened = machine.start(FORK, SagaStarted(deadline_at=STARTED.deadline_at), now=LATER)
    assert begun == opened
    assert {(s.status, s.due_at, s.deadline_at) for s in begun.steps.values()} == {
        (StepStatus.SCHEDULED, LATER, LATER + timedelta(minutes=1))
    }


@pytest.mark.parametrize(
    ("event", "reason"), [(CancelRequested(), "cancelled"), (DeadlinePassed(), "deadline passed")]
)
def test_a_saga_that_turns_back_while_it_waits_has_nothing_to_undo(event, reason):
    state = machine.start(FORK, STARTED, now=EPOCH)

    ended = machine.apply(state, machine.decide(FORK, state, event, now=LATER))

    assert (ended.status, ended.steps, ended.reason) == (SagaStatus.COMPENSATED, {}, reason)
    with pytest.raises(IllegalTransition):
        machine.decide(FORK, ended, LocksGranted(), now=LATER)


def test_a_saga_whose_steps_are_open_waits_for_no_lock():
    for started in (SagaStarted(), SagaStarted(starts_at=LATER)):
        state = machine.start(FORK, started, now=EPOCH)

        with pytest.raises(IllegalTransition):
            machine.decide(FORK, state, LocksGranted(), now=EPOCH)


def test_a_stored_history_of_one_who_waited_gives_the_same_state_again():
    history = [(stored(STARTED), EPOCH), (stored(LocksGranted()), LATER)]

    assert history[0][0] == STARTED
    assert machine.fold(FORK, history) == machine.start(
        FORK, SagaStarted(deadline_at=STARTED.deadline_at), now=LATER
    )
