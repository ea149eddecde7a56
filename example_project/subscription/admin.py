"""The subscriptions in the admin: plans are looked at, too, since sagas count their seats."""

from __future__ import annotations

from django.contrib import admin

from example_project.cases.admin import CaseAdmin, ReadOnlyAdmin
from example_project.subscription.models import Account, Payment, Plan, Subscription


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ["code", "price", "trial", "seats", "free_seats"]


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["subscription", "is_open", "seats"]
    list_select_related = ["subscription"]


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ["payment_id", "subscription", "amount", "made_at"]
    list_select_related = ["subscription"]
    search_fields = ["payment_id", "=subscription__id"]


@admin.register(Subscription)
class SubscriptionAdmin(CaseAdmin):
    list_display = ["id", "status", "email", "plan", "seats", "amount", "placed_at", "reason"]
    list_select_related = ["plan"]
    search_fields = ["=id", "email", "idempotency_key"]
