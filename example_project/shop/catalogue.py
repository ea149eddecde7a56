"""Reads a CSV file of products into the shop."""

from __future__ import annotations

import csv
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import connection

from example_project.shop.models import Product

CATALOGUE = Path(__file__).resolve().parents[1] / "data" / "products.csv"


class BadProduct(Exception):
    """A line of the file is not a product; nothing was read."""


def load_catalogue(path: Path) -> list[Product]:
    """Put the products of ``path`` into the shop; those it has get their name, price and stock anew.

    Raises ``OSError`` and ``BadProduct``.
    """
    products = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            product = Product(**{name: row.get(name) for name in ("sku", "name", "price", "stock")})
            try:
                product.clean_fields()
            except ValidationError as problem:
                field, [said, *_] = next(iter(problem.message_dict.items()))
                raise BadProduct(f"{path}, line {reader.line_num}, {field}: {said}") from None
            products.append(product)
    # MariaDB and MySQL find the conflicting key themselves, and refuse to be told.
    is_told_the_key = connection.features.supports_update_conflicts_with_target
    Product.objects.bulk_create(
        products,
        update_conflicts=True,
        unique_fields=["sku"] if is_told_the_key else None,
        update_fields=["name", "price", "stock"],
    )
    return products
