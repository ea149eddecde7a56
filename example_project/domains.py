"""The domains of the example: which app does what, and where its parts are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from example_project.cases.books import Books


@dataclass(frozen=True, slots=True)
class Domain:
    """One app: what its cases are called in the API, and the class of its books."""

    app: str
    cases: str
    books_class: str

    @property
    def samples(self) -> ModuleType:
        """Its module with data to begin with (``load``), cases to be placed (``draw``) and, if any,
        what is posted to a case next (``follow_up``).
        """
        return import_module(f"example_project.{self.app}.samples")

    @property
    def books(self) -> type[Books[Any]]:
        found: type[Books[Any]] = getattr(
            import_module(f"example_project.{self.app}.books"), self.books_class
        )
        return found


SHOP = Domain("shop", "orders", "OrderBooks")
# Those whose sample cases are drawn by chance; the shop's come from a file.
OTHERS = (
    Domain("bank", "transfers", "TransferBooks"),
    Domain("travel", "trips", "TripBooks"),
    Domain("warehouse", "consignments", "ConsignmentBooks"),
    Domain("subscription", "subscriptions", "SubscriptionBooks"),
)
DOMAINS = (SHOP, *OTHERS)
