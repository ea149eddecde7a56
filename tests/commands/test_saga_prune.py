"""Retention: sagas that ended long ago are deleted with all that is theirs, and nothing else is."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from django_saga import operations, prune_sagas, send_event
from django_saga.engine import pruning
from django_saga.messaging.housekeeping import Housekeeping
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.testing import SagaLab, assert_saga_invariants, shift_clock
from tests.sagas.child_sagas import DeliverySaga
from tests.sagas.fork_sagas import ForkChain
from tests.sagas.outside_sagas import BuiltWait, RefundSaga
from tests.sagas.start_sagas import EchoSaga

pytestmark = pytest.mark.django_db(transaction=True)

MONTH = timedelta(days=30)


@pytest.fixture
def lab():
    with SagaLab() as lab:
        yield lab


@pytest.fixture
def later():
    with ExitStack() as stack:
        yield lambda by: stack.enter_context(shift_clock(by))


@pytest.fixture(autouse=True)
def in_small_chunks(monkeypatch):
    monkeypatch.setattr(pruning, "_AT_ONCE", 2)


def left():
    """What there is of sagas, by table."""
    names = ("SagaInstance", "SagaStep", "SagaEvent", "SagaOperation", "SagaApproval", "ExternalEvent")
    counts = {name: apps.get_model("django_saga", name).objects.count() for name in names}
    return {name: count for name, count in counts.items() if count}


def said(*words):
    out = StringIO()
    call_command("saga_prune", *words, stdout=out, stderr=out)
    return out.getvalue()


def test_what_ended_long_ago_goes_with_all_that_is_its_own(lab, later, ledger):
    for number in range(5):
        EchoSaga.start(number)
    waiting = BuiltWait.start("k")
    lab.advance()
    send_event("answer", {"yes": 1}, key="k")
    cancelled = RefundSaga.start({"amount": 5})
    lab.advance()
    operations.cancel(cancelled.id, by="ann", why="a mistake")
    lab.run()
    assert (waiting.status, cancelled.status) == ("completed", "compensated")
    assert {"SagaOperation", "ExternalEvent"} <= left().keys()

    later(MONTH)
    young = EchoSaga.start("young")
    lab.run()
    assert prune_sagas(timedelta(days=29)) == 7

    assert left() == {"SagaInstance": 1, "SagaStep": 1, "SagaEvent": SagaEvent.objects.count()}
    assert SagaInstance.objects.get().pk == young.id
    assert set(SagaEvent.objects.values_list("saga_id", flat=True)) == {young.id}


@pytest.mark.fault("F64g")
def test_what_has_not_ended_stays_however_old_it_is(lab, later, ledger):
    waiting, done = BuiltWait.start("k"), EchoSaga.start(1)
    stuck = ForkChain.start({"fails": "ship"})
    lab.advance()
    SagaInstance.objects.filter(pk=stuck.id).update(status="stuck", finished_at=None)

    later(12 * MONTH)
    prune_sagas(MONTH)

    assert set(SagaInstance.objects.values_list("pk", flat=True)) == {waiting.id, stuck.id}
    assert not SagaInstance.objects.filter(pk=done.id).exists()


def test_children_go_with_their_parent_and_not_before(lab, later, ledger):
    parent = DeliverySaga.start({"goods": "books"})
    lab.run()
    [child] = parent.children
    ended_at = SagaInstance.objects.get(pk=parent.id).finished_at
    SagaInstance.objects.filter(pk=parent.id).update(status="running", finished_at=None)
    later(MONTH)
    assert prune_sagas(timedelta(days=1)) == 0

    SagaInstance.objects.filter(pk=parent.id).update(status="completed", finished_at=ended_at)
    SagaInstance.objects.filter(pk=child.id).update(status="stuck")
    assert prune_sagas(timedelta(days=1)) == 0
    SagaInstance.objects.filter(pk=child.id).update(status="completed")
    assert prune_sagas(timedelta(days=1), dry_run=True) == 2
    assert prune_sagas(timedelta(days=1)) == 2

    assert left() == {}


def test_a_saga_that_was_superseded_goes_with_its_fork_which_reads_its_input(lab, later, ledger):
    origin = ForkChain.start({})
    fork = operations.fork(origin.id, "reserve", by="ann", why="another try")
    later(MONTH)
    assert prune_sagas(timedelta(days=1)) == 0
    lab.run()
    later(MONTH)
    assert prune_sagas(timedelta(days=1)) == 2

    assert (fork.name, left()) == (origin.name, {})


def test_whoever_dies_between_two_chunks_has_deleted_whole_sagas(lab, later, monkeypatch):
    EchoSaga.bulk_start(range(5))
    lab.run()
    later(MONTH)

    def die(point):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pruning, "fault_point", die)
        with pytest.raises(KeyboardInterrupt):
            prune_sagas(timedelta(days=1))

    assert (SagaInstance.objects.count(), SagaStep.objects.count()) == (3, 3)
    assert_saga_invariants()
    assert prune_sagas(timedelta(days=1)) == 3


def test_workers_do_it_by_themselves_if_they_are_told_to(lab, later, settings):
    EchoSaga.start(1)
    lab.run()
    later(MONTH)
    Housekeeping("default").turn()
    assert left()

    settings.DJANGO_SAGA = {"KEEP_SAGAS": timedelta(days=29)}
    Housekeeping("default").turn()

    assert left() == {}


def test_the_command_counts_asks_and_deletes(lab, later, monkeypatch):
    EchoSaga.start(1)
    ForkChain.start({"fails": ""})
    lab.run()
    later(MONTH)

    assert said("--older-than", "4w", "--dry-run") == "Would delete 2 sagas.\n"
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(CommandError, match="Nothing was changed"):
        said("--older-than", "4w")
    assert said("--older-than", "4w", "--name", "fork_chain", "--yes") == "Deleted 1 saga.\n"
    assert said("--older-than", "60d", "--yes") == "Deleted 0 sagas.\n"

    assert SagaInstance.objects.get().name == EchoSaga.name


@pytest.mark.parametrize("words", [[], ["--older-than", "soon"], ["--older-than", "-1d"]])
def test_an_age_is_needed(words):
    with pytest.raises(CommandError):
        said(*words, "--yes")
    with pytest.raises(ValueError, match="longer than nothing"):
        prune_sagas(timedelta(0))
