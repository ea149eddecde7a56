"""What is where on the site."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("example_project.shop.urls")),
    path("api/", include("example_project.bank.urls")),
    path("api/", include("example_project.travel.urls")),
    path("api/", include("example_project.warehouse.urls")),
    path("api/", include("example_project.subscription.urls")),
    path("admin/", admin.site.urls),
]
if find_spec("drf_spectacular"):
    from drf_spectacular.views import SpectacularAPIView

    urlpatterns.append(path("api/schema/", SpectacularAPIView.as_view(), name="schema"))
if find_spec("django_prometheus"):
    urlpatterns.append(path("", include("django_prometheus.urls")))
