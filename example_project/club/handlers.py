"""Points for orders, as a flow that no saga directs: each handler knows only what it listens to.

orders.completed → points are given → points.given → they are looked at → if they may not be: all is undone
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django_saga import FlowFailed, Received, handler
from example_project.club.models import PointEntry

# Whoever buys more than that at once buys for a business, and the club is for people.
MOST_AT_ONCE = 300


@dataclass(frozen=True, slots=True)
class OrderCompleted:
    """What the shop says of an order that was paid and sent."""

    order: int
    member: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PointsGiven:
    """What the club says of points that somebody got."""

    order: int
    points: int


def take_back(message: Received, points: int) -> None:
    """Take the points of an order back."""
    sold: OrderCompleted = message.payload
    PointEntry.objects.create(
        member=sold.member, order=sold.order, points=-points, reason="not for businesses"
    )


@handler("orders.completed", consumer="club.points", input=OrderCompleted, compensation=take_back)
def give_points(message: Received) -> int:
    """Give a point for every whole euro at once: members like to see them soon."""
    sold: OrderCompleted = message.payload
    points = int(sold.amount)
    PointEntry.objects.create(member=sold.member, order=sold.order, points=points, reason="order")
    message.publish("points.given", PointsGiven(sold.order, points), key=message.key)
    return points


@handler("points.given", consumer="club.review", input=PointsGiven)
def review(message: Received) -> None:
    """Look whether they may be given; if not, whoever gave them hears of it."""
    given: PointsGiven = message.payload
    if given.points > MOST_AT_ONCE:
        raise FlowFailed(f"{given.points} points at once: the order is of a business.")
