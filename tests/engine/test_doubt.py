"""An attempt that cannot tell how it ended is in doubt, whatever its policy says about trying again."""

import pytest

from django_saga import OutcomeUnknown, Retry, Saga, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import assert_saga_invariants

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.fault("F47")
@pytest.mark.parametrize("error", [OutcomeUnknown, TimeoutError, ConnectionResetError])
@pytest.mark.parametrize(
    "policy",
    [Retry(retry_on=(KeyError,)), Retry(give_up_on=(Exception,)), Retry(attempts=1)],
    ids=["not asked for", "given up on", "no attempts left"],
)
def test_a_step_in_doubt_that_is_not_tried_again_is_undone(error, policy):
    undone = []
    with registry.isolated():

        class TransferSaga(Saga):
            @step(retry=policy)
            def transfer(self, ctx):
                raise error("the line went dead")

            @transfer.compensation
            def recall(self, ctx):
                undone.append((ctx.outcome, ctx.result))

        handle = TransferSaga.run()

        assert handle.status == "compensated"
        assert undone == [("unknown", None)]
        assert SagaStep.objects.get().outcome == "unknown"
        kinds = SagaEvent.objects.order_by("pk").values_list("kind", "attempt")
        assert list(kinds) == [("saga_started", 0), ("step_unknown", 1), ("step_succeeded", 1)]
        assert_saga_invariants()


@pytest.mark.fault("F47")
def test_a_refused_connection_is_a_failure_and_no_doubt():
    with registry.isolated():

        class TransferSaga(Saga):
            @step(retry=Retry(attempts=1))
            def transfer(self, ctx):
                raise ConnectionRefusedError("nobody listens")

            @transfer.compensation
            def recall(self, ctx):
                raise AssertionError("there is nothing to undo")

        assert TransferSaga.run().status == "compensated"
        assert SagaStep.objects.get().status == "failed"
        assert_saga_invariants()
