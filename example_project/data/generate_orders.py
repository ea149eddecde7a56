"""Makes up ``orders.csv``, the same for the same seed: ``python -m example_project.data.generate_orders``."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

SEED = 20261120
ORDERS = 500
HERE = Path(__file__).resolve().parent
COLUMNS = ("reference", "customer", "email", "sku", "quantity", "card")

FIRST_NAMES = (
    "Amélie Bola Chen Dara Elif Frederik Grace Hugo Ines José Kofi Léa Mina Noor Olga Priya Quentin "
    "Rosa Søren Tomás Uma Viktor Wanjiru Ximena Yuki Zoë"
)
LAST_NAMES = (
    "Adeyemi Bernard Costa Dąbrowski Eriksson Ferrari García Haddad Ivanova Jansen Kim Lindqvist Müller "
    "Nguyen O'Brien Patel Quispe Rossi Sato Taylor Usman Varga Weiß Yildiz Zhang"
)

# SKU, how often it is ordered, and the most pieces one customer takes.
DEMAND = [
    ("BOOK-ATLAS", 9, 3),
    ("CHAIR-OAK", 6, 6),
    ("CLOCK-WALL", 7, 2),
    ("DESK-STAND", 6, 3),
    ("KETTLE-1L", 10, 2),
    ("LAMP-DESK", 9, 3),
    ("MUG-BLUE", 13, 12),
    ("NOTEBOOK-A5", 12, 20),
    ("PEN-FOUNTAIN", 7, 2),
    ("PIANO-GRAND", 2, 1),
    ("PLANT-FERN", 9, 4),
    ("TEA-ASSAM", 10, 6),
]
GOOD_CARDS = ["tok_visa", "tok_mastercard", "tok_amex"]
BAD_CARDS = ["tok_declined", "tok_expired", "tok_stolen"]
SHARE_OF_BAD_CARDS = 0.06
SHARE_OF_RESELLERS = 0.02  # they ask for more than there is


def rows(seed: int = SEED, count: int = ORDERS) -> Iterator[tuple[str, ...]]:
    """Make up ``count`` orders."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        first, last = chance.choice(FIRST_NAMES.split()), chance.choice(LAST_NAMES.split())
        sku, _, most = chance.choices(DEMAND, weights=[weight for _, weight, _ in DEMAND])[0]
        quantity = chance.randint(1, most)
        if chance.random() < SHARE_OF_RESELLERS:
            quantity = 1000
        card = chance.choice(BAD_CARDS if chance.random() < SHARE_OF_BAD_CARDS else GOOD_CARDS)
        yield (
            f"WEB-{number:05}",
            f"{first} {last}",
            f"customer{number}@example.com",
            sku,
            str(quantity),
            card,
        )


def main() -> None:
    path = HERE / "orders.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows())
    print(f"{path}: {ORDERS} orders")


if __name__ == "__main__":
    main()
