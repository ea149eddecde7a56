"""What ``manage.py check`` says about sagas and their surroundings; importing this package registers it."""

from django_saga.checks import definitions, surroundings

__all__ = ["definitions", "surroundings"]
