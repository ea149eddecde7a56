"""The travel agency's API."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from example_project.travel.api import TripViewSet

router = SimpleRouter(use_regex_path=False)
router.register("trips", TripViewSet, basename="trip")

urlpatterns = router.urls
