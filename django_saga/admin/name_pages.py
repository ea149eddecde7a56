"""What a person may do in the admin to all sagas of a name, or to one step in all of them: hold them back,
let them go on, and have a circuit closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Reason, page, step_asked
from django_saga.admin.gates import condition
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.exceptions import SagaError
from django_saga.models import SagaDefinition, SagaGate
from django_saga.observability import waits
from django_saga.operations.access import PERMISSIONS

ASK = "django_saga_act_on_name"


class _Shown(NamedTuple):
    verb: str | Promise
    title: str | Promise
    what: str | Promise
    done: str | Promise


_ACTIONS = {
    "pause": _Shown(
        _("Pause"),
        _("Pause in all sagas"),
        _(
            "In all sagas of this name, of every version, nothing new is begun of what is named above; "
            "within about a second by all workers. What is in flight ends, and deadlines go on."
        ),
        _("It is paused."),
    ),
    "resume": _Shown(
        _("Resume"),
        _("Resume in all sagas"),
        _("What waits begins at once, unless its own saga is paused."),
        _("It goes on."),
    ),
    "close circuit": _Shown(
        _("Close circuit"),
        _("Close circuit"),
        _("What waits begins at once, all of it: only if the other side answers again. Failures count anew."),
        _("The circuit is closed."),
    ),
}


class NamePages:
    """Views. ``ours`` is the admin of definitions, under whose URL they are."""

    def __init__(self, ours: ReadOnlyAdmin) -> None:
        self._ours = ours

    def urls(self) -> list[URLPattern]:
        """Give their URLs."""
        view = self._ours.admin_site.admin_view
        return [path("<int:definition_id>/act/<slug:name>/", view(self.asked), name=ASK)]

    def lines(
        self, request: HttpRequest, definition: SagaDefinition, steps: Sequence[str]
    ) -> Mapping[str, dict[str, Any]]:
        """Say of all sagas of the name (under no step) and of each step how it stands, with the buttons."""
        gates = self._gates(definition)
        return {step: self._line(request, definition, step, gates.get(step)) for step in ("", *steps)}

    def _line(
        self, request: HttpRequest, definition: SagaDefinition, step: str, gate: SagaGate | None
    ) -> dict[str, Any]:
        standing: SafeString | str = condition(gate) if gate else ""
        whose = cells.short(gate.paused_by, 150) if gate and gate.paused_at else ""
        buttons = [
            {"verb": _ACTIONS[action].verb, "url": url}
            for action in _taken(gate)
            if request.user.has_perm(PERMISSIONS[action]) and (url := self._url(definition, action, step))
        ]
        why = cells.short(gate.paused_why, 200) if gate and gate.paused_at else ""
        return {"standing": standing, "by": whose, "why": why, "buttons": buttons}

    def _gates(self, definition: SagaDefinition) -> dict[str, SagaGate]:
        rows = SagaGate.objects.using(self._ours.using).filter(saga=definition.name)
        return {gate.step: gate for gate in rows}

    def _url(self, definition: SagaDefinition, action: str, step: str) -> str:
        given = {"definition_id": definition.pk, "name": action.replace(" ", "-")}
        try:
            url = reverse(f"admin:{ASK}", kwargs=given, current_app=self._ours.admin_site.name)
        except NoReverseMatch:
            return ""  # a site has replaced the admin that has the pages
        return self._ours.with_query(url, **({"step": step} if step else {}))

    def asked(self, request: HttpRequest, definition_id: int, name: str) -> HttpResponse:
        """Ask whether something is to be done to a name; a POST is the answer, and does it."""
        action = name.replace("-", " ")
        if action not in _ACTIONS:
            raise Http404
        if not (self._ours.may_view(request, SagaDefinition) and request.user.has_perm(PERMISSIONS[action])):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        definition = self._ours.get_queryset(request).filter(pk=definition_id).first()
        if definition is None:
            raise Http404
        step = step_asked(request.GET.get("step", ""))
        form = Reason(request.POST if request.method == "POST" else None)
        form.fields["why"].required = action == "pause"
        back = self._ours.url(SagaDefinition, definition.pk)
        if request.method == "POST" and form.is_valid():
            self._act(request, definition, action, step, form.cleaned_data["why"])
            return HttpResponseRedirect(back)
        return page(
            self._ours,
            request,
            "act_on_name",
            str(_ACTIONS[action].title),
            saga_possible=action in _taken(self._gates(definition).get(step)),
            saga_label=cells.short(f"{definition.name}.{step}" if step else definition.name, 200),
            saga_what=_ACTIONS[action].what,
            saga_ask=self._url(definition, action, step),
            saga_verb=_ACTIONS[action].verb,
            saga_back=back,
            form=form,
        )

    def _act(
        self, request: HttpRequest, definition: SagaDefinition, action: str, step: str, why: str
    ) -> None:
        told: dict[str, Any] = {"by": operations.of_request(request), "why": why, "using": self._ours.using}
        name = definition.name
        try:
            if action == "close circuit":
                operations.close_circuit(name, step, **told)
            elif action == "pause":
                operations.pause(definition=name, step=step or None, **told)
            else:
                operations.resume(definition=name, step=step or None, **told)
        except SagaError as error:
            messages.error(request, cells.short(str(error), 1000))
        else:
            messages.success(request, str(_ACTIONS[action].done))


def _taken(gate: SagaGate | None) -> list[str]:
    """Give the actions that would do something as it stands."""
    if gate is None:
        return ["pause"]
    closes = ["close circuit"] if waits.circuit(gate, timezone.now()) else []
    return ["resume" if gate.paused_at else "pause", *closes]
