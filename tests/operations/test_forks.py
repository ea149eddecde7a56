"""A saga is forked from one of its steps: another goes on, and only that one undoes what was done."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from django_saga import (
    OperationRefused,
    SagaFailed,
    SagaStatus,
    operations,
    signals,
)
from django_saga.engine import attempt
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaOperation, SagaStep
from django_saga.store import clock
from tests.interleaving.moves import claim, record
from tests.operations.forking import calls, fork, held_before, kinds, steps, work
from tests.processes import wait_until
from tests.sagas.composed_sagas import ComposedTestSaga
from tests.sagas.fork_sagas import ForkChain, ForkDiamond, ForkLocked, ForkPivot, ForkTimed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold", "ledger"),
]


# --- what goes on -----------------------------------------------------------------------------------


def test_a_fork_goes_on_with_the_changed_input_and_does_not_repeat_what_was_done(ledger):
    old = held_before(ForkChain, "ship", {"to": "Bern"})

    new = fork(old, "ship", input={"to": "Basel"})

    assert (old.status, new.status) == (SagaStatus.SUPERSEDED, SagaStatus.RUNNING)
    work()
    assert new.status == SagaStatus.COMPLETED
    assert calls(ledger) == [
        ("call", f"{old.id}:reserve:do", "Bern"),
        ("call", f"{old.id}:charge:do", "Bern"),
        ("call", f"{new.id}:ship:do", "Basel"),
        ("call", f"{new.id}:tell:do", "Basel"),
    ]
    assert steps(old) == {"reserve": "succeeded", "charge": "succeeded", "ship": "skipped"}
    assert (kinds(old)[-1], kinds(new)[0]) == ("saga_superseded", "saga_forked")


def test_a_fork_that_turns_back_undoes_each_effect_once_and_the_original_none(ledger):
    old = held_before(ForkChain, "ship", {"to": "Bern"})
    new = fork(old, "ship", input={"to": "Basel", "fails": "tell"})

    work()

    assert (old.status, new.status) == (SagaStatus.SUPERSEDED, SagaStatus.COMPENSATED)
    done, undone = ledger.lines("call"), ledger.lines("undo")
    assert [line.key for line in undone] == [
        f"{new.id}:ship:undo",
        f"{old.id}:charge:undo",
        f"{old.id}:reserve:undo",
    ]
    # Each undo was told of the very call it undoes, and of the input that call was made with.
    assert {line.note for line in undone} == {f"{line.key} {line.note}" for line in done}
    assert set(Counter(line.key for line in ledger.lines()).values()) == {1}
    with pytest.raises(OperationRefused, match="superseded"):
        operations.cancel(old.id, by="ann")


def test_what_was_taken_over_twice_is_undone_with_the_key_and_the_input_it_was_done_with(ledger):
    first = held_before(ForkChain, "charge", {"to": "Bern"})
    operations.pause(definition="fork_chain", step="ship", by="ann")
    second = fork(first, "charge", input={"to": "Basel"})
    work()
    third = fork(second, "ship", input={"to": "Chur", "fails": "ship"})
    operations.resume(definition="fork_chain", step="ship", by="ann")

    work()

    assert [handle.status.value for handle in (first, second, third)] == [
        "superseded",
        "superseded",
        "compensated",
    ]
    assert [(line.key, line.note) for line in ledger.lines("undo")] == [
        (f"{second.id}:charge:undo", f"{second.id}:charge:do Basel"),
        (f"{first.id}:reserve:undo", f"{first.id}:reserve:do Bern"),
    ]


def test_a_claimed_compensation_that_was_taken_over_has_the_input_it_was_done_with(ledger):
    old = held_before(ForkChain, "ship", {"to": "Bern"})
    new = fork(old, "ship", input={"to": "Basel"})

    operations.cancel(new.id, by="ann")
    work()

    assert [line.note.split()[-1] for line in ledger.lines("undo")] == ["Bern", "Bern"]


def test_both_sagas_name_each_other_and_the_audit_names_the_fork():
    old = held_before(ForkChain, "ship", {"to": "Bern"})

    new = fork(old, "ship")

    assert SagaInstance.objects.get(pk=old.id).superseded_by == new.id
    assert SagaInstance.objects.get(pk=new.id).forked_from == old.id
    audit = SagaOperation.objects.get(saga_id=old.id, action="fork")
    assert (audit.step, audit.actor, audit.why, audit.result) == ("ship", "ann", "wrong town", "done")
    assert (audit.before, audit.after, audit.detail) == ("running", "superseded", f"as saga {new.id}")
    row = SagaInstance.objects.get(pk=old.id)
    assert (row.reason, row.culprit, row.finished_at is None) == ("forked", "ship", False)


def test_without_an_input_the_fork_has_the_same_one(ledger):
    old = held_before(ForkChain, "ship", {"to": "Bern"})

    new = fork(old, "ship")

    assert SagaInstance.objects.get(pk=new.id).input == {"to": "Bern"}
    assert (
        SagaInstance.objects.get(pk=new.id).input_digest == SagaInstance.objects.get(pk=old.id).input_digest
    )


def test_a_branch_that_is_done_is_taken_over_and_one_that_is_not_begins_anew(ledger):
    old = held_before(ForkDiamond, "left", {"to": "Bern"})
    assert steps(old) == {"first": "succeeded", "left": "scheduled", "right": "succeeded"}

    new = fork(old, "left", input={"to": "Basel", "fails": "last"})
    work()

    assert new.status == SagaStatus.COMPENSATED
    assert ledger.steps("call") == ["first:do", "right:do", "left:do"]
    undone = {line.key: line.note for line in ledger.lines("undo")}
    assert undone == {
        f"{new.id}:left:undo": f"{new.id}:left:do Basel",
        f"{old.id}:right:undo": f"{old.id}:right:do Bern",
        f"{old.id}:first:undo": f"{old.id}:first:do Bern",
    }
    assert len(ledger.lines("undo")) == 3


def test_a_saga_that_waits_past_its_pivot_is_forked_from_the_step_that_is_dead(ledger):
    old = ForkPivot.start({"to": "Bern", "fails": "ship"})
    work()
    assert old.status == SagaStatus.STUCK

    new = fork(old, "ship", input={"to": "Basel"})
    work()

    assert (old.status, new.status) == (SagaStatus.SUPERSEDED, SagaStatus.COMPLETED)
    assert ledger.steps() == ["reserve:do", "charge:do", "ship:do"]


def test_what_a_saga_that_turns_back_has_not_begun_to_undo_is_taken_over(ledger):
    old = ForkChain.start({"to": "Bern", "fails": "charge"})
    for _ in range(2):
        [task] = claim(ForkChain, old.id)
        record([attempt.run(task)])
    assert steps(old) == {"reserve": "undo_scheduled", "charge": "failed"}

    new = fork(old, "charge", input={"to": "Basel"})
    work()

    assert (old.status, new.status) == (SagaStatus.SUPERSEDED, SagaStatus.COMPLETED)
    assert steps(old) == {"reserve": "succeeded", "charge": "failed"}
    assert ledger.steps() == ["reserve:do", "charge:do", "ship:do", "tell:do"]


# --- what goes with it ------------------------------------------------------------------------------


def test_a_pause_goes_over_to_the_fork(ledger):
    old = held_before(ForkChain, "ship", {})
    operations.pause(saga=old.id, by="ann")

    new = fork(old, "ship")
    work()

    assert steps(new)["ship"] == "scheduled"
    operations.resume(saga=new.id, by="ann")
    work()
    assert new.status == SagaStatus.COMPLETED


def test_the_key_of_the_start_stays_with_the_original():
    old = held_before(ForkChain, "ship", {"to": "Bern"}, idempotency_key="order-1")

    new = fork(old, "ship", input={"to": "Basel"})

    again = ForkChain.start({"to": "Bern"}, idempotency_key="order-1")
    assert (again.id, again.status) == (old.id, SagaStatus.SUPERSEDED)
    assert again.successor == new


def test_the_lock_goes_over_to_the_fork_and_who_waits_for_it_waits_on(ledger):
    old = held_before(ForkLocked, "tell", {"account": 1, "to": "Bern"})
    waiting = ForkLocked.start({"account": 1})

    new = fork(old, "tell", input={"account": 1, "to": "Basel"})

    found = SagaLock.objects.order_by("pk").values_list("saga_id", "target", "held")
    assert list(found) == [(new.id, "account:1", True), (waiting.id, "account:1", None)]
    assert waiting.status == SagaStatus.PENDING
    work()
    assert [each.status.value for each in (old, new, waiting)] == ["superseded", "completed", "completed"]
    assert ledger.steps() == ["debit:do", "tell:do", "debit:do", "tell:do"]


def test_the_deadline_stays_where_it_is_and_past_the_pivot_there_is_none():
    before = held_before(ForkTimed, "charge", {})
    deadline = SagaInstance.objects.get(pk=before.id).deadline_at
    assert deadline is not None
    assert SagaInstance.objects.get(pk=fork(before, "charge").id).deadline_at == deadline

    past = held_before(ForkTimed, "ship", {})
    assert SagaInstance.objects.get(pk=fork(past, "ship").id).deadline_at is None


def test_a_saga_that_begins_later_is_forked_from_its_first_step_and_begins_then():
    old = ForkChain.start({"to": "Bern"}, run_at=timedelta(hours=1))

    new = fork(old, "reserve", input={"to": "Basel"})
    work()

    assert (new.status, steps(new)) == (SagaStatus.PENDING, {"reserve": "scheduled"})
    due = [SagaStep.objects.get(saga_id=each.id, name="reserve") for each in (old, new)]
    assert due[1].due_at == SagaEvent.objects.get(saga_id=old.id, kind="saga_started").at + timedelta(hours=1)
    work(hours=2)
    assert new.status == SagaStatus.COMPLETED


def test_a_composed_saga_is_forked_with_its_graph(ledger):
    composed = ComposedTestSaga.compose(["reserve", {"action": "call", "input": {"$input": "who"}}, "look"])
    old = held_before(composed, "look", {"who": "Ada"})

    new = fork(old, "look", input={"who": "Bob"})
    work()

    assert (old.status, new.status) == (SagaStatus.SUPERSEDED, SagaStatus.COMPLETED)
    assert new.result(timeout=0) == {"who": "Bob"}
    assert SagaInstance.objects.get(pk=new.id).graph == SagaInstance.objects.get(pk=old.id).graph
    assert [line.note for line in ledger.lines()] == ["'Ada'"]


def test_receivers_are_told_of_the_end_and_of_the_start_after_the_commit():
    told: list[tuple[str, Any, str]] = []

    def hear(signal, saga_id, status, **kwargs):
        told.append((signal.name, saga_id, status))

    old = held_before(ForkChain, "ship", {})
    for each in (signals.saga_finished, signals.saga_started):
        each.connect(hear)
    try:
        with transaction.atomic():
            new = fork(old, "ship")
            assert told == []
    finally:
        for each in (signals.saga_finished, signals.saga_started):
            each.disconnect(hear)

    assert told == [("saga_finished", old.id, "superseded"), ("saga_started", new.id, "running")]


def test_one_who_waits_for_the_original_is_told_of_the_fork():
    old = held_before(ForkChain, "ship", {})
    new = fork(old, "ship")

    with pytest.raises(SagaFailed, match=f"is superseded: saga {new.id} goes on in its place"):
        old.result(timeout=0)
    assert (old.successor, new.successor) == (new, None)


def test_saga_show_and_the_story_name_each_saga_on_the_others_page(capsys):
    old = held_before(ForkChain, "ship", {"to": "Bern"})
    before = clock.now("default")
    # Some databases tell the time in milliseconds: the fork is to be later.
    wait_until(lambda: clock.now("default") > before)
    new = fork(old, "ship", input={"to": "Basel"})

    def shown(*args: str) -> str:
        call_command("saga_show", *args, "--no-color")
        out: str = capsys.readouterr().out
        return out

    assert f"fork      {new.id}, which goes on in its place" in shown(str(old.id))
    assert "another saga went on in its place at ship: wrong town" in shown(str(old.id))
    assert f"fork of   {old.id}" in shown(str(new.id))
    assert "charge  succeeded  (taken over)" in shown(str(new.id))
    past = shown(str(old.id), "--at", before.isoformat())
    assert "running" in past
    assert str(new.id) not in past
    told = json.loads(shown(str(new.id), "--json"))
    assert (told["forked_from"], told["superseded_by"]) == (str(old.id), None)
    assert [step.get("ran_in") for step in told["steps"]] == [str(old.id), str(old.id), None, None]
    then = old.state_at(timezone.now())
    assert (then.status, then.reason, then.culprit) == ("superseded", "forked", "ship")
