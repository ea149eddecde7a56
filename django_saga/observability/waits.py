"""What a step waits for, or what holds it back though it could be claimed, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from django_saga.core import external, lanes
from django_saga.core.outline import of_stored
from django_saga.core.plain import plain
from django_saga.core.spans import span
from django_saga.core.states import CLAIMABLE_STEP, StepStatus
from django_saga.core.waits import NEVER, WAITING
from django_saga.models import SagaGate, SagaInstance, SagaStep


def until(step: SagaStep, now: datetime) -> str:
    """Say how long ``step`` waits yet, and for what; nothing unless that is what it is there for."""
    if step.reason != WAITING or step.status not in CLAIMABLE_STEP or step.due_at is None:
        return ""
    ahead = step.due_at - now
    left = span(ahead) if timedelta(0) < ahead and step.due_at < NEVER else ""
    if not step.waits_for:
        return _("sleeps for another %(span)s") % {"span": left} if left else _("wakes up")
    facts = {"what": plain(external.words(step.waits_for)), "span": left}
    if left:
        return _("waits for %(what)s, for another %(span)s at most") % facts
    return _("waits for %(what)s") % facts


def gates(using: str, saga: SagaInstance, steps: Sequence[SagaStep]) -> list[SagaGate]:
    """Give the gates of the names of ``saga``; none are read while no step waits."""
    if not any(step.status in CLAIMABLE_STEP for step in steps):
        return []
    return list(SagaGate.objects.using(using).filter(saga=saga.name).order_by("step"))


def held_by(saga: SagaInstance, step: SagaStep, gates: Sequence[SagaGate], now: datetime) -> list[str]:
    """Say what has ``step`` wait beside its time; nothing when any worker may take it."""
    if step.status not in CLAIMABLE_STEP:
        return []
    told = [_("its saga is paused")] if saga.paused_at else []
    due = step.due_at is not None and step.due_at <= now
    if due and lanes.is_limited(step.executor) and (limits := _limits(saga, step)):
        told.append(_("limits: %(limits)s") % {"limits": limits})
    for gate in gates:
        if gate.step in ("", step.name):
            told += _held(gate)
            if lanes.is_limited(step.executor) and step.status == StepStatus.SCHEDULED:
                told += circuit(gate, now)
    return told


def circuit(gate: SagaGate, now: datetime) -> list[str]:
    """Say that the circuit of ``gate`` is open, or half open; nothing when it is closed."""
    if gate.open_until is None:
        return []
    if gate.open_until > now:
        facts = {"name": gate, "span": span(gate.open_until - now)}
        return [_("the circuit of %(name)s is open for another %(span)s") % facts]
    return [_("the circuit of %(name)s is half open: one attempt tries it") % {"name": gate}]


def _limits(saga: SagaInstance, step: SagaStep) -> str:
    """Give the limits that ``step`` has in the database's copy of its definition."""
    graph = saga.definition.graph if isinstance(saga.definition.graph, dict) else {}
    of_step = [node.limits for node in of_stored(graph) if node.name == step.name]
    of_saga = str(graph.get("limits_shown") or "")
    told = [limits for limits in of_step if limits]
    return "; ".join([*told, _("%(limits)s in all") % {"limits": of_saga}] if of_saga else told)


def _held(gate: SagaGate) -> list[str]:
    if gate.paused_at is None:
        return []
    told = _("%(name)s is paused, by %(actor)s") % {"name": gate, "actor": gate.paused_by}
    return [f"{told}: {gate.paused_why}" if gate.paused_why else told]
