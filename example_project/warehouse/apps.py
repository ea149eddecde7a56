"""The app of the warehouses."""

from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    name = "example_project.warehouse"
    label = "warehouse"
    verbose_name = "Warehouses"
