"""The table of legal moves: what is not in it is refused; a stored history gives the same state again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from itertools import product
from types import MappingProxyType

import pytest

from django_saga.core import events, machine
from django_saga.core.decision import Decision
from django_saga.core.events import Cause, Event
from django_saga.core.state import ASKING, SagaState, StepState
from django_saga.core.states import Outcome, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import ENDINGS, EPOCH, Player, define, stored

DIAMOND = "a b<a c<a d<bc"
KINDS = sorted(events.EVENTS)


def example(kind: str, *, step: str = "a", undo: bool = False) -> Event:
    """Make an event of ``kind`` about ``step``."""
    cls = events.EVENTS[kind]
    if issubclass(cls, events.StepEvent):
        return cls(step=step, attempt=1, undo=undo)
    return cls(step=step) if issubclass(cls, (events.UndoRetried, events.Settled)) else cls()


def state(saga: SagaStatus, step: StepStatus) -> SagaState:
    """Give a saga of one step, which cannot be changed without notice."""
    opened = step in (StepStatus.SCHEDULED, StepStatus.UNDO_SCHEDULED)
    a = StepState("a", step, attempt=1, outcome=Outcome.SUCCEEDED, due_at=EPOCH if opened else None)
    return SagaState(saga, MappingProxyType({"a": a}), reason="failed", culprit="a")


# --- the table ------------------------------------------------------------------------------------


def test_the_table_holds_these_moves_and_no_other():
    word = {"saga_paused", "saga_resumed", "saga_superseded"}
    always = {"step_succeeded", "step_failed", "step_unknown", "step_waits", *word}
    always |= {"condition_met", "condition_not_met"}
    forward = {*always, "deadline_passed", "cancel_requested"}
    back = {*always, "step_not_started", "undo_retried", "undo_skipped"}

    settled = {"step_retried", "step_skipped", "step_marked_done", "compensate_requested"}

    found: dict[str, set[str]] = {status.value: set() for status in SagaStatus}
    for status, kind in machine.RULES:
        found[status].add(kind.kind)

    assert found == {
        "pending": {*forward, "compensate_requested", "locks_granted", "taken_back"},
        "running": {*forward, *settled, "taken_back"},
        "compensating": back,
        "completed": {"taken_back"},
        "compensated": set(),
        "stuck": {
            *settled,
            *("undo_retried", "undo_skipped"),
            *("saga_resumed", "saga_superseded", "taken_back"),
        },
        "superseded": set(),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", SagaStatus)
def test_a_move_that_is_not_in_the_table_is_refused_and_changes_nothing(status, kind):
    if (status, events.EVENTS[kind]) in machine.RULES:
        return
    for step, undo in product(StepStatus, (False, True)):
        before, untouched = state(status, step), state(status, step)

        with pytest.raises(IllegalTransition, match=f"a saga that is {status} takes no event {kind}"):
            machine.decide(define("a"), before, example(kind, undo=undo), now=EPOCH)

        assert before == untouched


@pytest.mark.parametrize("status", [s for s in SagaStatus if s.is_terminal])
@pytest.mark.parametrize("kind", KINDS)
def test_a_terminal_saga_takes_no_event(status, kind):
    if (status, kind) == (SagaStatus.COMPLETED, "taken_back"):
        return  # what started it is undone
    with pytest.raises(IllegalTransition):
        machine.decide(define("a"), state(status, StepStatus.SUCCEEDED), example(kind), now=EPOCH)


OUTCOMES = [kind for kind in KINDS if issubclass(events.EVENTS[kind], events.StepEvent)]
OPEN_FOR = {(StepStatus.SCHEDULED, False), (StepStatus.WAITING, False), (StepStatus.UNDO_SCHEDULED, True)}
ANSWERS = ("condition_met", "condition_not_met")


@pytest.mark.parametrize("kind", OUTCOMES)
@pytest.mark.parametrize("step", StepStatus)
@pytest.mark.parametrize("undo", [False, True])
def test_a_step_takes_an_outcome_only_while_it_is_open_for_it(kind, step, undo):
    before = state(SagaStatus.COMPENSATING, step)
    if kind in ANSWERS and step is StepStatus.SCHEDULED:
        before = before._replace(steps={"a": before.steps["a"]._replace(reason=ASKING)})
    event = example(kind, undo=undo)
    # A compensation is never called off, and has no condition; a step that waits has had its answer.
    answered = kind in ANSWERS and step is StepStatus.WAITING
    if (step, undo) in OPEN_FOR and not answered and not (undo and kind in ("step_not_started", *ANSWERS)):
        assert isinstance(machine.decide(define("a"), before, event, now=EPOCH), Decision)
        return

    with pytest.raises(IllegalTransition, match=f"step a (is {step}|says is known)"):
        machine.decide(define("a"), before, event, now=EPOCH)


@pytest.mark.parametrize("name", ["b", "nobody"])
def test_a_step_that_was_not_opened_takes_no_outcome(name):
    player = Player(define("a b<a"))

    with pytest.raises(IllegalTransition, match=f"step {name} is not opened"):
        machine.decide(player.definition, player.state, example("step_failed", step=name), now=EPOCH)


@pytest.mark.parametrize("how", sorted(ENDINGS))
def test_an_outcome_cannot_be_recorded_twice(how):
    player = Player(define("a b<a", atomic="b"))
    player.end("a")
    claim = player.claim("b")
    player.cancel()
    player.end(claim, how)
    before = player.state

    with pytest.raises(IllegalTransition):
        machine.decide(player.definition, before, player.history[-1][0], now=player.now)

    assert player.state == before


# --- what is opened -------------------------------------------------------------------------------


def test_a_join_is_opened_once_by_whichever_branch_ends_last():
    for first, last in ("bc", "cb"):
        player = Player(define(DIAMOND))
        player.end("a")

        player.end(first)
        assert "d" not in player.state.steps
        player.end(last)

        assert player.statuses() == {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "scheduled"}


def test_recording_a_success_touches_only_the_step_and_what_it_opens():
    player = Player(define("a b c<a d<c"))

    decision = machine.decide(player.definition, player.state, example("step_succeeded"), now=EPOCH)

    assert sorted(decision.steps) == ["a", "c"]


def test_a_saga_is_completed_when_its_last_end_succeeded():
    player = Player(define("a b<a c<a"))
    player.end("a")
    player.end("b")
    assert player.state.status is SagaStatus.RUNNING

    player.end("c")

    assert player.state.status is SagaStatus.COMPLETED


def test_the_machine_asks_for_no_more_steps_than_it_needs():
    chain, join = define("a b<a c<b"), define(DIAMOND)
    event = example("step_succeeded", step="b")

    assert machine.reads(chain, SagaStatus.RUNNING, event) == frozenset()
    assert machine.reads(join, SagaStatus.RUNNING, event) == {"c"}
    assert machine.reads(chain, SagaStatus.COMPENSATING, event) == {"a"}
    assert machine.reads(join, SagaStatus.COMPENSATING, event) is None
    assert machine.reads(join, SagaStatus.RUNNING, example("step_failed")) is None


# --- history --------------------------------------------------------------------------------------


def every_event() -> Iterator[Event]:
    """Give events with every fact set, and without any."""
    at = EPOCH.replace(microsecond=1, tzinfo=timezone(timedelta(hours=2)))
    for kind in KINDS:
        yield example(kind)
        yield example(kind, undo=True)
        yield replace(example(kind), in_flight=("b", "c"))
    yield events.SagaStarted(starts_at=at, deadline_at=EPOCH)
    yield events.SagaStarted(held=True)
    yield events.StepFailed(step="a", attempt=3, retry_after=timedelta(microseconds=1), chance=0.1 + 0.2)
    yield events.StepUnknown(step="a", cause=Cause.REPORTED, permanent=True)
    yield events.StepFailed(step="a", permanent=True, partial=True, retry_after=timedelta(0))
    for cause in Cause:
        yield events.StepUnknown(step="a", attempt=2, undo=True, cause=cause, crash_limit=0, chance=1.0)


@pytest.mark.parametrize("event", list(every_event()), ids=str)
def test_an_event_survives_its_row_of_the_history(event):
    again = stored.__wrapped__(event)

    assert (again, type(again)) == (event, type(event))
    assert {name: type(getattr(again, name)) for name in event.__dataclass_fields__} == {
        name: type(getattr(event, name)) for name in event.__dataclass_fields__
    }


def test_an_event_s_data_leaves_out_what_has_columns_and_what_is_as_usual():
    plain = events.to_data(events.StepSucceeded(step="a", attempt=2))
    full = events.to_data(
        events.StepUnknown(step="a", cause=Cause.WORKER_LOST, chance=0.5, undo=True, in_flight=("b",))
    )

    assert json.loads(json.dumps([plain, full])) == [
        {},
        {"cause": "worker lost", "chance": 0.5, "undo": True, "in_flight": ["b"]},
    ]


def test_folding_a_history_gives_the_state_at_each_of_its_points():
    player = Player(define(DIAMOND, attempts=2, delay=7), crash_limit=2)
    states = [player.state]
    for name, how in [
        ("a", "failed"),
        ("a", "lost"),
        ("a", "succeeded"),
        ("c", "timed out"),
        ("b", "partial"),
    ]:
        if name not in player.due():
            player.advance()
        player.end(name, how)
        states.append(player.state)

    folded = [machine.fold(player.definition, player.history[:end]) for end in range(1, len(states) + 1)]

    assert folded == states


def test_a_history_has_to_begin_with_the_start():
    with pytest.raises(IllegalTransition, match="begins with saga_started, not cancel_requested"):
        machine.fold(define("a"), [(events.CancelRequested(), EPOCH)])
