"""Tell what was moved, by order: ``python -m tests.depot``."""

from __future__ import annotations

import json
from collections import defaultdict

import django


def main() -> None:
    """Write it down as JSON."""
    django.setup()
    from tests.depot.models import Movement

    moved = defaultdict(list)
    for each in Movement.objects.order_by("id"):
        moved[each.order].append(each.number)
    print(json.dumps(moved))


main()
