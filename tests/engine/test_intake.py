"""The lines a worker claims from take turns, so that none starves beside one that always has something."""

from __future__ import annotations

import time

from django_saga.core.definition import SagaDefinition, StepDefinition
from django_saga.core.lanes import ALONE
from django_saga.core.limits import Limits
from django_saga.core.state import ASKING, StepState
from django_saga.core.states import StepStatus
from django_saga.engine.intake import Intake, Suspects, lane_of
from django_saga.engine.polling import Polling

SOON = 0.02  # seconds; longer than a line that found something, or was put off, waits for its next look


def lines_due(intake: Intake, now: float) -> list[str]:
    return [line.queue for line, _ in intake.due(now, {})]


def test_a_line_that_had_steps_puts_the_others_off_once_and_goes_last():
    intake = Intake({}, ["busy", "quiet"], Suspects.ONLY, polling=lambda: Polling(30))
    now = time.monotonic()
    [(busy, _), (quiet, _)] = list(intake.due(now, {}))

    busy.polling.looked(found=True, left_behind=False)
    intake.found_in(busy)
    put_off_until = quiet.polling.next_at
    busy.polling.looked(found=True, left_behind=True)
    intake.found_in(busy)

    assert (busy.executor, lines_due(intake, now)) == (ALONE, ["busy"])  # of which it left some behind
    assert quiet.polling.next_at == put_off_until < now + SOON
    assert lines_due(intake, now + SOON)[0] == "quiet"


def test_after_a_rest_the_line_that_had_steps_last_is_looked_at_first():
    intake = Intake({}, ["a", "b"], Suspects.ONLY, polling=lambda: Polling(30))
    now = time.monotonic()
    [(a, _), (b, _)] = list(intake.due(now, {}))
    a.polling.looked(found=True, left_behind=False)
    intake.found_in(a)
    intake.wake()
    assert lines_due(intake, now) == ["b", "a"]  # no rest: ``a`` may have more than its share

    for line in (a, b):
        line.polling.looked(found=False, left_behind=False)
    intake.wake()

    assert lines_due(intake, now) == ["a", "b"]


def test_a_line_that_sleeps_is_not_woken_by_what_others_find():
    intake = Intake({}, ["busy", "quiet"], Suspects.ONLY, polling=lambda: Polling(30))
    [(busy, _), (quiet, _)] = list(intake.due(time.monotonic(), {}))
    quiet.polling.next_at = asleep_until = time.monotonic() + 10

    intake.found_in(busy)

    assert quiet.polling.next_at == asleep_until


def test_a_step_is_asked_for_in_a_lane_without_a_gate_and_run_in_its_own():
    step = StepDefinition(name="a", when="wanted", is_async=True, limits=Limits(max_concurrency=1))
    definition = SagaDefinition(name="order", steps=(step,))
    asking = StepState("a", StepStatus.SCHEDULED, reason=ASKING)

    def lane(state: StepState) -> str:
        return lane_of(definition, state, undo=False, max_crashes=4)

    gate = definition.gate_keys["a"]
    assert (lane(asking), lane(asking._replace(crashes=2))) == ("thread", ALONE)
    assert (lane(asking._replace(reason="")), gate) == (f"async{gate}", gate)
