"""What a person may do to one saga in the admin: the buttons, the question before, and what comes of the
answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Reason, page, step_asked
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.core.definition import SagaDefinition
from django_saga.core.simulation import UndoPlan
from django_saga.exceptions import IllegalTransition, SagaError
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability import undoing
from django_saga.observability.offers import Offer, offers
from django_saga.operations.access import PERMISSIONS

ASK = "django_saga_act"


class _Shown(NamedTuple):
    """How an action is shown: its button, the question's heading, and what is said of it."""

    verb: str | Promise
    title: str | Promise
    what: str | Promise
    done: str | Promise
    with_reason: bool = True


_ACTIONS = {
    "cancel": _Shown(
        gettext_lazy("Cancel"),
        gettext_lazy("Cancel saga"),
        gettext_lazy("The saga turns back. What it did is undone in this order:"),
        gettext_lazy("It turns back. Its page tells how far it is."),
    ),
    "compensate": _Shown(
        gettext_lazy("Undo in spite of the pivot"),
        gettext_lazy("Undo saga in spite of its pivot"),
        gettext_lazy(
            "The saga is past the point behind which it was to go on. It turns back all the same. What it "
            "did is undone in this order:"
        ),
        gettext_lazy("It turns back. Its page tells how far it is."),
    ),
    "pause": _Shown(
        gettext_lazy("Pause"),
        gettext_lazy("Pause saga"),
        gettext_lazy("Nothing new is begun of it. What is in flight ends, and deadlines go on."),
        gettext_lazy("It is paused."),
        with_reason=False,
    ),
    "resume": _Shown(
        gettext_lazy("Resume"),
        gettext_lazy("Resume saga"),
        gettext_lazy("It goes on where it was paused."),
        gettext_lazy("It goes on."),
        with_reason=False,
    ),
    "retry step": _Shown(
        gettext_lazy("Retry"),
        gettext_lazy("Retry step"),
        gettext_lazy("The step is tried again, with as many attempts as a new one and the same key."),
        gettext_lazy("It is tried again. The operation stays open until it has run."),
        with_reason=False,
    ),
    "retry compensation": _Shown(
        gettext_lazy("Retry compensation"),
        gettext_lazy("Retry compensation"),
        gettext_lazy("The compensation is tried again, with as many attempts as a new one and the same key."),
        gettext_lazy("It is tried again. The operation stays open until it has run."),
        with_reason=False,
    ),
    "mark done": _Shown(
        gettext_lazy("Mark as done"),
        gettext_lazy("Mark step as done"),
        gettext_lazy(
            "The step counts as done, and the saga goes on. Only if its effect is there by other means."
        ),
        gettext_lazy("It counts as done."),
    ),
    "skip step": _Shown(
        gettext_lazy("Skip"),
        gettext_lazy("Skip step"),
        gettext_lazy("The saga goes on without the step. What it should have done is not done."),
        gettext_lazy("It is skipped."),
    ),
    "skip compensation": _Shown(
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


class ActionPages:
    """Views. ``ours`` is the admin of sagas, under whose URL they are."""

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        return [
            path("<uuid:saga_id>/act/<slug:name>/", self._ours.admin_site.admin_view(self.asked), name=ASK)
        ]

    def buttons(self, request: HttpRequest, saga: SagaInstance) -> list[dict[str, Any]]:
        """Give the buttons of a saga's page, of itself and by step: those that it would take, and that the
        user may press.
        """
        lines: dict[str, dict[str, Any]] = {}
        for offer in offers(self._ours.using, saga):
            url = self._url(saga, offer)
            if url and request.user.has_perm(PERMISSIONS[offer.action]):
                line = lines.setdefault(offer.step, {"step": cells.short(offer.step, 100), "buttons": []})
                line["buttons"].append({"verb": _ACTIONS[offer.action].verb, "url": url})
        return list(lines.values())

    def _url(self, saga: SagaInstance, offer: Offer) -> str:
        given = {"saga_id": saga.pk, "name": offer.action.replace(" ", "-")}
        try:
            url = reverse(f"admin:{ASK}", kwargs=given, current_app=self._ours.admin_site.name)
        except NoReverseMatch:
            return ""  # a site has replaced the admin that has the pages
        query = {"step": offer.step} if offer.step else {}
        return self._ours.with_query(url, **query)

    def asked(self, request: HttpRequest, saga_id: UUID, name: str) -> HttpResponse:
        """Ask whether something is to be done to a saga; a POST is the answer, and does it."""
        action = name.replace("-", " ")
        shown = _ACTIONS.get(action)
        if shown is None:
            raise Http404
        if not (self._ours.may_view(request, SagaInstance) and request.user.has_perm(PERMISSIONS[action])):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        saga = self._ours.get_queryset(request).filter(pk=saga_id).first()
        if saga is None:
            raise Http404
        offer = Offer(action, step_asked(request.GET.get("step", "")))
        data = request.POST if request.method == "POST" else None
        form = (_Result if action == "mark done" else Reason)(data)
        form.fields["why"].required = shown.with_reason
        if request.method == "POST" and form.is_valid():
            self._act(request, saga, offer, shown, form.cleaned_data)
            return HttpResponseRedirect(self._ours.url(SagaInstance, saga.pk))
        return self._question(request, saga, offer, shown, form)

    def _question(
        self, request: HttpRequest, saga: SagaInstance, offer: Offer, shown: _Shown, form: forms.Form
    ) -> HttpResponse:
        using = self._ours.using
        possible = offer in offers(using, saga)
        step = SagaStep.objects.using(using).filter(saga_id=saga.pk, name=offer.step).first()
        plan: list[dict[str, str]] = []
        if possible and offer.action in ("cancel", "compensate"):
            plan = self._plan(saga, past_pivot=offer.action == "compensate")
        return page(
            self._ours,
            request,
            "act",
            str(shown.title),
            saga_possible=possible,
            saga_label=cells.short(f"{saga.definition} {saga.pk}", 200),
            saga_state=cells.saga_state(saga),
            saga_step=cells.short(offer.step, 100),
            saga_error=cells.block(step.error) if step and step.error else "",
            saga_what=shown.what,
            saga_plan=plan,
            saga_ask=self._url(saga, offer),
            saga_verb=shown.verb,
            saga_back=self._ours.url(SagaInstance, saga.pk),
            form=form,
        )

    def _plan(self, saga: SagaInstance, *, past_pivot: bool) -> list[dict[str, str]]:
        try:
            plan = undoing.plan(self._ours.using, saga, past_pivot=past_pivot)
        except IllegalTransition:
            return []  # it has gone on since it was looked at; the answer will be refused
        definition, _state, _flying = undoing.stands(self._ours.using, saga)
        return list(_lines(definition, plan))

    def _act(
        self, request: HttpRequest, saga: SagaInstance, offer: Offer, shown: _Shown, given: dict[str, Any]
    ) -> None:
        told = {"by": operations.of_request(request), "why": given["why"], "using": self._ours.using}
        try:
            _carry_out(saga.pk, offer, given.get("result"), **told)
        except SagaError as error:
            messages.error(request, cells.short(str(error), 1000))
        else:
            messages.success(request, str(shown.done))


_PAUSES = {"pause": operations.pause, "resume": operations.resume}
_TURNS = {"cancel": operations.cancel, "compensate": operations.compensate}
_STEPS = {
    "retry step": operations.retry_step,
    "retry compensation": operations.retry_compensation,
    "skip step": operations.skip_step,
    "skip compensation": operations.skip_compensation,
}


def _carry_out(saga: UUID, offer: Offer, result: Any, **told: Any) -> None:
    action, step = offer
    if action in _PAUSES:
        _PAUSES[action](saga=saga, **told)
    elif action in _TURNS:
        _TURNS[action](saga, **told)
    elif action in _STEPS:
        _STEPS[action](saga, step, **told)
    else:
        operations.mark_done(saga, step, result, **told)


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
