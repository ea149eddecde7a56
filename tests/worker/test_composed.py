"""Sagas composed at run time, carried by worker processes that were told nothing but the row."""

from __future__ import annotations

import pytest

from django_saga import ComposedSaga
from django_saga.dsl.registry import registry
from tests.processes import wait_until
from tests.sagas.composed_sagas import ComposedTestSaga, look
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_another_process_goes_on_with_a_composed_saga_whose_worker_was_killed(worker, ledger):
    composed = ComposedTestSaga.compose(
        ["reserve", "wait", {"action": "call", "input": {"$result": "reserve.id"}}, {"action": "refuse"}]
    )
    saga = composed.start("tea")
    first = worker()
    wait_until(lambda: ledger.steps() == ["wait:do"], message="the step that waits has begun")

    first.kill9()
    ledger.open("composed")
    worker()

    assert ended(saga) == ["compensated"]
    assert steps(saga)["wait"] == ("succeeded", 2, 1)
    assert [line.note for line in ledger.lines() if line.step.startswith("call:")] == ["7", "7"]
    assert story(saga)[-2:] == ["call 1 undo succeeded", "reserve 1 undo succeeded"]


def test_a_worker_leaves_alone_what_is_composed_of_actions_it_does_not_know(worker, ledger):
    with registry.isolated(*registry.all()):

        class UnknownToWorkers(ComposedSaga):
            actions = (look,)

        stranger = UnknownToWorkers.compose(["look"]).start()
        known = ComposedTestSaga.compose(["look"]).start()

        assert worker("--once").wait() == 0

        assert ended(known) == ["completed"]
        assert steps(stranger) == {"look": ("scheduled", 0, 0)}
