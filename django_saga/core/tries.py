"""What becomes of one step when it is opened, when an attempt of it ends, and when it is given up."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_saga.core import events
from django_saga.core.definition import SagaDefinition, StepDefinition
from django_saga.core.events import Cause, StepEvent
from django_saga.core.retry import Retry
from django_saga.core.state import ASKING, OMITTED, StepState
from django_saga.core.states import Outcome, StepStatus
from django_saga.core.waits import NEVER, WAITING

CRASH_LOOP = "crash loop"
SPENT = "attempts spent"
STEP_DEADLINE = "step deadline passed"
DISPROVED = "did not happen"
NO_ANSWER = "condition failed"


def opened(definition: SagaDefinition, name: str, due: datetime) -> StepState:
    """Open a step, with the deadline of all its attempts; if it has a condition, that is asked first."""
    spec = definition[name]
    deadline_at = due + spec.deadline if spec.deadline else None
    if spec.when:
        return StepState(name, StepStatus.SCHEDULED, due_at=due, deadline_at=deadline_at, reason=ASKING)
    return _begun(spec, due, deadline_at)


def _begun(spec: StepDefinition, due: datetime, deadline_at: datetime | None) -> StepState:
    if spec.wait is not None and spec.wait.period is not None:
        due += spec.wait.period
        return StepState(spec.name, StepStatus.WAITING, due_at=due, deadline_at=deadline_at, reason=WAITING)
    return StepState(spec.name, StepStatus.SCHEDULED, due_at=due, deadline_at=deadline_at)


def waiting(spec: StepDefinition, step: StepState, event: events.StepWaits) -> StepState:
    """Have the step wait on: a look that found nothing is no attempt. Each command has a deadline of its own
    for its reply.
    """
    return step._replace(
        status=step.status if event.undo else StepStatus.WAITING,
        attempt=event.attempt - 1,
        partial=step.partial or event.partial,
        due_at=event.until or NEVER,
        deadline_at=event.until if _sends_commands(spec) else step.deadline_at,
        reason=WAITING,
    )


def has_command_out(spec: StepDefinition, step: StepState) -> bool:
    """True while the other side may be at work on the step's command."""
    return _sends_commands(spec) and step.status is StepStatus.WAITING and step.partial


def _sends_commands(spec: StepDefinition) -> bool:
    return spec.wait is not None and spec.wait.sends_commands


def opened_again(definition: SagaDefinition, dead: StepState, now: datetime) -> StepState:
    """Open a dead step for fresh attempts: doubt stays, and what its condition said stands."""
    again = opened(definition, dead.name, now)
    if again.asking and dead.reason != NO_ANSWER:
        again = _begun(definition[dead.name], now, again.deadline_at)
    outcome = Outcome.UNKNOWN if dead.outcome is Outcome.UNKNOWN else Outcome.NONE
    return again._replace(outcome=outcome)


def to_run(spec: StepDefinition, step: StepState, now: datetime) -> StepState:
    """Open the function of a step whose condition is met."""
    return _begun(spec, now, step.deadline_at)


def omitted(step: StepState) -> StepState:
    """Close a step whose condition is not met."""
    return StepState(step.name, StepStatus.SKIPPED, reason=OMITTED)


def closed(step: StepState, status: StepStatus, event: StepEvent) -> StepState:
    """Close a step, or its compensation, that succeeded."""
    outcome = step.outcome if event.undo else Outcome.SUCCEEDED
    partial = step.partial and event.undo
    # Made anew where it happens thousands of times a second: ``_replace`` takes several times as long.
    return StepState(step.name, status, event.attempt, step.crashes, outcome, partial)


def doubted(step: StepState, event: events.StepUnknown, spec: StepDefinition) -> StepState:
    """Note that an attempt may have had its effect, unless one that was not recorded has none, as one of a
    condition. Whoever owes a reply may have done what he was asked for.
    """
    no_doubt = (spec.leaves_no_doubt or step.asking) and event.cause is not Cause.NO_REPLY
    return step._replace(
        crashes=step.crashes + (event.cause is Cause.WORKER_LOST),
        outcome=step.outcome if no_doubt else Outcome.UNKNOWN,
    )


