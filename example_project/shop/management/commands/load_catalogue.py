"""``manage.py load_catalogue``: puts products from a CSV file into the shop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_project.shop.catalogue import CATALOGUE, BadProduct, load_catalogue


class Command(BaseCommand):
    help = "Put the products of a CSV file (sku, name, price, stock) into the shop; known ones are set anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", metavar="FILE", type=Path, default=CATALOGUE, help="default: %(default)s"
        )

    def handle(self, *, file: Path, **options: Any) -> None:
        try:
            products = load_catalogue(file)
        except (OSError, BadProduct) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(self.style.SUCCESS(f"{len(products)} products."))
