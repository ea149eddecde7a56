"""The handle: an id at once, everything else as the database has it now."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from django_saga import OperationRefused, Saga, SagaFailed, SagaNotFinished, SagaNotFound, SagaStatus, runtime
from django_saga.models import SagaEvent, SagaStep
from tests.sagas.start_sagas import ChainSaga, EchoSaga, PausedSaga, StuckSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

NOBODY = UUID("0197c7f0-0000-7000-8000-000000000001")


def carry_on() -> None:
    runtime.build_worker(using="default", once=True).run()


def test_the_status_is_read_afresh_each_time(ledger):
    handle = ChainSaga.start({})
    seen = [handle.status]
    carry_on()
    seen.append(handle.status)

    assert seen == [SagaStatus.RUNNING, SagaStatus.COMPLETED]


@pytest.mark.parametrize("timeout", [0, 0.05, timedelta(milliseconds=50)])
def test_a_result_that_is_not_there_in_time_is_told_and_the_saga_goes_on(ledger, timeout):
    handle = EchoSaga.start("x")

    with pytest.raises(
        SagaNotFinished, match=f"Saga start_echo {handle.id} is still running after"
    ) as raised:
        handle.result(timeout=timeout)

    assert isinstance(raised.value, TimeoutError)
    carry_on()
    assert handle.result(timeout=timeout) == "x"


def test_a_handle_of_a_saga_by_its_id_is_the_same(ledger):
    handle = EchoSaga.start("x")

    assert {EchoSaga.get(handle.id), EchoSaga.get(str(handle.id)), EchoSaga.get(handle.id.hex)} == {handle}
    assert Saga.get(handle.id).name == "start_echo"
    assert repr(handle) == f"<SagaHandle start_echo {handle.id}>"


@pytest.mark.parametrize("wrong", [NOBODY, str(NOBODY), "no id", "", 7, None, "\0", "x" * 500])
def test_a_wrong_id_is_not_found(wrong):
    with pytest.raises(SagaNotFound, match=r"^There is no saga .*\.$"):
        EchoSaga.get(wrong)


def test_a_saga_of_another_class_is_not_found():
    handle = EchoSaga.start("x")

    with pytest.raises(SagaNotFound, match=f"^Saga {handle.id} is of start_echo, not of start_chain.$"):
        ChainSaga.get(handle.id)


def test_the_handle_of_a_rolled_back_start_says_so():
    with transaction.atomic():
        handle = EchoSaga.start("x")
        transaction.set_rollback(True)

    for ask in (lambda: handle.status, lambda: handle.result(timeout=1), handle.cancel):
        with pytest.raises(SagaNotFound, match=f"There is no saga {handle.id}"):
            ask()


# --- cancel ---------------------------------------------------------------------------------------


def test_a_saga_that_has_not_begun_is_cancelled_without_any_effect(ledger):
    handle = ChainSaga.start({})

    handle.cancel("ordered twice")

    assert handle.status is SagaStatus.COMPENSATED
    with pytest.raises(SagaFailed, match="was undone: cancelled"):
        handle.result(timeout=0)
    carry_on()
    assert ledger.lines() == []
    event = SagaEvent.objects.get(saga_id=handle.id, kind="cancel_requested")
    assert event.error == "ordered twice"
    assert [(step.name, step.status) for step in SagaStep.objects.all()] == [("first", "skipped")]


def test_a_saga_cancelled_half_way_undoes_what_was_done(ledger):
    ledger.open("first")
    handle = PausedSaga.start()
    runtime.build_worker(using="default", queue_names=["default"], once=True).run()

    handle.cancel()
    carry_on()

    assert handle.status is SagaStatus.COMPENSATED
    assert ledger.steps() == ["first:do", "first:undo"]


@pytest.mark.parametrize("saga", [EchoSaga, StuckSaga], ids=["completed", "stuck"])
def test_what_has_ended_cannot_be_cancelled(ledger, saga):
    handle = saga.run("x")
    before = SagaEvent.objects.count()

    with pytest.raises(OperationRefused, match=f"Saga {handle.id} cannot be cancelled: "):
        handle.cancel()

    assert SagaEvent.objects.count() == before


def test_a_saga_cancelled_twice_is_cancelled_once():
    handle = ChainSaga.start({})
    handle.cancel()

    with pytest.raises(OperationRefused):
        handle.cancel()

    assert SagaEvent.objects.filter(kind="cancel_requested").count() == 1


def test_a_cancel_in_a_transaction_that_rolls_back_never_was(ledger):
    handle = EchoSaga.start("x")

    with transaction.atomic():
        handle.cancel()
        transaction.set_rollback(True)
    carry_on()

    assert handle.result(timeout=0) == "x"


def test_a_refused_cancel_leaves_the_callers_transaction_usable(ledger):
    handle = EchoSaga.run("x")

    with transaction.atomic():
        with pytest.raises(OperationRefused):
            handle.cancel()
        other = EchoSaga.start("y")

    assert other.status is SagaStatus.RUNNING


# --- async twins ----------------------------------------------------------------------------------


def in_a_loop(main):
    async def run():
        try:
            return await main()
        finally:
            await asyncio.get_running_loop().shutdown_default_executor()

    from asgiref.sync import async_to_sync

    return async_to_sync(run)()


def test_the_async_twins_do_what_the_others_do(ledger):
    async def main():
        handle = await EchoSaga.astart("x", idempotency_key="k")
        assert await handle.astatus() is SagaStatus.RUNNING
        assert await EchoSaga.aget(handle.id) == handle
        with pytest.raises(SagaNotFinished):
            await handle.aresult(timeout=0)
        ran = await EchoSaga.arun("x", idempotency_key="k")
        assert ran == handle
        assert await ran.aresult(timeout=0) == "x"
        assert (await ran.astate_at(timezone.now())).status is SagaStatus.COMPLETED
        cancelled = await ChainSaga.astart({})
        await cancelled.acancel("no more")
        with pytest.raises(SagaFailed):
            await cancelled.aresult(timeout=0)
        many = await EchoSaga.abulk_start(["a", "b"])
        return [handle, cancelled, *many]

    handles = in_a_loop(main)

    assert [handle.status.value for handle in handles] == ["completed", "compensated", "running", "running"]


def test_hundreds_may_wait_for_results_at_once_without_a_thread_or_connection_each(ledger):
    handles = EchoSaga.bulk_start(range(200))

    async def main():
        waiting = [asyncio.ensure_future(handle.aresult(timeout=30)) for handle in handles]
        await asyncio.sleep(0)
        await asyncio.to_thread(carry_on_elsewhere)
        return await asyncio.gather(*waiting)

    assert in_a_loop(main) == list(range(200))


def carry_on_elsewhere() -> None:
    try:
        carry_on()
    finally:
        connection.close()


def test_an_aresult_that_is_cancelled_leaves_nothing_behind(ledger):
    handle = EchoSaga.start("x")

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await handle.aresult()
        return "left at once"

    assert in_a_loop(main) == "left at once"
