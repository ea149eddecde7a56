"""The saga of a consignment, composed at run time: how many steps it has depends on the lines ordered.

It shows actions, steps as data, branches that are all tried before anything is undone, limits on the calls to
a service that takes only so many, and a step that fails with half of its work done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from django_saga import (
    ComposedSaga,
    Context,
    FailurePolicy,
    NothingToUndo,
    PermanentFailure,
    Rate,
    action,
)
from example_project.cases.models import CaseStatus
from example_project.clients.patience import CALL, UNDO_CALL
from example_project.warehouse import stores
from example_project.warehouse.models import Consignment, Reservation, Stock


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a consignment: all that is needed to reserve and pick it."""

    consignment_id: int
    number: int
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ConsignmentInput:
    """What the saga has to know of a consignment."""

    consignment_id: int
    lines: list[Line]


@action(atomic=True)
def accept(ctx: Context) -> None:
    Consignment.put(ctx.input.consignment_id, CaseStatus.PROCESSING)


@accept.compensation(atomic=True)
def cancel(ctx: Context) -> None:
    Consignment.put(ctx.input.consignment_id, CaseStatus.CANCELLED, reason=ctx.error)


@action(atomic=True)
def reserve_line(ctx: Context) -> list[dict[str, Any]]:
    """Reserve a line wherever there is stock; return what each warehouse gives."""
    line: Line = ctx.input
    given: list[dict[str, Any]] = []
    missing = line.quantity
    # In one order for all: two lines that want the same goods do not wait for each other crosswise.
    for stock in Stock.objects.filter(sku=line.sku, pieces__gt=0).order_by("pk").select_for_update():
        pieces = min(missing, stock.pieces)
        if not pieces:
            break
        Stock.objects.filter(pk=stock.pk).update(pieces=F("pieces") - pieces)
        Reservation.objects.create(
            consignment_id=line.consignment_id, line=line.number, stock=stock, pieces=pieces
        )
        given.append({"warehouse": stock.warehouse.code, "pieces": pieces})
        missing -= pieces
    if missing:
        raise PermanentFailure(f"{missing} of {line.quantity} {line.sku} are nowhere to be had.")
    return given


@reserve_line.compensation(atomic=True)
def release_line(ctx: Context) -> None:
    line = ctx.input
    reserved = Reservation.objects.filter(consignment=line.consignment_id, line=line.number)
    for reservation in reserved.filter(is_released=False):
        Stock.objects.filter(pk=reservation.stock_id).update(pieces=F("pieces") + reservation.pieces)
    reserved.update(is_released=True)


@action(retry=CALL, timeout=60)
def pick_line(ctx: Context) -> list[str]:
    """Have the robots of each warehouse pick what it gives; return the boxes."""
    line: Line = ctx.input["line"]
    boxes: list[str] = []
    for part, reference, key in _parts(ctx):
        try:
            box = stores.pick(
                warehouse=part["warehouse"],
                sku=line.sku,
                pieces=part["pieces"],
                reference=reference,
                idempotency_key=key,
            )
        except PermanentFailure as refused:
            # A step that failed has nothing to undo, unless it says so: other warehouses may have picked.
            raise PermanentFailure(str(refused), compensation_data={"boxes": boxes}) from refused
        boxes.append(box)
    return boxes


@pick_line.compensation(retry=UNDO_CALL, timeout=60)
def put_line_back(ctx: Context) -> None:
    back = [stores.put_back(reference=reference, idempotency_key=key) for _, reference, key in _parts(ctx)]
    if not any(back):
        raise NothingToUndo("Nothing had been picked.")


@action(atomic=True, no_compensation=True)
def confirm(ctx: Context) -> None:
    Consignment.put(ctx.input.consignment_id, CaseStatus.COMPLETED)


class ConsignmentSaga(ComposedSaga):
    """Reserve each line over the warehouses, then have all picked; nothing if a line falls short."""

    name = "consignment"
    input = ConsignmentInput
    actions = [accept, reserve_line, pick_line, confirm]
    # The customer is to hear of every line that falls short, and not only of the first.
    failure_policy = FailurePolicy.WAIT_ALL
    # What the robots take. It holds for all steps of all consignments, as composed steps have no limits of
    # their own; all but the picking takes hardly any time.
    max_concurrency = 6
    rate_limit = Rate(120, per=1)


def steps_for(lines: list[Line]) -> list[dict[str, Any]]:
    """Give the steps of a consignment: ``accept``, each line reserved, then each picked, ``confirm``."""
    numbers = [line.number for line in lines]
    reserved = [f"reserve_{number}" for number in numbers]
    picked = [f"pick_{number}" for number in numbers]
    steps: list[dict[str, Any]] = [{"action": "accept"}]
    for place, number in enumerate(numbers):
        line = {"$input": f"lines.{place}"}
        parts = {"$result": f"reserve_{number}"}
        steps += [
            {"action": "reserve_line", "name": f"reserve_{number}", "after": ["accept"], "input": line},
            {
                "action": "pick_line",
                "name": f"pick_{number}",
                "after": reserved,
                "input": {"line": line, "parts": parts},
            },
        ]
    return [*steps, {"action": "confirm", "after": picked}]


def _parts(ctx: Context) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Give what each warehouse gives for a line, with its reference outside and its idempotency key."""
    line = ctx.input["line"]
    for part in ctx.input["parts"]:
        warehouse = part["warehouse"]
        yield (
            part,
            f"consignment-{line.consignment_id}-{line.number}-{warehouse}",
            f"{ctx.idempotency_key}:{warehouse}",
        )
