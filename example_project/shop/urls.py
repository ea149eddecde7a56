"""The shop's own pages and its API."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from example_project.shop.api import OrderViewSet
from example_project.shop.pages import home

router = SimpleRouter(use_regex_path=False)
router.register("orders", OrderViewSet, basename="order")

urlpatterns = [
    path("", home, name="home"),
    path("api/", include(router.urls)),
]
