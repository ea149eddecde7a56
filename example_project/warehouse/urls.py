"""The API of the warehouses."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from example_project.warehouse.api import ConsignmentViewSet

router = SimpleRouter(use_regex_path=False)
router.register("consignments", ConsignmentViewSet, basename="consignment")

urlpatterns = router.urls
