"""The app of the bank."""

from django.apps import AppConfig


class BankConfig(AppConfig):
    name = "example_project.bank"
    label = "bank"
    verbose_name = "Bank"
