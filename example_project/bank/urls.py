"""The bank's API."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from example_project.bank.api import TransferViewSet

router = SimpleRouter(use_regex_path=False)
router.register("transfers", TransferViewSet, basename="transfer")

urlpatterns = router.urls
