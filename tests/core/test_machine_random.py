"""Random histories of random sagas, with workers that crash, stop, come back late and record twice.

``SAGA_TEST_EXAMPLES`` and ``SAGA_TEST_STEPS`` set how much is played. A failure prints the shortest history
that fails, and the ``SAGA_TEST_SEED`` that finds it again.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, event, given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_saga.core import machine
from django_saga.core.compensation import wave
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.retry import Retry
from django_saga.core.state import StepState
from django_saga.core.states import LIVE_STEP, CompensationPolicy, FailurePolicy, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_laws import FORWARD
from tests.core.machine_play import ENDINGS, EPOCH, Claim, Late, Player, ending

EXAMPLES = int(os.environ.get("SAGA_TEST_EXAMPLES", "200"))
STEPS = int(os.environ.get("SAGA_TEST_STEPS", "40"))
SEED = int(os.environ.get("SAGA_TEST_SEED") or random.randrange(2**32))
CRASH_LIMITS = st.integers(0, 3)
STARTS = st.sampled_from([None, None, -5, 30])  # seconds from now
WAYS = sorted(set(ENDINGS) - {"not started", "partial"})
WORKERS = ("one", "two", "three")

# Machines that run the tests may be slow, and a saga that came to its end has few moves left.
patient = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
choices = st.booleans()
sizes = st.integers(1, 6)
deadlines = st.none() | st.integers(1, 90).map(lambda seconds: timedelta(seconds=seconds))
retries = st.builds(
    Retry,
    attempts=st.integers(1, 3),
    delay=st.sampled_from([0, 0, 5, 20]),
    factor=st.sampled_from([1, 2.5]),
    max_delay=st.just(60),
    jitter=st.sampled_from([0, 0.5, 1]),
)


@st.composite
def definitions(draw: st.DrawFn) -> SagaDefinition:
    """Draw a saga of up to six steps: any graph, any policies, with and without compensations."""
    steps: list[StepDefinition] = []
    for name in "abcdef"[: draw(sizes)]:
        before = [step.name for step in steps]
        after = tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=3))) if before else ()
        compensated = draw(choices)
        steps.append(
            StepDefinition(
                name=name,
                after=after,
                retry=draw(retries),
                deadline=draw(deadlines),
                atomic=draw(choices),
                undo=UndoDefinition(function="undo", retry=draw(retries)) if compensated else None,
                no_compensation=not compensated,
            )
        )
    failure_policy = draw(st.sampled_from(FailurePolicy))
    return SagaDefinition(
        name="random",
        steps=tuple(steps),
        failure_policy=failure_policy,
        grace=timedelta(seconds=5) if failure_policy is FailurePolicy.FAIL_FAST_WITH_GRACE else None,
        compensation_policy=draw(st.sampled_from(CompensationPolicy)),
    )


@seed(SEED)
class Sagas(RuleBasedStateMachine):
    """One saga at a time, three workers, an operator and a clock, in any order."""

    @initialize(definition=definitions(), crash_limit=CRASH_LIMITS, later=STARTS)
    def start(self, definition: SagaDefinition, crash_limit: int, later: int | None) -> None:
        self._start(definition, crash_limit, later)

    @precondition(lambda self: self.player.state.status.is_terminal)
    @rule(definition=definitions(), crash_limit=CRASH_LIMITS, later=STARTS)
    def start_another(self, definition: SagaDefinition, crash_limit: int, later: int | None) -> None:
        self._start(definition, crash_limit, later)

    def _start(self, definition: SagaDefinition, crash_limit: int, later: int | None) -> None:
        starts_at = None if later is None else EPOCH + timedelta(seconds=later)
        self.player = Player(definition, crash_limit=crash_limit, starts_at=starts_at)
        self.begun: set[Claim] = set()
        self.repeated = 0  # the length of the history when its last event was recorded again
        self.late: list[Claim] = []  # attempts of workers that lost them and do not know it

    # --- workers

    @precondition(lambda self: self._open())
    @rule(data=st.data(), count=st.integers(1, 4))
    def go_well(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            if names := self._open():
                self.player.end(self._begun(data.draw(st.sampled_from(names))))

    @precondition(lambda self: self.player.due())
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def claim(self, data: st.DataObject, worker: str) -> None:
        self.player.claim(data.draw(st.sampled_from(self.player.due())), worker)

    @precondition(lambda self: self._open())
    @rule(data=st.data(), how=st.sampled_from(WAYS), chance=st.floats(0, 1))
    def finish(self, data: st.DataObject, how: str, chance: float) -> None:
        facts = {} if how == "succeeded" else {"chance": chance}
        self.player.end(self._begun(data.draw(st.sampled_from(self._open()))), how, **facts)

    @precondition(lambda self: self._open_forward())
    @rule(data=st.data(), permanent=st.booleans())
    def finish_with_partial_work(self, data: st.DataObject, permanent: bool) -> None:
        name = data.draw(st.sampled_from(self._open_forward()))
        self.player.end(self._begun(name), "partial", permanent=permanent)

    @precondition(lambda self: self._open())
    @rule(data=st.data(), wait=st.integers(0, 100))
    def ask_to_be_retried_later(self, data: st.DataObject, wait: int) -> None:
        name = data.draw(st.sampled_from(self._open()))
        self.player.end(self._begun(name), "failed", retry_after=timedelta(seconds=wait))

    @precondition(lambda self: self._not_begun())
    @rule(data=st.data())
    def find_that_a_claimed_step_is_no_longer_wanted(self, data: st.DataObject) -> None:
        self.player.end(self.player.claims[data.draw(st.sampled_from(self._not_begun()))], "not started")

    @precondition(lambda self: self.player.claims)
    @rule(worker=st.sampled_from(WORKERS))
    def crash(self, worker: str) -> None:
        for claim in self._claims_of(worker):
            self.player.end(claim, "lost")

    @precondition(lambda self: self.player.claims)
    @rule(worker=st.sampled_from(WORKERS))
    def pause_until_the_leases_are_lost(self, worker: str) -> None:
        for claim in self._claims_of(worker):
            self.player.end(claim, "lost")
            self.late.append(claim)

    @precondition(lambda self: self.player.claims)
    @rule(worker=st.sampled_from(WORKERS))
    def stop(self, worker: str) -> None:
        for claim in self._claims_of(worker):
            self.player.end(claim, "released")
            self.late.append(claim)

    @precondition(lambda self: self.late)
    @rule(data=st.data(), how=st.sampled_from(sorted(ENDINGS)))
    def come_back_late(self, data: st.DataObject, how: str) -> None:
        before, claim = self.player.state, data.draw(st.sampled_from(self.late))
        with pytest.raises(Late):
            self.player.end(claim, how)
        assert self.player.state is before
        step = before.steps[claim.step]
        if not step.is_open or step.undoing is not claim.undo:
            # Without a token to tell, the machine refuses it all the same.
            with pytest.raises(IllegalTransition):
                self.player.feed(ending(how, claim.step, claim.attempt, claim.undo, self.player.crash_limit))

    # --- everyone else

    @precondition(lambda self: self.repeated < len(self.player.history))
    @rule()
    def record_the_last_event_again(self) -> None:
        last, before = self.player.history[-1][0], self.player.state
        self.repeated = len(self.player.history)
        step = getattr(last, "step", "")
        if step in before.steps and before.steps[step].is_open:
            return  # open again: it is the token that refuses the old attempt
        with pytest.raises(IllegalTransition):
            self.player.feed(last)
        assert self.player.state is before

    @precondition(lambda self: self._waits())
    @rule(by=st.integers(1, 40))
    def let_time_pass(self, by: int) -> None:
        self.player.advance(timedelta(seconds=by))

    @precondition(lambda self: not self._open() and self._waits())
    @rule()
    def wait_for_the_next_step(self) -> None:
        self.player.advance()

    @precondition(lambda self: self.player.state.status in FORWARD and len(self.player.history) > 3)
    @rule(word=st.sampled_from(["cancel", "pass_deadline"]))
    def turn_back(self, word: str) -> None:
        getattr(self.player, word)()

    @precondition(lambda self: self._dead())
    @rule(data=st.data())
    def retry_a_dead_compensation(self, data: st.DataObject) -> None:
        self.player.retry_undo(data.draw(st.sampled_from(self._dead())))

    @precondition(lambda self: self._dead())
    @rule(data=st.data())
    def skip_a_dead_compensation(self, data: st.DataObject) -> None:
        self.player.skip_undo(data.draw(st.sampled_from(self._dead())))

    # --- what holds

    @invariant()
    def the_history_folds_to_the_state(self) -> None:
        assert self.player.folded() == self.player.state

    def teardown(self) -> None:
        """Let everything go well from here: the saga comes to its end."""
        if not hasattr(self, "player"):
            return
        player = self.player
        event(f"left {player.state.status}")
        for _ in range(100):
            for name in self._dead() if player.state.status is SagaStatus.STUCK else ():
                player.retry_undo(name)
            if player.state.status.is_terminal:
                break
            if not player.claims and not player.due():
                player.advance()
            player.end(next(iter(player.claims or player.due())))
        assert player.state.status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)
        assert player.folded() == player.state

    # --- looking

    def _open(self) -> list[str]:
        """Name the steps that are owned or may be."""
        return sorted(self.player.claims) + self.player.due()

    def _waits(self) -> bool:
        """True when time makes a difference."""
        now, steps = self.player.now, self.player.state.steps.values()
        return any(step.deadline_at or (step.due_at and step.due_at > now) for step in steps)

    def _open_forward(self) -> list[str]:
        return [name for name in self._open() if not self.player.state.steps[name].undoing]

    def _begun(self, name: str) -> Claim:
        """Give the claim of a step whose function has begun, here at the latest."""
        claim = self.player.claims.get(name) or self.player.claim(name)
        if claim not in self.begun:
            self.player.begin(claim)
            self.begun.add(claim)
        return claim

    def _claims_of(self, worker: str) -> list[Claim]:
        return [claim for claim in self.player.claims.values() if claim.worker == worker]

    def _dead(self) -> list[str]:
        steps = self.player.state.steps.items()
        return [name for name, step in steps if step.status is StepStatus.UNDO_FAILED]

    def _not_begun(self) -> list[str]:
        """Name the claimed steps of a saga that turned back whose function has not begun."""
        if self.player.state.status in FORWARD:
            return []
        claims = self.player.claims.values()
        return [claim.step for claim in claims if not claim.undo and claim not in self.begun]


def test_random_histories_keep_all_laws_and_come_to_their_end():
    print(f"SAGA_TEST_SEED={SEED}")

    run_state_machine_as_test(
        Sagas, settings=settings(patient, max_examples=EXAMPLES, stateful_step_count=STEPS)
    )


# --- properties of single functions ---------------------------------------------------------------

AT_REST = sorted(set(StepStatus) - LIVE_STEP)


@st.composite
def step_states(draw: st.DrawFn, name: str) -> StepState:
    return StepState(
        name,
        draw(st.sampled_from([*AT_REST, StepStatus.SCHEDULED, StepStatus.UNDO_SCHEDULED])),
        attempt=draw(st.integers(0, 3)),
        partial=draw(st.booleans()),
        due_at=EPOCH,
    )


@st.composite
def half_done(draw: st.DrawFn) -> tuple[SagaDefinition, dict[str, StepState]]:
    """Draw a saga and any states for any of its steps, also such that no history leads to."""
    definition = draw(definitions())
    names = draw(st.sets(st.sampled_from([step.name for step in definition.steps])))
    return definition, {name: draw(step_states(name)) for name in sorted(names)}


@patient
@given(half_done())
def test_what_may_be_undone_is_found_in_one_wave(saga):
    definition, steps = saga

    first = wave(definition, steps, EPOCH)
    second = wave(definition, {**steps, **first.scheduled}, EPOCH)

    assert (second.scheduled, second.finished) == ({}, first.finished and not first.scheduled)


@patient
@given(half_done(), st.data())
def test_undoing_one_step_more_never_takes_back_another_s_turn(saga, data):
    definition, steps = saga
    first = wave(definition, steps, EPOCH).scheduled
    steps = {**steps, **first}
    busy = sorted(name for name, step in steps.items() if step.is_open)
    before = wave(definition, steps, EPOCH)

    if busy:
        done = data.draw(st.sampled_from(busy))
        steps = {**steps, done: steps[done]._replace(status=StepStatus.UNDONE)}
    after = wave(definition, steps, EPOCH)

    assert before.scheduled.keys() <= after.scheduled.keys()
    assert after.finished >= before.finished


@patient
@given(half_done())
def test_wave_schedules_only_steps_at_rest_that_have_a_compensation_and_leaves_its_input_alone(saga):
    definition, steps = saga
    copy = dict(steps)

    found = wave(definition, steps, EPOCH).scheduled

    assert steps == copy
    assert all(steps[name].status not in LIVE_STEP and definition[name].undo for name in found)


@patient
@given(definitions(), st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 5)), max_size=12))
def test_the_same_events_give_the_same_decisions_and_no_state_on_the_way_ever_changes(definition, script):
    player = Player(definition)
    states = [player.state]
    texts = [repr(player.state)]
    for how, pick in script:
        if not player.due() and player.next_due() is not None:
            player.advance()
        if due := player.due():
            player.end(due[pick % len(due)], how)
            states.append(player.state)
            texts.append(repr(player.state))

    replayed = [states[0]]
    for fact, at in player.history[1:]:
        decisions = [machine.decide(definition, replayed[-1], fact, now=at) for _ in range(3)]
        assert decisions[0] == decisions[1] == decisions[2]
        replayed.append(machine.apply(replayed[-1], decisions[0]))

    assert replayed == states
    assert [repr(state) for state in states] == texts
