"""One saga's story as JSON, for other programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django_saga.observability.advice import advice
from django_saga.observability.locking import LockStory
from django_saga.observability.story import Attempt, StepStory, Story


def as_json(story: Story, *, tracebacks: bool) -> dict[str, Any]:
    """Give the whole story as JSON-able data."""
    saga = story.saga
    return {
        "id": str(saga.pk),
        "saga": saga.definition.name,
        "version": saga.definition.version,
        "as_of": _iso(story.now) if story.past else None,
        "status": saga.status,
        "reason": saga.reason,
        "culprit": saga.culprit,
        "idempotency_key": saga.idempotency_key,
        "forked_from": _id(saga.forked_from),
        "superseded_by": _id(saga.superseded_by),
        "started_at": _iso(saga.created_at),
        "deadline_at": _iso(saga.deadline_at),
        "finished_at": _iso(saga.finished_at),
        "locks": [_lock_json(lock) for lock in story.locks],
        "paused_at": _iso(saga.paused_at),
        "input": saga.input,
        "steps": [_step_json(story, step, tracebacks) for step in story.steps],
        "turns": [
            {"event": event.kind, "step": event.step, "at": _iso(event.at), "said": event.error}
            for event in story.turns
        ],
        "older_events_left_out": story.left_out,
        "advice": [item.text for item in advice(story)],
    }


def _lock_json(story: LockStory) -> dict[str, Any]:
    holder = story.holder
    return {
        "target": story.lock.target,
        "held": bool(story.lock.held),
        "since": _iso(story.lock.since),
        "holder": {"id": str(holder.pk), "saga": holder.name, "status": holder.status} if holder else None,
        "ahead": story.ahead,
    }


def _step_json(story: Story, step: StepStory, tracebacks: bool) -> dict[str, Any]:
    row = step.row
    told: dict[str, Any] = {
        "name": step.node.name,
        "status": step.status or None,
        "after": list(step.node.after),
        "atomic": step.node.atomic,
        "pivot": step.node.pivot,
        "when": step.node.when or None,
        "stands_in_for": step.node.stands_in_for or None,
        "queue": step.node.queue,
        "compensation": step.node.compensation or None,
    }
    if row is not None:
        told |= {
            "attempt": row.attempt,
            "outcome": row.outcome,
            "reason": row.reason,
            "ran_in": _id(row.ran_in),
            "worker": _id(row.owner),
            "due_at": _iso(row.due_at),
            "waits_for": story.waits_for(row),
            "deadline_at": _iso(row.deadline_at),
            "claimed_at": _iso(row.claimed_at),
            "ended_at": _iso(row.ended_at),
            "result": row.result,
            "compensation_data": row.compensation_data,
            "compensation_result": row.undo_result,
            "error": row.error,
        }
    effect = story.effects.get(step.node.name)
    told["guarded_effect"] = effect and {"status": effect.status, "changed_at": _iso(effect.changed_at)}
    told["attempts"] = [_attempt_json(attempt, tracebacks) for attempt in step.attempts]
    told["compensation_attempts"] = [_attempt_json(attempt, tracebacks) for attempt in step.undo_attempts]
    return told


def _attempt_json(attempt: Attempt, tracebacks: bool) -> dict[str, Any]:
    event = attempt.event
    told = {
        "attempt": event.attempt,
        "probe": attempt.of_probe,
        "condition": attempt.of_condition,
        "ended": attempt.ended,
        "cause": attempt.cause or None,
        "at": _iso(event.at),
        "started_at": _iso(event.started_at),
        "ended_at": _iso(event.ended_at),
        "worker": _id(event.worker),
        "error_class": event.error_class,
        "error": event.error,
    }
    return told | {"traceback": event.traceback} if tracebacks else told


def _id(key: UUID | None) -> str | None:
    return str(key) if key else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
