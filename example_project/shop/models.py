"""What the shop keeps: its products and the orders placed."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from example_project.cases.models import Case


class Product(models.Model):
    """Something for sale, and how many pieces of it nobody has reserved yet."""

    sku = models.CharField("SKU", max_length=40, unique=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=10, decimal_places=2, validators=[MinValueValidator(0)])
    stock = models.PositiveIntegerField(default=0, help_text="Pieces that are not reserved.")

    class Meta:
        ordering = ["sku"]

    def __str__(self) -> str:
        return f"{self.name} ({self.sku})"


class Order(Case):
    """An order: paid and on its way when it is completed."""

    ASKED = ("customer", "email", "product", "quantity", "card")

    customer = models.CharField(max_length=100)
    email = models.EmailField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    card = models.CharField(max_length=40, help_text="The token a card provider gave; never a card number.")
    charge_id = models.CharField(max_length=40, blank=True, default="")
    tracking = models.CharField(max_length=40, blank=True, default="")

    class Meta(Case.Meta):
        indexes = [models.Index(fields=["status"], name="shop_order_status")]
