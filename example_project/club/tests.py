"""Points for orders, whatever comes twice or late: `manage.py test example_project.club`."""

from __future__ import annotations

from django.test import TestCase

from django_saga import publish
from django_saga.models import InboxMessage
from django_saga.testing import deliver_messages
from example_project.club.books import points_by_order
from example_project.club.models import PointEntry


def completed(order: int, amount: str) -> None:
    """Say what the shop says."""
    publish("orders.completed", {"order": order, "member": "ada@example.org", "amount": amount}, key=order)


class PointTests(TestCase):
    def test_a_point_is_given_for_every_whole_euro(self) -> None:
        completed(1, "29.85")
        completed(2, "0.99")

        deliver_messages()

        assert points_by_order() == {1: [29], 2: [0]}

    def test_points_of_a_business_are_taken_back_and_those_of_others_stay(self) -> None:
        completed(1, "29.85")
        completed(2, "24900.00")

        deliver_messages()

        assert points_by_order() == {1: [29], 2: [24900, -24900]}
        assert PointEntry.objects.latest("pk").reason == "not for businesses"
        assert InboxMessage.objects.get(topic="points.given", key="2").status == "failed"

    def test_what_is_no_order_is_a_dead_letter(self) -> None:
        publish("orders.completed", {"order": "many"})

        deliver_messages(failing=True)

        assert InboxMessage.objects.get().status == "dead"
        assert not PointEntry.objects.exists()
