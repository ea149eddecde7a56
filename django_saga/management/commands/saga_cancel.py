"""``manage.py saga_cancel``: has a saga that still goes forward turn back."""

from __future__ import annotations

from django_saga import operations
from django_saga.management.turning_back import TurnBackCommand


class Command(TurnBackCommand):
    help = "Have a saga that still goes forward turn back, and undo what was done. Not past its pivot."
    act = operations.cancel
