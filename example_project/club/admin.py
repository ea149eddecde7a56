"""The club in the admin: points are given and taken by messages only."""

from __future__ import annotations

from django.contrib import admin

from example_project.cases.admin import ReadOnlyAdmin
from example_project.club.models import PointEntry


@admin.register(PointEntry)
class PointEntryAdmin(ReadOnlyAdmin):
    list_display = ["id", "member", "order", "points", "reason", "made_at"]
    search_fields = ["=order", "member"]
