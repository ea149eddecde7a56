"""URLs of callbacks: ``path("sagas/", include("django_saga.webhooks.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_saga.webhooks import views

app_name = "django_saga_webhooks"
urlpatterns = [path("<slug:sender>/", views.receive, name="receive")]