def next_try(
    step: StepState, event: events.StepFailed | events.StepUnknown, policy: Retry, now: datetime
) -> tuple[StepState | None, str]:
    """Give the step scheduled for its next attempt, or None and the reason there is none."""
    attempt, wait = event.attempt, timedelta(0)
    if isinstance(event, events.StepUnknown) and event.cause is Cause.RELEASED:
        attempt -= 1
    elif isinstance(event, events.StepUnknown) and event.cause is Cause.WORKER_LOST:
        # A lost worker says nothing about the step, so it costs no attempt; but a step that takes its worker
        # with it each time must end. The first takeover is at once, later ones back off to spare bystanders.
        if step.crashes > event.crash_limit:
            return None, CRASH_LOOP
        if step.crashes > 1:
            wait = policy.backoff(step.crashes - 1, chance=event.chance)
    else:
        # Partial work that was handed over is to be undone, not done again.
        if event.permanent or (isinstance(event, events.StepFailed) and event.partial):
            return None, "permanent failure"
        backoff = policy.wait_after(event.attempt - step.crashes, chance=event.chance)
        if backoff is None:
            return None, SPENT
        wait = backoff
        if isinstance(event, events.StepFailed) and event.retry_after is not None:
            wait = event.retry_after
    due = now + wait
    if step.deadline_at is not None and due >= step.deadline_at:
        return None, STEP_DEADLINE
    return step._replace(attempt=attempt, due_at=due), ""


def next_look(
    step: StepState, event: events.StepFailed | events.StepUnknown, policy: Retry, now: datetime
) -> tuple[StepState | None, str]:
    """As ``next_try``, of a step that waits: its deadline says how long that is, and what is to happen then
    is for a look to find, however late.
    """
    again, why = next_try(step._replace(deadline_at=None), event, policy, now)
    return (_begins_anew(again._replace(deadline_at=step.deadline_at), event) if again else None), why


def _begins_anew(again: StepState, event: events.StepFailed | events.StepUnknown) -> StepState:
    """A command that nobody replied to is over: what comes next is to send another one."""
    if not (isinstance(event, events.StepUnknown) and event.cause is Cause.NO_REPLY):
        return again
    status = StepStatus.UNDO_SCHEDULED if again.undoing else StepStatus.SCHEDULED
    return again._replace(status=status, reason="", deadline_at=None)


def given_up(
    spec: StepDefinition, step: StepState, event: events.StepFailed | events.StepUnknown, why: str
) -> StepState:
    """Close a forward step that will not be tried again: one that was ever in doubt stays so, unless its
    probe disproved that.
    """
    if step.asking:
        failed = StepStatus.FAILED
        return StepState(step.name, failed, event.attempt, step.crashes, Outcome.FAILED, reason=NO_ANSWER)
    declined = isinstance(event, events.StepFailed) and event.declined
    partial = (step.partial and not declined) or (isinstance(event, events.StepFailed) and event.partial)
    disproved = isinstance(event, events.StepFailed) and event.disproved
    in_doubt = step.outcome is Outcome.UNKNOWN or (has_command_out(spec, step) and not declined)
    doubtful = in_doubt and not disproved
    why = DISPROVED if disproved else why
    status = StepStatus.UNKNOWN if doubtful else StepStatus.FAILED
    outcome = Outcome.UNKNOWN if doubtful else Outcome.FAILED
    return StepState(step.name, status, event.attempt, step.crashes, outcome, partial, reason=why)


def abandoned(spec: StepDefinition, step: StepState) -> StepState:
    """Close an open forward step that no worker owns: never begun, waiting for its next attempt, or for
    something else.
    """
    if step.asking:
        return StepState(step.name, StepStatus.SKIPPED)
    status, outcome = StepStatus.SKIPPED, step.outcome
    if outcome is Outcome.UNKNOWN or has_command_out(spec, step):
        status, outcome = StepStatus.UNKNOWN, Outcome.UNKNOWN
    elif step.attempt or step.partial:
        status, outcome = StepStatus.FAILED, Outcome.FAILED
    reason = "" if step.reason == WAITING else step.reason
    return step._replace(status=status, outcome=outcome, due_at=None, deadline_at=None, reason=reason)


def endless(
    step: StepState, event: events.StepFailed | events.StepUnknown, policy: Retry, now: datetime
) -> StepState:
    """Give the step scheduled for one more attempt though its policy allows none."""
    wait = policy.backoff(max(1, event.attempt - step.crashes), chance=event.chance)
    again = step._replace(attempt=event.attempt, due_at=now + wait, deadline_at=None)
    return _begins_anew(again, event)


def marked_done(step: StepState) -> StepState:
    """Close a dead step whose effect is there by other means."""
    return step._replace(status=StepStatus.SUCCEEDED, outcome=Outcome.SUCCEEDED, reason="")
