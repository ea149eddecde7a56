"""Stock to begin with, and consignments: most lines need more than one warehouse, some cannot be had."""

from __future__ import annotations

from random import Random
from typing import Any

WAREHOUSES = ["HARBOUR", "NORTH", "SOUTH"]
# Of each kind, how many pieces a warehouse has.
STOCK = {"BOTTLE-STEEL": 60, "CANDLE-WAX": 90, "LANTERN-TIN": 40, "ROPE-10M": 50, "VASE-GLASS": 30}


def load() -> None:
    """Fill the warehouses; what is there stays as it is."""
    from example_project.warehouse.models import Stock, Warehouse

    for code in WAREHOUSES:
        warehouse, _ = Warehouse.objects.get_or_create(code=code)
        for sku, pieces in STOCK.items():
            Stock.objects.get_or_create(
                warehouse=warehouse, sku=sku, defaults={"delivered": pieces, "pieces": pieces}
            )


def draw(chance: Random) -> dict[str, Any]:
    """Return the JSON of a consignment to be placed."""
    # A vase never arrives: few ask for one.
    *usual, vase = STOCK
    skus = chance.sample(usual, chance.randint(1, 3)) + ([vase] if chance.random() < 0.1 else [])
    lines = [{"sku": sku, "quantity": chance.randint(1, 12)} for sku in skus]
    return {"customer": f"customer {chance.randint(1, 99)}", "lines": lines}
