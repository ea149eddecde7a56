"""A saga as it stood at any instant, told by its history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from django_saga import PermanentFailure, SagaNotFound, SagaStatus, operations
from django_saga.core.state import SagaState
from django_saga.dsl.registry import registry
from django_saga.engine import attempt
from django_saga.exceptions import InvalidInput, UnknownSaga
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaStep
from django_saga.observability import past
from django_saga.store import clock
from tests.interleaving.moves import claim, record
from tests.sagas.race_sagas import RaceForkNextSaga, RaceForkSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold", "ledger")]


def noted(saga: Any) -> tuple[datetime, Any]:
    """When it is, and what the saga's rows are."""
    row = SagaInstance.objects.get(pk=saga.id)
    steps = SagaStep.objects.filter(saga_id=saga.id).order_by("name")
    told = [(s.name, s.status, s.attempt, s.outcome, s.result, s.reason, s.owner) for s in steps]
    return moment(), (row.status, row.reason, row.culprit, row.definition_id, told)


def moment() -> datetime:
    """A time when nothing happens, on databases whose clock ticks in milliseconds too."""
    times = [clock.now("default")]
    while len(times) < 3:
        if (now := clock.now("default")) - times[-1] > timedelta(milliseconds=1):
            times.append(now)
    return times[1]


def remembered(saga: Any, at: datetime) -> Any:
    """What the rows were, by the history."""
    told = past.read("default", SagaInstance.objects.select_related("definition").get(pk=saga.id), at)
    rows = sorted((step.row for step in told.steps if step.row), key=lambda row: row.name)
    steps = [(s.name, s.status, s.attempt, s.outcome, s.result, s.reason, s.owner) for s in rows]
    found = told.saga
    return found.status, found.reason, found.culprit, found.definition_id, steps


def run(saga: Any, name: str, error: Exception | None = None, version: Any = RaceForkSaga) -> list[Any]:
    """Run one due step, and note how all stands before, meanwhile and after."""
    before = noted(saga)
    [task] = claim(version, saga.id, step=name)
    outcome = attempt.run(task)
    if error:
        failed = attempt.failed(task, error)
        failed.started_at = outcome.started_at
        outcome = failed
    meanwhile = noted(saga)
    record([outcome])
    return [before, meanwhile, noted(saga)]


def test_a_saga_that_was_done_stood_at_each_instant_as_its_rows_said_then():
    saga = RaceForkSaga.start()

    seen = [*run(saga, "left"), *run(saga, "right"), *run(saga, "join")]

    assert saga.status is SagaStatus.COMPLETED
    assert [remembered(saga, at) for at, _ in seen] == [told for _, told in seen]


def test_a_saga_that_was_undone_stood_at_each_instant_as_its_rows_said_then():
    saga = RaceForkSaga.start()

    seen = [*run(saga, "left"), *run(saga, "right", PermanentFailure("no")), *run(saga, "left")]

    assert saga.status is SagaStatus.COMPENSATED
    assert [remembered(saga, at) for at, _ in seen] == [told for _, told in seen]


def test_a_saga_that_was_migrated_stood_at_each_instant_as_its_rows_said_then():
    saga = RaceForkSaga.start()
    seen = run(saga, "left")
    renamed = {"left": "port"}
    operations.migrate_sagas("race_fork", from_version=1, to_version=2, mapping=renamed, by="ada")
    seen += [*run(saga, "right", version=RaceForkNextSaga), *run(saga, "check", version=RaceForkNextSaga)]

    assert [remembered(saga, at) for at, _ in seen] == [told for _, told in seen]
    with registry.isolated():  # what the database kept of both versions is enough
        assert [remembered(saga, at) for at, _ in seen] == [told for _, told in seen]


def test_a_handle_gives_the_state_at_an_instant():
    saga = RaceForkSaga.start()
    at, _ = run(saga, "left")[-1]
    saga.cancel()

    state = saga.state_at(at)

    assert isinstance(state, SagaState)
    assert (state.status, {name: step.status for name, step in state.steps.items()}) == (
        "running",
        {"left": "succeeded", "right": "scheduled"},
    )
    assert saga.state_at(clock.now("default")).status == saga.status


def test_before_its_start_there_was_no_saga():
    saga = RaceForkSaga.start()
    began = SagaEvent.objects.get(saga_id=saga.id).at

    assert saga.state_at(began).status == "running"
    with pytest.raises(SagaNotFound, match=f"Saga {saga.id} was not there yet at"):
        saga.state_at(began - timedelta(microseconds=1))


def test_a_time_without_a_zone_is_no_instant():
    with pytest.raises(InvalidInput, match="make it aware"):
        RaceForkSaga.start().state_at(datetime(2030, 1, 1))


def test_a_saga_that_is_not_there_has_no_past():
    with transaction.atomic():
        saga = RaceForkSaga.start()
        transaction.set_rollback(True)

    with pytest.raises(SagaNotFound, match=f"There is no saga {saga.id}"):
        saga.state_at(datetime(2030, 1, 1, tzinfo=UTC))


def test_a_history_of_a_graph_that_was_replaced_is_said_to_be_one():
    saga = RaceForkSaga.run()
    row = SagaDefinition.objects.get(name="race_fork", version=1)
    SagaDefinition.objects.filter(pk=row.pk).update(
        fingerprint="0" * 64, graph={"steps": [{"name": "other"}]}
    )

    with pytest.raises(UnknownSaga, match="a graph was replaced since"):
        saga.state_at(clock.now("default"))
