"""A saga goes on by another version while workers, operators, another migration meet it, in every order."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from django_saga.core.events import Migrated
from django_saga.core.states import SagaStatus
from django_saga.engine import attempt, migration
from django_saga.engine.migration import InFlight, Moved, Route
from django_saga.exceptions import PermanentFailure
from django_saga.models import SagaEvent, SagaInstance
from django_saga.operations import cancel
from django_saga.store import definitions
from tests.interleaving.moves import DB, carry_on, claim, record, work
from tests.sagas.race_sagas import RaceForkNextSaga, RaceForkSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def route(transactional_db: None) -> Route:
    old, new = RaceForkSaga.program, RaceForkNextSaga.program
    return Route(
        old.definition,
        definitions.identify(DB, old.definition),
        new,
        definitions.identify(DB, new.definition),
        Migrated(from_version=1, to_version=2, renamed=(("left", "port"),)),
    )


def version(saga_id: UUID) -> int:
    return SagaInstance.objects.select_related("definition").get(pk=saga_id).definition.version


def effects(ledger, side="do") -> dict[str, Counter[str]]:
    """How often each step of each saga was called, by the name it has today."""
    found: dict[str, Counter[str]] = {}
    for line in ledger.lines("call"):
        saga, step, which = line.key.split(":")
        if which == side:
            found.setdefault(saga, Counter())["port" if step == "left" else step] += 1
    return found


def test_a_step_that_is_claimed_meanwhile_is_run_by_one_version_only(stage, ledger, route):
    moved = {}
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id

        _, answer = play(
            lambda saga_id=saga_id: work(RaceForkSaga, saga_id),
            lambda saga_id=saga_id: migration.migrate(DB, saga_id, route),
        )

        assert isinstance(answer, Moved | InFlight), answer
        moved[str(saga_id)] = isinstance(answer, Moved)
        assert version(saga_id) == (2 if moved[str(saga_id)] else 1)
    assert set(moved.values()) == {True, False}
    assert carry_on() == {"completed": len(moved)}
    for saga, calls in effects(ledger).items():
        steps = ["port", "right", "check", "join"] if moved[saga] else ["port", "right", "join"]
        assert calls == dict.fromkeys(steps, 1), saga


def test_an_outcome_that_is_recorded_meanwhile_counts_for_the_version_it_is_of(stage, ledger, route):
    answers = set()
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id
        left, right = claim(RaceForkSaga, saga_id)
        record([attempt.run(right)])

        recorded, answer = play(
            lambda left=left: record([attempt.run(left)]),
            lambda saga_id=saga_id: migration.migrate(DB, saga_id, route),
        )

        assert len(recorded.outcomes) == 1
        answers.add(type(answer))
    assert answers == {Moved, InFlight}
    assert carry_on() == {"completed": len(stage.played)}
    assert all(set(calls.values()) == {1} for calls in effects(ledger).values())


def test_a_cancellation_and_a_migration_are_both_done_one_after_the_other(stage, ledger, route):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id
        [task] = claim(RaceForkSaga, saga_id, step="left")
        record([attempt.run(task)])

        cancelled, answer = play(
            lambda saga_id=saga_id: cancel(saga_id, by="ann"),
            lambda saga_id=saga_id: migration.migrate(DB, saga_id, route),
        )

        assert cancelled is None
        assert isinstance(answer, Moved)
        kinds = SagaEvent.objects.filter(saga_id=saga_id).values_list("kind", flat=True)
        assert {"migrated", "cancel_requested"} <= set(kinds)
        assert SagaInstance.objects.get(pk=saga_id).status == SagaStatus.COMPENSATING
    assert carry_on() == {"compensated": len(stage.played)}
    undone = effects(ledger, "undo")
    assert undone == effects(ledger)


def test_a_branch_that_turns_the_saga_back_meanwhile_turns_it_back_in_one_version(stage, ledger, route):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id
        [task] = claim(RaceForkSaga, saga_id, step="left")
        failed = attempt.failed(task, PermanentFailure("no"))

        recorded, answer = play(
            lambda failed=failed: record([failed]),
            lambda saga_id=saga_id: migration.migrate(DB, saga_id, route),
        )

        assert len(recorded.outcomes) == 1
        # Nothing was done, so a saga that has turned back is at its end, and stays what it was.
        assert answer is None or isinstance(answer, InFlight)
        assert version(saga_id) == 1
    assert carry_on() == {"compensated": len(stage.played)}


def test_of_two_migrations_one_moves_the_saga(stage, ledger, route):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id

        answers = play(*[lambda saga_id=saga_id: migration.migrate(DB, saga_id, route)] * 2)

        assert sorted(type(answer).__name__ for answer in answers) == ["Moved", "NoneType"]
        assert SagaEvent.objects.filter(saga_id=saga_id, kind="migrated").count() == 1
    assert carry_on() == {"completed": len(stage.played)}
