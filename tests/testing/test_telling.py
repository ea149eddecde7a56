"""A test that fails shows what happened to its sagas."""

from __future__ import annotations

import pytest
from django.db import transaction

from django_saga.models import SagaInstance
from django_saga.testing import SagaLab, assert_compensated, saga_story
from tests.sagas.lab_sagas import LabSaga

FIVE = {"amount": 5}


def test_an_error_that_leaves_the_block_gets_the_stories_of_the_sagas(db, bank):
    def test() -> None:
        with SagaLab() as lab:
            lab.fail_at("ship", TimeoutError("no answer"), times=None)
            lab.fail_at("reserve", RuntimeError("jammed"), undo=True, times=None)
            saga = LabSaga.start(FIVE)
            lab.run()
            assert_compensated(saga)

    with pytest.raises(AssertionError) as raised:
        test()

    saga = LabSaga.get(SagaInstance.objects.get().pk)
    [story] = raised.value.__notes__
    assert story == saga_story(saga)
    lines = [line.split(" at 0x")[0] for line in story.splitlines()]
    assert lines[:5] == [
        f"Story of lab v1 {saga.id}: stuck (failed at ship)",
        "  reserve: undo failed",
        "    attempt 1: succeeded",
        *[f"    undo, attempt {number}: failed: RuntimeError: jammed" for number in (1, 2)],
    ]
    assert "    given up: attempts spent" in lines
    assert "    attempt 3: unknown: TimeoutError: reported: no answer" in lines
    assert "The last error" not in story


def test_a_story_ends_with_the_last_error_in_the_saga_s_own_code(db, bank):
    bank.take = None
    with SagaLab() as lab:
        saga = LabSaga.start(FIVE)
        lab.fail_at("reserve", RuntimeError("planned"), undo=True)
        lab.run()

    lines = saga_story(saga).splitlines()
    at = lines.index("The last error in its code, at charge:")
    assert lines[at + 1] == "  Traceback (most recent call last):"
    assert lines[-1] == "  TypeError: 'NoneType' object is not callable"


def test_a_broken_database_hides_no_error(db, bank):
    def test() -> None:
        with SagaLab() as lab:
            LabSaga.start(FIVE)
            lab.run()
            transaction.set_rollback(True)  # no query is allowed from here on
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        test()

    transaction.set_rollback(False)
    assert raised.value.__notes__[0].startswith("The sagas' stories cannot be read any more: ")
