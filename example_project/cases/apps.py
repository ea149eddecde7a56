"""The app of what all cases share: its commands; its model is abstract."""

from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "example_project.cases"
    label = "cases"
    verbose_name = "Cases"
