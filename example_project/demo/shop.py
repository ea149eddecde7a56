"""The shop's side of the demo: a database made ready, the count of its orders, and the report at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError

from example_project.clients import http
from example_project.demo.stage import CannotStart
from example_project.demo.verify import Books, Effect, End, OrderFact, disagreements
from example_project.services.faults import Fault

if TYPE_CHECKING:
    from example_project.cases.progress import Progress
    from example_project.shop.models import Order

LOGIN = PASSWORD = "demo"
TIME_TO_REPORT = timedelta(seconds=10)
MOST_PROBLEMS_SHOWN = 20
FAULTS = {
    Fault.UNAVAILABLE: "answered 503",
    Fault.DROPPED: "cut off after the effect",
    Fault.SLOW_BEFORE: "too slow",
    Fault.SLOW_AFTER: "too slow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the orders ended, and what does not fit."""

    ends: Mapping[str, int]
    ledgers: list[dict[str, Any]]
    problems: list[str]
    took: timedelta

    @property
    def is_right(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        total, seconds = sum(self.ends.values()), self.took.total_seconds()
        lines = [
            f"{total} orders in {seconds:.1f} s ({total / seconds:.1f} sagas/s): "
            + ", ".join(f"{count} {end}" for end, count in self.ends.items())
        ]
        lines += [_ledger_line(ledger) for ledger in self.ledgers]
        if self.is_right:
            lines += [
                "The books agree: each completed order was charged and shipped once, each compensated one",
                "has nothing left of it, no idempotency key had its effect twice, and the stock adds up.",
            ]
        else:
            lines.append(f"The books DO NOT agree, {len(self.problems)} problems:")
            lines += [f"  {problem}" for problem in self.problems[:MOST_PROBLEMS_SHOWN]]
        if stuck := self.ends["stuck"]:
            lines.append(f"{stuck} sagas are stuck and wait for a person; the admin shows them and why.")
        return "\n".join(lines)


class Shop:
    """The shop's database, used from the demo's own process. At most one in a process."""

    def __init__(self, env: Mapping[str, str], services: Mapping[str, str]) -> None:
        """Migrate the database, fill the catalogue, make the login. Raises ``CannotStart``."""
        os.environ.pop("DATABASE_URL", None)
        os.environ.update(env)
        try:
            django.setup()
        except (ImproperlyConfigured, ImportError, ValueError) as problem:
            raise CannotStart(f"The settings are not right: {problem}") from None
        try:
            call_command("migrate", verbosity=0)
            _make_login()
            self._begin(services)
        except DatabaseError as problem:
            raise CannotStart(f"The database cannot be used: {problem}") from None

    def _begin(self, services: Mapping[str, str]) -> None:
        from example_project.shop.catalogue import CATALOGUE, load_catalogue
        from example_project.shop.models import Order

        load_catalogue(CATALOGUE)
        self._services = services
        self._stock_before = _stock()
        # A database given by --database-url may know orders of an earlier demo, and other services did those.
        self._last_before = Order.objects.order_by("pk").values_list("pk", flat=True).last() or 0

    def progress(self) -> Progress:
        from example_project.cases.progress import progress
        from example_project.shop.models import Order
        from example_project.shop.sagas import OrderSaga

        return progress(Order, OrderSaga.name)

    def report(self, *, took: timedelta) -> Report:
        """Compare the shop's orders with the ledgers of the services."""
        from example_project.cases.progress import with_sagas
        from example_project.shop.models import Order

        orders = with_sagas(Order.objects.filter(pk__gt=self._last_before).select_related("product"))
        ledgers = [
            http.call("GET", f"{url}/ledger", timeout=TIME_TO_REPORT).body for url in self._services.values()
        ]
        books = Books(
            orders=[_fact(order) for order in orders],
            effects=[_effect(row) for ledger in ledgers for row in ledger["effects"]],
            stock_before=self._stock_before,
            stock_after=_stock(),
        )
        return Report(ends=_ends(orders), ledgers=ledgers, problems=disagreements(books), took=took)


def _make_login() -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(LOGIN, "demo@example.com", PASSWORD)


def _stock() -> dict[str, int]:
    from example_project.shop.models import Product

    return dict(Product.objects.values_list("sku", "stock"))


def _fact(order: Order) -> OrderFact:
    return OrderFact(
        reference=f"order-{order.pk}",
        sku=order.product.sku,
        quantity=order.quantity,
        amount=order.amount,
        end=_end(order),
    )


def _end(order: Order) -> End | None:
    """Return how both the order and its saga say it ended; None when they differ."""
    if order.saga is None:
        return None
    match order.saga.status, order.status:
        case "completed", "completed":
            return End.COMPLETED
        case "compensated", "cancelled":
            return End.UNDONE
        case (("completed" | "compensated"), _):
            return None
    return End.OPEN


def _ends(orders: list[Order]) -> dict[str, int]:
    ends = {"completed": 0, "compensated": 0, "stuck": 0}
    for order in orders:
        end = order.saga.status if order.saga else "without a saga"
        ends[end] = ends.get(end, 0) + 1
    return ends


def _effect(row: dict[str, Any]) -> Effect:
    return Effect(
        action=row["action"], reference=row["reference"], key=row["key"], amount=Decimal(row["amount"])
    )


def _ledger_line(ledger: dict[str, Any]) -> str:
    effects: dict[str, int] = {}
    for row in ledger["effects"]:
        effects[row["action"]] = effects.get(row["action"], 0) + 1
    faults: dict[str, int] = {}
    for fault, name in FAULTS.items():
        faults[name] = faults.get(name, 0) + ledger["faults"].get(fault, 0)
    wrong = ", ".join(f"{count} {fault}" for fault, count in faults.items() if count)
    done = ", ".join(f"{count} {action}" for action, count in effects.items())
    return f"{ledger['service']}: {ledger['calls']} calls ({wrong or 'no faults'}), {done or 'no effects'}"
