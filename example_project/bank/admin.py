"""The bank in the admin: nothing of it may be changed, since only sagas move money."""

from __future__ import annotations

from django.contrib import admin

from example_project.bank.models import Account, Entry, Transfer
from example_project.cases.admin import CaseAdmin, ReadOnlyAdmin


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["number", "owner", "balance", "is_open"]
    search_fields = ["number", "owner"]


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "account", "transfer", "amount", "made_at"]
    list_select_related = ["account", "transfer"]
    search_fields = ["account__number", "=transfer__id"]


@admin.register(Transfer)
class TransferAdmin(CaseAdmin):
    list_display = ["id", "status", "sender", "recipient", "amount", "placed_at", "reason"]
    list_select_related = ["sender", "recipient"]
    search_fields = ["=id", "sender__number", "recipient__number", "idempotency_key"]
