"""What a person may do in the admin to all sagas of a name, or to one step in all of them: hold them back,
let them go on, and have a circuit closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_saga import operations
from django_saga.admin import cells
from django_saga.admin.asking import Asking, Shown
from django_saga.admin.gates import condition
from django_saga.core.actions import Action
from django_saga.models import SagaDefinition, SagaGate
from django_saga.observability import waits

_SHOWN = {
    Action.PAUSE: Shown(
        _("Pause"),
        _("Pause in all sagas"),
        _(
            "In all sagas of this name, of every version, nothing new is begun of what is named above; "
            "within about a second by all workers. What is in flight ends, and deadlines go on."
        ),
        _("It is paused."),
    ),
    Action.RESUME: Shown(
        _("Resume"),
        _("Resume in all sagas"),
        _("What waits begins at once, unless its own saga is paused."),
        _("It goes on."),
        with_reason=False,
    ),
    Action.CLOSE_CIRCUIT: Shown(
        _("Close circuit"),
        _("Close circuit"),
        _("What waits begins at once, all of it: only if the other side answers again. Failures count anew."),
        _("The circuit is closed."),
        with_reason=False,
    ),
}


class NamePages(Asking):
    """Views under the admin of definitions."""

    model = SagaDefinition
    url_name = "django_saga_act_on_name"
    converter = "int"
    shown = _SHOWN

    def lines(
        self, request: HttpRequest, definition: SagaDefinition, steps: Sequence[str]
    ) -> Mapping[str, dict[str, Any]]:
        """Say of all sagas of the name (under no step) and of each step how it stands, with the buttons."""
        gates = self._gates(definition)
        return {step: self._line(request, definition, step, gates.get(step)) for step in ("", *steps)}

    def _line(
        self, request: HttpRequest, definition: SagaDefinition, step: str, gate: SagaGate | None
    ) -> dict[str, Any]:
        paused = gate is not None and gate.paused_at is not None
        return {
            "standing": condition(gate) if gate else "",
            "by": cells.short(gate.paused_by, 150) if gate and paused else "",
            "why": cells.short(gate.paused_why, 200) if gate and paused else "",
            "buttons": self.buttons(request, definition, step, _taken(gate)),
        }

    def _gates(self, definition: SagaDefinition) -> dict[str, SagaGate]:
        rows = SagaGate.objects.using(self._ours.using).filter(saga=definition.name)
        return {gate.step: gate for gate in rows}

    def about(self, row: SagaDefinition, action: Action, step: str) -> dict[str, Any]:
        return {
            "saga_possible": action in _taken(self._gates(row).get(step)),
            "saga_label": cells.short(f"{row.name}.{step}" if step else row.name, 200),
            "saga_not_now": _("There is nothing to do: it stands so already, or somebody was faster."),
            "saga_way_back": _("Back to the definition"),
        }

    def carry_out(self, row: SagaDefinition, action: Action, step: str, **given: Any) -> None:
        if action is Action.CLOSE_CIRCUIT:
            operations.close_circuit(row.name, step, **given)
        elif action is Action.PAUSE:
            operations.pause(definition=row.name, step=step or None, **given)
        else:
            operations.resume(definition=row.name, step=step or None, **given)


def _taken(gate: SagaGate | None) -> list[Action]:
    """Give the actions that would do something as it stands."""
    if gate is None:
        return [Action.PAUSE]
    closes = [Action.CLOSE_CIRCUIT] if waits.circuit(gate, timezone.now()) else []
    return [Action.RESUME if gate.paused_at else Action.PAUSE, *closes]
