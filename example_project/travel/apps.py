"""The app of the travel agency."""

from django.apps import AppConfig


class TravelConfig(AppConfig):
    name = "example_project.travel"
    label = "travel"
    verbose_name = "Travel agency"
