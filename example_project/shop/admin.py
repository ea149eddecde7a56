"""The shop in the admin: products may be changed, orders only looked at, since their sagas write to them."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from example_project.shop.models import Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    list_display = ["sku", "name", "price", "stock"]
    search_fields = ["sku", "name"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    list_display = ["id", "status", "customer", "quantity", "product", "amount", "placed_at"]
    list_filter = ["status", "product"]
    list_select_related = ["product"]
    search_fields = ["=id", "customer", "email", "idempotency_key", "charge_id", "tracking"]
    date_hierarchy = "placed_at"
    fields = [
        "status",
        "reason",
        "saga_link",
        "customer",
        "email",
        "product",
        "quantity",
        "amount",
        "card",
        "charge_id",
        "tracking",
        "placed_at",
        "idempotency_key",
    ]
    readonly_fields = ["saga_link"]

    @admin.display(description="saga")
    def saga_link(self, order: Order) -> str:
        if order.saga_id is None:
            return "-"
        url = reverse("admin:django_saga_sagainstance_change", args=[order.saga_id])
        return format_html('<a href="{}">{}</a>', url, order.saga_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False
