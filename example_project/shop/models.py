"""What the shop keeps: its products and the orders placed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models

if TYPE_CHECKING:
    from django_saga.models import SagaInstance


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


class OrderStatus(models.TextChoices):
    """Where an order stands, as its customer would put it."""

    PLACED = "placed"  # nothing was done for it yet
    PROCESSING = "processing"
    COMPLETED = "completed"  # paid and on its way
    CANCELLED = "cancelled"  # and everything done for it was undone


class Order(models.Model):
    """An order. After it was placed only its saga writes to it."""

    idempotency_key = models.CharField(
        max_length=200,
        unique=True,
        null=True,
        blank=True,
        help_text="Placing an order again under the same key changes nothing.",
    )
    customer = models.CharField(max_length=100)
    email = models.EmailField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    card = models.CharField(max_length=40, help_text="The token a card provider gave; never a card number.")
    status = models.CharField(max_length=12, choices=OrderStatus.choices, default=OrderStatus.PLACED)
    reason = models.TextField(blank=True, default="", help_text="Why the order was cancelled.")
    charge_id = models.CharField(max_length=40, blank=True, default="")
    tracking = models.CharField(max_length=40, blank=True, default="")
    # Not a foreign key: finished sagas are pruned some day, orders are kept.
    saga_id = models.UUIDField("saga", null=True, blank=True)
    placed_at = models.DateTimeField(auto_now_add=True)

    saga: SagaInstance | None  # set by ``progress.with_sagas()``

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["status"], name="shop_order_status")]

    def __str__(self) -> str:
        return f"order {self.pk}"
