"""What the shop needs before anybody can order: its products."""

from __future__ import annotations

from example_project.shop.catalogue import CATALOGUE, load_catalogue


def load() -> None:
    """Put the products of the catalogue into the shop."""
    load_catalogue(CATALOGUE)
