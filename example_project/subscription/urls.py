"""The API of the subscriptions."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from example_project.subscription.api import SubscriptionViewSet

router = SimpleRouter(use_regex_path=False)
router.register("subscriptions", SubscriptionViewSet, basename="subscription")

urlpatterns = router.urls
