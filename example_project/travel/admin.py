"""The travel agency in the admin: offers may be changed, trips only looked at."""

from __future__ import annotations

from django.contrib import admin

from example_project.cases.admin import CaseAdmin
from example_project.travel.models import Offer, Trip


@admin.register(Offer)
class OfferAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    list_display = ["code", "kind", "price"]
    list_filter = ["kind"]
    search_fields = ["code"]


@admin.register(Trip)
class TripAdmin(CaseAdmin):
    list_display = ["id", "status", "flight", "hotel", "car", "amount", "contract", "placed_at", "reason"]
    list_select_related = ["flight", "hotel", "car"]
    search_fields = ["=id", "email", "idempotency_key", "contract"]
