"""An atomic step that breaks its transaction failed, none of it is half written, and the worker goes on."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection

from django_saga import SagaStatus, runtime
from django_saga.dsl.handle import Handle
from django_saga.engine import recovery
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import shift_clock
from tests.ledger import effects
from tests.models import Account
from tests.sagas.atomic_sagas import NASTY, NastySaga

pytestmark = [
    pytest.mark.fault("F38"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

# What breaks nothing: the step may go on, and its effects count.
HARMLESS = {"swallows_a_refused_rollback", "swallows_a_refused_statement", "uses_savepoints_of_its_own"}
if connection.vendor != "postgresql":
    # Elsewhere an error undoes its own statement only.
    HARMLESS |= {"swallows_a_raw_error"}
# Looks like a server that went away: the transaction is run again a few times, within the same attempt.
RUN_AGAIN = {"closes_the_drivers_connection"}
TEARING = sorted(NASTY.keys() - HARMLESS)


def in_a_worker(*inputs: str) -> list[Handle]:
    handles = NastySaga.bulk_start(inputs)
    runtime.build_worker(using="default", concurrency=1, once=True).run()
    return handles


def in_process(*inputs: str) -> list[Handle]:
    return [NastySaga.run(value) for value in inputs]


@pytest.mark.parametrize("nasty", TEARING)
@pytest.mark.parametrize("carry_out", [in_a_worker, in_process])
def test_a_step_that_breaks_its_transaction_failed_and_wrote_nothing(ledger, nasty, carry_out):
    if (nasty, carry_out) == ("is_interrupted", in_process):
        pytest.skip("Ctrl-C in the caller's own thread is for the caller: see the next test")

    broken, sound = carry_out(nasty, "nothing")

    assert (broken.status, sound.status) == (SagaStatus.COMPENSATED, SagaStatus.COMPLETED)
    assert effects() == {
        f"{broken.id}:first:do": 1,
        f"{broken.id}:first:undo": 1,
        f"{sound.id}:first:do": 1,
        f"{sound.id}:second:do": 1,
    }
    assert Account.objects.count() == 0
    step = SagaStep.objects.get(saga_id=broken.id, name="second")
    assert (step.status, step.attempt, step.crashes, step.result) == ("failed", 1, 0, None)
    assert step.error
    calls = ledger.calls("call")
    assert calls.pop(f"{broken.id}:second:do") == 1 or nasty in RUN_AGAIN
    assert calls == {f"{sound.id}:second:do": 1}


def test_ctrl_c_in_process_rolls_the_step_back_and_leaves_the_rest_to_a_worker(ledger):
    with pytest.raises(KeyboardInterrupt):
        NastySaga.run("is_interrupted", idempotency_key="k")

    handle = NastySaga.start("is_interrupted", idempotency_key="k")
    assert effects() == {f"{handle.id}:first:do": 1}
    with shift_clock(timedelta(minutes=1)):
        recovery.reap("default", runtime.programs("default"))
        runtime.build_worker(using="default", once=True).run()
    assert handle.status is SagaStatus.COMPENSATED
    assert effects() == {f"{handle.id}:first:do": 1, f"{handle.id}:first:undo": 1}


@pytest.mark.parametrize("harmless", sorted(HARMLESS))
def test_a_step_that_broke_nothing_goes_on(ledger, harmless):
    handle = NastySaga.run(harmless)

    assert handle.status is SagaStatus.COMPLETED
    assert effects() == {f"{handle.id}:first:do": 1, f"{handle.id}:second:do": 1}


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE made_by_a_step (id integer)",
        "/* why */ alter table tests_account add column x integer",
        "TRUNCATE TABLE tests_account",
        "LOCK TABLES tests_account WRITE",
    ],
)
def test_a_statement_that_commits_by_the_way_is_refused(ledger, statement, monkeypatch):
    monkeypatch.setitem(NASTY, "rolls_back", lambda: connection.cursor().execute(statement))

    handle = NastySaga.run("rolls_back")

    assert handle.status is SagaStatus.COMPENSATED
    assert effects() == {f"{handle.id}:first:do": 1, f"{handle.id}:first:undo": 1}
    said = SagaStep.objects.get(saga_id=handle.id, name="second").error
    assert said.startswith("the step sent ")
    assert "made_by_a_step" not in connection.introspection.table_names()


@pytest.mark.parametrize(
    ("nasty", "said"),
    [
        ("sends_rollback", "^the step sent ROLLBACK, which would end the transaction"),
        ("sends_commit", "^the step sent commit, which would end the transaction"),
        ("asks_for_rollback", "after a database error inside its transaction"),
        ("swallows_an_integrity_error", "after a database error inside its transaction"),
        ("closes_the_connection", "closed the database connection"),
        ("leaves_a_block_open", r"left a transaction.atomic\(\) block open"),
    ],
)
def test_the_error_says_what_the_step_did(ledger, nasty, said):
    handle = NastySaga.run(nasty)

    event = SagaEvent.objects.get(saga_id=handle.id, step="second")
    assert event.error_class == "django_saga.exceptions.BrokenTransaction"
    assert re.search(said, event.error), event.error


@pytest.mark.parametrize("nasty", TEARING)
def test_a_compensation_that_breaks_its_transaction_is_dead_and_wrote_nothing(ledger, nasty):
    [handle] = in_a_worker(f"undo:{nasty}")

    assert handle.status is SagaStatus.STUCK
    assert effects() == {f"{handle.id}:first:do": 1}
    step = SagaStep.objects.get(saga_id=handle.id, name="first")
    assert (step.status, step.attempt) == ("undo_failed", 1)
