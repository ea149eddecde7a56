"""The warehouses in the admin: looked at, since sagas count what is in them."""

from __future__ import annotations

from django.contrib import admin

from example_project.cases.admin import CaseAdmin, ReadOnlyAdmin
from example_project.warehouse.models import Consignment, Reservation, Stock, Warehouse


@admin.register(Warehouse)
class WarehouseAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    search_fields = ["code"]


@admin.register(Stock)
class StockAdmin(ReadOnlyAdmin):
    list_display = ["sku", "warehouse", "delivered", "pieces"]
    list_filter = ["warehouse"]
    list_select_related = ["warehouse"]
    search_fields = ["sku"]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ["id", "consignment", "line", "stock", "pieces", "is_released"]
    list_select_related = ["consignment", "stock"]


@admin.register(Consignment)
class ConsignmentAdmin(CaseAdmin):
    list_display = ["id", "status", "customer", "lines", "placed_at", "reason"]
    search_fields = ["=id", "customer", "idempotency_key"]
