"""``manage.py saga_compensate``: has a saga turn back in spite of its pivot."""

from __future__ import annotations

from django_saga import operations
from django_saga.management.turning_back import TurnBackCommand


class Command(TurnBackCommand):
    help = "Have a saga that is under way, or stuck past its pivot, undone in spite of its pivot."
    act = operations.compensate
    past_pivot = True
