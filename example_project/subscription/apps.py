"""The app of the subscriptions."""

from django.apps import AppConfig


class SubscriptionConfig(AppConfig):
    name = "example_project.subscription"
    label = "subscription"
    verbose_name = "Subscriptions"
