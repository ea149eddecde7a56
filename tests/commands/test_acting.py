"""``saga_start``, ``saga_retry``, ``saga_cancel`` and ``saga_compensate``: actions from the command line."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from django_saga import PermanentFailure, Retry, Saga, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaInstance, SagaOperation
from django_saga.testing import SagaLab, assert_compensated, assert_completed

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken():
    """Names of what fails."""
    return set()


@pytest.fixture
def saga(broken):
    def fails(name):
        if name in broken:
            raise PermanentFailure(f"{name}: out of order")

    with registry.isolated():

        class ParcelSaga(Saga):
            name = "parcel"

            @step
            def reserve(self, ctx):
                return {"price": Decimal("2.50"), "of": ctx.input}

            @reserve.compensation(retry=Retry(attempts=1))
            def release(self, ctx):
                fails("release")

            @step
            def pay(self, ctx):
                fails("pay")

            @pay.compensation
            def refund(self, ctx):
                fails("refund")

            @step(pivot=True, no_compensation=True)
            def hand_over(self, ctx):
                return "over"

            @step(no_compensation=True)
            def tell(self, ctx):
                fails("tell")
                return ctx.results.get("reserve")

        yield ParcelSaga


@pytest.fixture
def lab(saga):
    with SagaLab() as lab:
        yield lab


def said(*words):
    out = StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


def recorded():
    return list(SagaOperation.objects.order_by("pk").values_list("action", "step", "actor", "why", "result"))


def stuck_on_the_way_back(saga, lab, broken):
    broken |= {"pay", "release"}
    handle = saga.start()
    lab.run()
    assert handle.status == "stuck"
    return handle


def stuck_past_the_pivot(saga, lab, broken):
    broken.add("tell")
    handle = saga.start()
    lab.run()
    assert handle.status == "stuck"
    return handle


def test_a_saga_is_started_by_its_name(lab, saga):
    first = said("saga_start", "parcel", '{"to": "ann"}', "--key", "p-1", "--priority", "3")
    again = said("saga_start", "parcel", '{"to": "ann"}', "--key", "p-1")
    lab.run()

    handle = saga.get(UUID(first.strip()))
    assert again == first
    assert_completed(handle)
    assert SagaInstance.objects.get().idempotency_key == "p-1"


def test_a_start_waits_for_the_end_and_prints_the_result_if_asked(lab, saga, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('"from a file"'))
    begun = said("saga_start", "parcel", "-", "--key", "p-1").strip()
    lab.run()

    told = said("saga_start", "parcel", '"from a file"', "--key", "p-1", "--wait", "5")

    assert told.startswith(f"Started {begun}, waiting …\n")
    assert json.loads(told.partition("\n")[2]) == {
        "price": {"$decimal": "2.50"},
        "of": "from a file",
    }


def test_who_waits_for_a_saga_that_does_not_end_well_is_told_by_the_exit_code(lab, saga, broken):
    broken.add("pay")
    said("saga_start", "parcel", "--key", "p-1")
    lab.run()

    for words in (["--key", "p-1"], ["--key", "p-2", "--at", "2099-01-01T06:00"]):
        with pytest.raises(SystemExit) as ended:
            said("saga_start", "parcel", *words, "--wait", "0")
        assert ended.value.code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["parcels"], "parcels"),
        (["parcel", "{"], "is no JSON"),
        (["parcel", "--at", "soon"], "'soon' is no time; write it as 2026-12-01T06:00"),
        (["parcel", "--priority", "101"], "101"),
        (["parcel", "--key", ""], "key"),
    ],
)
def test_what_cannot_be_started_is_refused_with_the_reason(lab, words, told):
    with pytest.raises(CommandError, match=told):
        said("saga_start", *words)

    assert not SagaInstance.objects.exists()


def test_a_dead_compensation_is_tried_again(lab, saga, broken):
    handle = stuck_on_the_way_back(saga, lab, broken)

    assert said("saga_retry", str(handle.id), "--dry-run") == (
        "Would try the compensation of reserve again. It failed: release: out of order\n"
    )
    assert recorded() == []
    broken.clear()
    told = said("saga_retry", str(handle.id), "--by", "ann", "--reason", "mended")
    lab.run()

    assert told == f"In saga parcel {handle.id}, the compensation of reserve is tried again.\n"
    assert recorded() == [("retry compensation", "reserve", "ann", "mended", "open")]
    assert_compensated(handle)


def test_a_step_that_is_dead_past_the_pivot_is_tried_again_by_whoever_is_logged_in(
    lab, saga, broken, monkeypatch
):
    monkeypatch.setenv("LOGNAME", "nora")
    handle = stuck_past_the_pivot(saga, lab, broken)
    broken.clear()

    said("saga_retry", str(handle.id)[:23], "tell")
    lab.run()

    assert recorded() == [("retry step", "tell", "nora", "", "open")]
    assert_completed(handle)


def test_what_is_not_dead_is_not_tried_again(lab, saga, broken):
    done = saga.start("done")
    lab.run()
    stuck = stuck_past_the_pivot(saga, lab, broken)

    with pytest.raises(CommandError, match=r"Nothing is dead in saga parcel .*: it is completed\."):
        said("saga_retry", str(done.id))
    with pytest.raises(CommandError, match="has no step 'charge'; it has reserve, pay, hand_over, tell"):
        said("saga_retry", str(stuck.id), "charge")
    with pytest.raises(CommandError, match="1 of 2 were refused"):
        said("saga_retry", str(stuck.id), "reserve", "tell", "--by", "ann")
    assert [each[-1] for each in recorded()] == ["refused", "open"]


def test_a_cancellation_shows_what_is_undone_and_asks(lab, saga, monkeypatch):
    handle = saga.start(run_at=timedelta(days=1))

    told = said("saga_cancel", str(handle.id), "--dry-run")
    assert told.splitlines()[1:] == ["    undone     nothing", "    ends       compensated"]
    for answer in ("", "n"):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        with pytest.raises(CommandError, match="Nothing was changed"):
            said("saga_cancel", str(handle.id))
    assert (handle.status, recorded()) == ("pending", [])

    monkeypatch.setattr("builtins.input", lambda question: "y")
    said("saga_cancel", str(handle.id), "--by", "ann", "--reason", "ordered twice")
    assert_compensated(handle)
    assert recorded() == [("cancel", "", "ann", "ordered twice", "done")]


def test_past_the_pivot_a_saga_is_compensated_and_not_cancelled(lab, saga, broken):
    handle = stuck_past_the_pivot(saga, lab, broken)

    with pytest.raises(
        CommandError, match=r"is stuck, and cannot turn back by this: .* saga_compensate undoes"
    ):
        said("saga_cancel", str(handle.id), "--yes")
    told = said("saga_compensate", str(handle.id), "--yes", "--by", "ann")
    lab.run()

    assert told.splitlines() == [
        f"Saga parcel v1 {handle.id} is stuck. If it turns back now:",
        "    undone     pay (refund); then reserve (release)",
        "    stays      hand_over: no compensation",
        "    ends       compensated",
        f"It turns back; saga_show {handle.id} tells how far it is.",
    ]
    assert_compensated(handle)


@pytest.mark.parametrize("command", ["saga_cancel", "saga_compensate"])
def test_a_saga_that_has_turned_back_is_not_offered_to_turn_back(lab, saga, broken, command):
    handle = stuck_on_the_way_back(saga, lab, broken)

    with pytest.raises(
        CommandError, match=r"is stuck, and cannot turn back any more: saga_retry has its dead"
    ):
        said(command, str(handle.id), "--dry-run")
    said("saga_retry", str(handle.id), "--by", "ann")
    with pytest.raises(CommandError, match=r"is compensating, and cannot turn back: it does already\."):
        said(command, str(handle.id), "--dry-run")


def test_nobody_who_could_be_asked_is_told_so(lab, saga, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    with pytest.raises(CommandError, match="Nobody answered: give --dry-run to look, or --yes to do it"):
        said("saga_cancel", str(saga.start().id))
