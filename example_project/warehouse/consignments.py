"""Placing a consignment: its saga is composed of its lines."""

from __future__ import annotations

from django_saga import SagaHandle
from example_project.cases.placing import place
from example_project.warehouse.models import Consignment
from example_project.warehouse.sagas import ConsignmentInput, ConsignmentSaga, Line, steps_for


def place_consignment(draft: Consignment, *, key: str | None = None) -> tuple[Consignment, bool]:
    """Place a consignment, and say whether it is a new one. Raises ``KeyTaken``."""
    return place(draft, _start, key=key)


def _start(consignment: Consignment) -> SagaHandle:
    lines = [
        Line(consignment.pk, number, line["sku"], line["quantity"])
        for number, line in enumerate(consignment.lines, start=1)
    ]
    saga = ConsignmentSaga.compose(steps_for(lines))
    return saga.start(ConsignmentInput(consignment.pk, lines), idempotency_key=consignment.reference)
