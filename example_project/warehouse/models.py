"""What is kept of the warehouses: their stock, the consignments ordered, and what is reserved for them."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from example_project.cases.models import Case


class Warehouse(models.Model):
    """A place where goods are."""

    code = models.CharField(max_length=20, unique=True)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class Stock(models.Model):
    """How many pieces of something a warehouse has that nobody has reserved yet."""

    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="stock")
    sku = models.CharField("SKU", max_length=40, db_index=True)
    delivered = models.PositiveIntegerField(help_text="All pieces that ever came in.")
    pieces = models.PositiveIntegerField(help_text="Those of them that are not reserved.")

    class Meta:
        ordering = ["sku", "warehouse"]
        verbose_name_plural = "stock"
        constraints = [
            models.UniqueConstraint(fields=["warehouse", "sku"], name="warehouse_stock_of_one_kind")
        ]

    def __str__(self) -> str:
        return f"{self.pieces} of {self.sku}"


class Consignment(Case):
    """Goods of one or more kinds that leave together, from however many warehouses."""

    ASKED = ("customer", "lines")

    customer = models.CharField(max_length=100)
    lines = models.JSONField(help_text="List of objects with sku and quantity.")

    class Meta(Case.Meta):
        pass


class Reservation(models.Model):
    """What one warehouse gives for one line of a consignment; released when the consignment is undone."""

    consignment = models.ForeignKey(Consignment, on_delete=models.PROTECT, related_name="reservations")
    line = models.PositiveIntegerField(help_text="Which line of the consignment, from 1.")
    stock = models.ForeignKey(Stock, on_delete=models.PROTECT, related_name="reservations")
    pieces = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    is_released = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["consignment", "line", "stock"], name="warehouse_reserved_once")
        ]

    def __str__(self) -> str:
        return f"{self.pieces} for line {self.line} of consignment {self.consignment_id}"
