"""The URLs of the test project: the admin, and where callbacks come in."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("callbacks/", include("django_saga.webhooks.urls")),
]
