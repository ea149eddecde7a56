"""What is in the way of a fork, and that nothing was changed then."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import (
    InvalidInput,
    SagaNotFound,
    SagaStatus,
    operations,
)
from django_saga.core.events import Cause, StepUnknown
from django_saga.dsl.registry import registry
from django_saga.engine import attempt
from django_saga.engine.tasks import Outcome
from django_saga.models import SagaStep
from django_saga.testing import shift_clock
from tests.interleaving.moves import claim, record
from tests.operations.forking import everything, fork, held_before, refusal, work
from tests.sagas.fork_sagas import ForkChain, ForkLocked, ForkPivot, ForkTimed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold", "ledger"),
]


def test_a_step_that_is_in_flight_is_not_forked_away():
    old = held_before(ForkChain, "ship", {})
    claim(ForkChain, old.id)

    assert refusal(old, "ship") == "step ship is running: pause the saga, and fork it when that has ended"


def test_an_effect_that_nobody_would_undo_is_not_left_behind():
    old = held_before(ForkChain, "ship", {})

    assert refusal(old, "charge") == (
        "step charge has succeeded, and nobody would undo it: fork from a step behind it"
    )


def test_a_step_that_may_have_had_its_effect_is_settled_first(ledger):
    old = held_before(ForkChain, "charge", {})
    [task] = claim(ForkChain, old.id)
    record([Outcome(task, StepUnknown(step="charge", attempt=1))])

    assert refusal(old, "charge") == (
        "step charge may have had its effect, and nobody would undo it: it has to be settled first"
    )


def test_what_could_not_be_undone_is_not_left_behind():
    old = ForkChain.start({"fails": "ship", "refuses": "refund"})
    work()
    assert old.status == SagaStatus.STUCK

    assert refusal(old, "ship").startswith(
        "step charge could not be undone: have its compensation tried again first; "
    )


def test_a_compensation_that_was_left_behind_by_its_worker_counts_as_tried():
    old = ForkChain.start({"fails": "charge"})
    for _ in range(2):
        [task] = claim(ForkChain, old.id)
        record([attempt.run(task)])
    [task] = claim(ForkChain, old.id)
    record([Outcome(task, StepUnknown(step="reserve", attempt=1, undo=True, cause=Cause.RELEASED))])
    row = SagaStep.objects.get(saga_id=old.id, name="reserve")
    assert (row.status, row.attempt, row.crashes) == ("undo_scheduled", 0, 0)

    assert "step reserve is being undone" in refusal(old, "charge")


def test_a_pivot_that_happened_is_not_repeated():
    old = ForkPivot.start({"fails": "ship"})
    work()

    assert refusal(old, "charge").startswith("step charge has succeeded, and nobody would undo it")


def test_a_step_that_was_not_reached_is_not_forked_from():
    old = held_before(ForkChain, "charge", {})

    assert refusal(old, "tell") == (
        "step tell has to begin with what charge did, which is scheduled: fork from charge; "
        "step tell was not reached: ship comes before it, and was never begun"
    )


def test_an_unknown_step_is_refused_with_the_names_there_are():
    old = ForkChain.start({})

    assert refusal(old, "shipp") == (
        "fork_chain v1 has no step 'shipp'. Did you mean 'ship'? Its steps are reserve, charge, ship, tell"
    )


def test_a_saga_that_has_ended_is_not_forked():
    done = ForkChain.start({})
    undone = ForkChain.start({"fails": "tell"})
    work()

    assert refusal(done, "tell") == "it is completed: nothing of it is left to go on with, start another one"
    assert refusal(undone, "tell").startswith("it is compensated: ")


@pytest.mark.parametrize("word", [operations.cancel, operations.compensate])
def test_a_saga_that_somebody_had_undone_does_not_go_on(word):
    old = held_before(ForkChain, "ship", {})
    word(old.id, by="bob")

    assert refusal(old, "ship").startswith("it is being c")


def test_a_saga_is_forked_once_and_then_its_fork():
    old = held_before(ForkChain, "ship", {})
    new = fork(old, "ship")

    assert refusal(old, "ship").startswith("it is superseded: another saga goes on in its place already")
    assert fork(new, "ship").status == SagaStatus.RUNNING


def test_an_input_that_is_none_of_the_sagas_changes_nothing():
    old = held_before(ForkChain, "ship", {})
    before = everything()

    with pytest.raises(InvalidInput, match="Saga fork_chain: input"):
        fork(old, "ship", input={"to": object()})

    assert everything() == before


def test_a_saga_that_waits_for_its_lock_is_not_forked():
    held_before(ForkLocked, "tell", {"account": 1})
    waiting = ForkLocked.start({"account": 1})

    assert refusal(waiting, "debit").startswith("it waits for its locks, and nothing of it has begun")


def test_an_input_that_locks_something_else_is_refused():
    old = held_before(ForkLocked, "tell", {"account": 1})

    assert refusal(old, "tell", input={"account": 2}) == (
        "with that input it would lock 'account:2', and what it did is under the lock of 'account:1': "
        "cancel it and start another"
    )


def test_a_fork_that_would_turn_back_at_once_is_refused():
    old = held_before(ForkTimed, "charge", {})

    with shift_clock(timedelta(seconds=601)):
        assert refusal(old, "charge").startswith("its deadline passed at 20")


def test_a_saga_that_is_not_there_is_not_found():
    with pytest.raises(SagaNotFound):
        operations.fork("00000000-0000-0000-0000-000000000000", "ship", by="ann")


def test_a_definition_that_the_code_lacks_is_refused():
    old = held_before(ForkChain, "ship", {})

    with registry.isolated():
        assert "fork_chain" in refusal(old, "ship")
