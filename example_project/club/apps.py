"""The app of the club."""

from django.apps import AppConfig


class ClubConfig(AppConfig):
    name = "example_project.club"
    label = "club"
    verbose_name = "Club"
