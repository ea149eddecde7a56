"""A step in doubt is asked about before anything is undone."""

from __future__ import annotations

import pytest

from django_saga import OutcomeUnknown, PermanentFailure, Probe, Retry, Saga, SagaBuilder, part, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import assert_saga_invariants, saga_steps
from django_saga.testing.plan import Crash

LOST = OutcomeUnknown("no answer")


@pytest.fixture
def answers():
    """What the probe gives, one after the other: values, or errors that it raises."""
    return []


@pytest.fixture
def asked():
    """The keys the probe was asked with."""
    return []


@pytest.fixture
def saga(lab, answers, asked):
    with registry.isolated():

        class ProbedSaga(Saga):
            name = "probed"

            @step(retry=Retry(attempts=2, delay=60))
            def charge(self, ctx):
                return {"charge": 1}

            @charge.compensation
            def refund(self, ctx):
                asked.append(f"refund {ctx.outcome} {ctx.result}")

            @charge.probe(retry=Retry(attempts=3, delay=600), timeout=5)
            def find_charge(self, ctx):
                asked.append(ctx.idempotency_key.partition(":")[2])
                answer = answers.pop(0)
                if isinstance(answer, BaseException):
                    raise answer
                return answer

            @step(no_compensation=True)
            def ship(self, ctx):
                return ctx.results["charge"]

        assert not ProbedSaga.program.problems
        yield ProbedSaga
        assert_saga_invariants()


def test_a_step_that_happened_after_all_has_succeeded_with_the_result_that_was_found(
    lab, saga, answers, asked
):
    answers.append(Probe.HAPPENED({"charge": 7}))
    lab.fail_at("charge", LOST, after_effect=True, times=2)
    handle = saga.start()

    lab.run()

    assert (handle.result(timeout=1), asked) == ({"charge": 7}, ["charge:do"])
    told = SagaEvent.objects.filter(saga_id=handle.id, step="charge").order_by("id")
    assert [(event.kind, bool((event.data or {}).get("probe"))) for event in told] == [
        ("step_unknown", False),
        ("step_unknown", False),
        ("step_succeeded", True),
    ]


def test_a_step_that_did_not_happen_has_failed_and_is_not_undone(lab, saga, answers, asked):
    answers.append(Probe.DID_NOT_HAPPEN)
    lab.fail_at("charge", LOST, times=2)
    handle = saga.start()

    lab.run()

    assert (handle.status, saga_steps(handle), asked) == ("compensated", {"charge": "failed"}, ["charge:do"])
    row = SagaStep.objects.get(saga_id=handle.id)
    assert (row.reason, row.error) == ("did not happen", "the probe says: did not happen")


def test_a_probe_that_cannot_tell_is_asked_again_and_the_step_undone_in_the_end(lab, saga, answers, asked):
    answers += [Probe.CANNOT_TELL, OSError("no line"), Probe.CANNOT_TELL]
    lab.fail_at("charge", LOST, times=2)
    handle = saga.start()

    lab.run()

    assert saga_steps(handle) == {"charge": "undone"}
    assert asked == ["charge:do"] * 3 + ["refund unknown None"]


@pytest.mark.parametrize("wrong", [True, None, "happened", PermanentFailure("no such account")])
def test_a_probe_that_gives_no_answer_leaves_the_step_in_doubt(lab, saga, answers, asked, wrong):
    answers.append(wrong)
    lab.fail_at("charge", LOST, times=2)
    handle = saga.start()

    lab.run()

    assert saga_steps(handle) == {"charge": "undone"}
    said = SagaEvent.objects.get(saga_id=handle.id, kind="step_failed").error
    assert "Return Probe.HAPPENED, Probe.DID_NOT_HAPPEN, Probe.CANNOT_TELL" in said or said == str(wrong)


def test_a_probe_whose_worker_dies_is_taken_over_as_a_step_is(lab, saga, answers, asked):
    answers += [Crash(), Probe.HAPPENED({"charge": 7})]
    lab.fail_at("charge", LOST, times=2)
    handle = saga.start()

    lab.run()

    assert (handle.status, asked) == ("completed", ["charge:do", "charge:do"])
    assert SagaEvent.objects.filter(saga_id=handle.id, data__cause="worker lost", data__probe=True).exists()


def test_a_saga_cancelled_while_a_step_is_probed_undoes_it(lab, saga, answers, asked):
    answers.append(Probe.CANNOT_TELL)
    lab.fail_at("charge", LOST, times=2)
    handle = saga.start()
    for _ in range(2):
        lab.step()
        lab.advance(minutes=1)
    assert SagaStep.objects.get(saga_id=handle.id).reason == "being probed"

    handle.cancel()
    lab.run()

    assert saga_steps(handle) == {"charge": "undone"}
    assert asked[-1] == "refund unknown None"


def test_builders_take_probes_too(lab):
    with registry.isolated():

        def charge(ctx):
            raise LOST

        def refund(ctx):
            raise AssertionError("it did not happen")

        def find(ctx):
            return Probe.DID_NOT_HAPPEN

        once = Retry(attempts=1)
        built = (
            SagaBuilder("built")
            .step(charge, retry=once, compensate=refund, probe=part(find, retry=once))
            .build()
        )
        handle = built.start()

        lab.run()

        assert handle.status == "compensated"
