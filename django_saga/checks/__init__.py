"""What ``manage.py check`` says about sagas and their surroundings; importing this package registers it."""

from django_saga.checks import definitions, messages, surroundings

__all__ = ["definitions", "messages", "surroundings"]
