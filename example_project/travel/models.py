"""What the travel agency keeps: what it offers, and the trips ordered."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from example_project.cases.models import Case


class Kind(models.TextChoices):
    """The parts of a trip."""

    FLIGHT = "flight"
    HOTEL = "hotel"
    CAR = "car"


class Offer(models.Model):
    """A flight, a hotel or a car that can be had."""

    code = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class Trip(Case):
    """A flight, a hotel and a car, paid for together."""

    ASKED = ("email", "flight", "hotel", "car", "card")

    email = models.EmailField()
    flight = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="+")
    hotel = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="+")
    car = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="+")
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    card = models.CharField(max_length=40, help_text="The token a card provider gave; never a card number.")
    contract = models.CharField(max_length=40, blank=True, default="", help_text="Of the car that was got.")

    class Meta(Case.Meta):
        pass
