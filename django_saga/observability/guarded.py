"""Guarded effects of a saga's steps, for people: whether what a call did in this database is there."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from django_saga.models import SagaEffect, SagaInstance, SagaStep


def of_steps(using: str, saga: SagaInstance, rows: Iterable[SagaStep]) -> dict[str, SagaEffect]:
    """Give what was guarded by the keys of steps, by step. No row says whether a step guards anything."""
    names = {f"{row.ran_in or saga.pk}:{row.name}": row.name for row in rows}
    found = SagaEffect.objects.using(using).filter(effect_key__in=names).defer("result") if names else ()
    return {names[effect.effect_key]: effect for effect in found}


def words(effect: SagaEffect) -> str:
    """Say what became of a guarded effect."""
    return {
        SagaEffect.Status.DONE: _("guarded effect: done"),
        SagaEffect.Status.UNDONE: _("guarded effect: undone"),
        SagaEffect.Status.BARRED: _("guarded effect: barred, as its compensation came first"),
    }[SagaEffect.Status(effect.status)]
