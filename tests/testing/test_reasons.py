"""Every compensation hears why its saga turned back, whatever the compensations before it said."""

from __future__ import annotations

import pytest

from django_saga import OutcomeUnknown, PermanentFailure, Retry, RetryLater, Saga, step
from django_saga.dsl.registry import registry
from django_saga.testing import assert_saga_invariants

PARTIAL = PermanentFailure("no room for two", compensation_data={"stowed": 1})
UNKNOWN = OutcomeUnknown("no answer")


@pytest.mark.parametrize(
    ("error", "why"),
    [(PARTIAL, "failed at stow: no room for two"), (UNKNOWN, "failed at stow: reported: no answer")],
    ids=["partial work", "in doubt"],
)
def test_a_step_that_is_undone_itself_is_still_heard_by_the_others(lab, error, why):
    heard = []
    with registry.isolated():

        class StowSaga(Saga):
            name = "reasons"

            @step
            def reserve(self, ctx): ...

            @reserve.compensation
            def release(self, ctx):
                heard.append(("release", ctx.error))

            @step(retry=Retry(attempts=1))
            def stow(self, ctx):
                raise error

            @stow.compensation
            def clear(self, ctx):
                heard.append(("clear", ctx.error))
                if len(heard) == 1:
                    raise RetryLater(1, "the door is jammed")

        saga = StowSaga.start()
        lab.run()

        assert saga.status == "compensated"
        assert heard == [("clear", why), ("clear", why), ("release", why)]
        assert_saga_invariants()
