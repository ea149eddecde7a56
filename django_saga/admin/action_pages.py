"""What a person may do to one saga in the admin: the buttons, the question before, and what comes of the
answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Asking, Reason, Shown
from django_saga.core.actions import Action
from django_saga.core.definition import SagaDefinition
from django_saga.core.simulation import UndoPlan
from django_saga.exceptions import IllegalTransition
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability import undoing
from django_saga.observability.offers import Offer, offers

_SHOWN = {
    Action.CANCEL: Shown(
        gettext_lazy("Cancel"),
        gettext_lazy("Cancel saga"),
        gettext_lazy("The saga turns back. What it did is undone in this order:"),
        gettext_lazy("It turns back. Its page tells how far it is."),
    ),
    Action.COMPENSATE: Shown(
        gettext_lazy("Undo in spite of the pivot"),
        gettext_lazy("Undo saga in spite of its pivot"),
        gettext_lazy(
            "The saga is past the point behind which it was to go on. It turns back all the same. What it "
            "did is undone in this order:"
        ),
        gettext_lazy("It turns back. Its page tells how far it is."),
    ),
    Action.PAUSE: Shown(
        gettext_lazy("Pause"),
        gettext_lazy("Pause saga"),
        gettext_lazy("Nothing new is begun of it. What is in flight ends, and deadlines go on."),
        gettext_lazy("It is paused."),
        with_reason=False,
    ),
    Action.RESUME: Shown(
        gettext_lazy("Resume"),
        gettext_lazy("Resume saga"),
        gettext_lazy("It goes on where it was paused."),
        gettext_lazy("It goes on."),
        with_reason=False,
    ),
    Action.RETRY_STEP: Shown(
        gettext_lazy("Retry"),
        gettext_lazy("Retry step"),
        gettext_lazy("The step is tried again, with as many attempts as a new one and the same key."),
        gettext_lazy("It is tried again. The operation stays open until it has run."),
        with_reason=False,
    ),
    Action.RETRY_COMPENSATION: Shown(
        gettext_lazy("Retry compensation"),
        gettext_lazy("Retry compensation"),
        gettext_lazy("The compensation is tried again, with as many attempts as a new one and the same key."),
        gettext_lazy("It is tried again. The operation stays open until it has run."),
        with_reason=False,
    ),
    Action.MARK_DONE: Shown(
        gettext_lazy("Mark as done"),
        gettext_lazy("Mark step as done"),
        gettext_lazy(
            "The step counts as done, and the saga goes on. Only if its effect is there by other means."
        ),
        gettext_lazy("It counts as done."),
    ),
    Action.SKIP_STEP: Shown(
        gettext_lazy("Skip"),
        gettext_lazy("Skip step"),
        gettext_lazy("The saga goes on without the step. What it should have done is not done."),
        gettext_lazy("It is skipped."),
    ),
    Action.SKIP_COMPENSATION: Shown(
        gettext_lazy("Skip compensation"),
        gettext_lazy("Skip compensation"),
        gettext_lazy(
            "The step counts as undone. What it did stays, unless it was undone by other means. That cannot "
            "be taken back."
        ),
        gettext_lazy("It counts as undone."),
    ),
}


class _Result(Reason):
    """Why, and the result that the step should have had."""

    result = forms.CharField(
        label=gettext_lazy("Result, as JSON"),
        initial="null",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
    )
    field_order = ("result", "why")

    def clean_result(self) -> Any:
        try:
            return json.loads(self.cleaned_data["result"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This is no JSON: %(error)s") % {"error": error}) from None


class ActionPages(Asking):
    """Views under the admin of sagas."""

    model = SagaInstance
    url_name = "django_saga_act"
    converter = "uuid"
    shown = _SHOWN

    def offered(self, request: HttpRequest, saga: SagaInstance) -> list[dict[str, Any]]:
        """Give the buttons of a saga's page, of itself and by step: those that it would take, and that the
        user may press.
        """
        by_step: dict[str, list[Action]] = {}
        for offer in offers(self._ours.using, saga):
            by_step.setdefault(offer.step, []).append(offer.action)
        lines = [
            {"step": cells.short(step, 100), "buttons": self.buttons(request, saga, step, actions)}
            for step, actions in by_step.items()
        ]
        return [line for line in lines if line["buttons"]]

    def form(self, action: Action, data: Any) -> forms.Form:
        return _Result(data) if action is Action.MARK_DONE else super().form(action, data)

    def about(self, row: SagaInstance, action: Action, step: str) -> dict[str, Any]:
        using = self._ours.using
        possible = Offer(action, step) in offers(using, row)
        of_step = SagaStep.objects.using(using).filter(saga_id=row.pk, name=step).first()
        return {
            "saga_possible": possible,
            "saga_kind": _("Saga"),
            "saga_label": cells.short(f"{row.definition} {row.pk}", 200),
            "saga_state": cells.saga_state(row),
            "saga_step": cells.short(step, 100),
            "saga_error": cells.block(of_step.error) if of_step and of_step.error else "",
            "saga_plan": self._plan(row, action) if possible and action in _TURNS else [],
            "saga_not_now": _(
                "As it stands, the saga does not take this: it may have gone on since, or somebody was "
                "faster."
            ),
            "saga_way_back": _("Back to the saga"),
        }

    def _plan(self, saga: SagaInstance, action: Action) -> list[dict[str, str]]:
        past_pivot = action is Action.COMPENSATE
        try:
            plan = undoing.plan(self._ours.using, saga, past_pivot=past_pivot)
        except IllegalTransition:
            return []  # it has gone on since it was looked at; the answer will be refused
        definition, _state, _flying = undoing.stands(self._ours.using, saga)
        return list(_lines(definition, plan))

    def carry_out(self, row: SagaInstance, action: Action, step: str, **given: Any) -> None:
        if action in _PAUSES:
            _PAUSES[action](saga=row.pk, **given)
        elif action in _TURNS:
            _TURNS[action](row.pk, **given)
        else:
            _STEPS[action](row.pk, step, **given)


_PAUSES = {Action.PAUSE: operations.pause, Action.RESUME: operations.resume}
_TURNS = {Action.CANCEL: operations.cancel, Action.COMPENSATE: operations.compensate}
_STEPS = {
    Action.MARK_DONE: operations.mark_done,
    Action.RETRY_STEP: operations.retry_step,
    Action.RETRY_COMPENSATION: operations.retry_compensation,
    Action.SKIP_STEP: operations.skip_step,
    Action.SKIP_COMPENSATION: operations.skip_compensation,
}


def _lines(definition: SagaDefinition, plan: UndoPlan) -> Iterator[dict[str, str]]:
    """Give what is undone, wave by wave; then what ends first, what stays, and how the saga ends."""
    if plan.in_flight:
        yield {"what": _("In flight; awaited, then undone if it succeeds"), "steps": _names(plan.in_flight)}
    for number, wave in enumerate(plan.waves, 1):
        undone = [f"{step} ({undo.function})" if (undo := definition[step].undo) else step for step in wave]
        yield {"what": _("Undone, turn %(number)d") % {"number": number}, "steps": _names(undone)}
    if not plan.waves:
        yield {"what": _("Undone"), "steps": _("nothing")}
    if plan.kept:
        yield {"what": _("Stays: it cannot be undone"), "steps": _names(plan.kept)}
    if plan.blocked:
        yield {"what": _("Never gets its turn, behind what is dead"), "steps": _names(plan.blocked)}


def _names(steps: Any) -> str:
    return cells.short(", ".join(steps), 2000)
