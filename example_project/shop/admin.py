"""The shop in the admin: products may be changed, orders only looked at, since their sagas write to them."""

from __future__ import annotations

from django.contrib import admin

from example_project.cases.admin import CaseAdmin
from example_project.shop.models import Order, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    list_display = ["sku", "name", "price", "stock"]
    search_fields = ["sku", "name"]


@admin.register(Order)
class OrderAdmin(CaseAdmin):
    list_display = ["id", "status", "customer", "quantity", "product", "amount", "placed_at"]
    list_filter = ["status", "product"]
    list_select_related = ["product"]
    search_fields = ["=id", "customer", "email", "idempotency_key", "charge_id", "tracking"]
