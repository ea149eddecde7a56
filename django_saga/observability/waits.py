"""What holds back a step that could be claimed, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from django_saga.core.states import CLAIMABLE_STEP
from django_saga.models import SagaGate, SagaInstance, SagaStep


def gates(using: str, saga: SagaInstance, steps: Sequence[SagaStep]) -> list[SagaGate]:
    """Give the gates of the names of ``saga``; none are read while no step waits."""
    if not any(step.status in CLAIMABLE_STEP for step in steps):
        return []
    return list(SagaGate.objects.using(using).filter(saga=saga.name).order_by("step"))


def held_by(saga: SagaInstance, step: SagaStep, gates: Sequence[SagaGate]) -> list[str]:
    """Say what has ``step`` wait beside its time; nothing when any worker may take it."""
    if step.status not in CLAIMABLE_STEP:
        return []
    told = [_("its saga is paused")] if saga.paused_at else []
    for gate in gates:
        if gate.step in ("", step.name):
            told += _held(gate)
    return told


def _held(gate: SagaGate) -> list[str]:
    if gate.paused_at is None:
        return []
    told = _("%(name)s is paused, by %(actor)s") % {"name": gate, "actor": gate.paused_by}
    return [f"{told}: {gate.paused_why}" if gate.paused_why else told]
