"""The REST endpoint of the travel agency: order a trip, see how far it is."""

from __future__ import annotations

from rest_framework import serializers

from example_project.cases.api import CaseViewSet
from example_project.cases.serializers import SHOWN, CardField, CaseSerializer, NewCaseSerializer, WithSteps
from example_project.travel.models import Kind, Offer, Trip
from example_project.travel.trips import place_trip


def _offer(kind: Kind) -> serializers.SlugRelatedField[Offer]:
    return serializers.SlugRelatedField(slug_field="code", queryset=Offer.objects.filter(kind=kind))


class NewTripSerializer(NewCaseSerializer[Trip]):
    """A trip to be placed; its parts by the code of their offer."""

    flight = _offer(Kind.FLIGHT)
    hotel = _offer(Kind.HOTEL)
    car = _offer(Kind.CAR)
    card = CardField()

    class Meta:
        model = Trip
        fields = ["email", "flight", "hotel", "car", "card"]


class TripSerializer(CaseSerializer[Trip]):
    """A trip as it stands."""

    flight = serializers.SlugRelatedField[Offer](slug_field="code", read_only=True)
    hotel = serializers.SlugRelatedField[Offer](slug_field="code", read_only=True)
    car = serializers.SlugRelatedField[Offer](slug_field="code", read_only=True)

    class Meta:
        model = Trip
        fields = [*SHOWN, "flight", "hotel", "car", "amount", "contract"]
        read_only_fields = fields


class TripWithStepsSerializer(WithSteps[Trip], TripSerializer):
    """A trip as it stands, with the steps of its saga."""


class TripViewSet(CaseViewSet[Trip]):
    """Trips: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Trip.objects.select_related("flight", "hotel", "car")
    new_serializer = NewTripSerializer
    serializer_class = TripSerializer
    with_steps_serializer = TripWithStepsSerializer

    def place(self, draft: Trip, *, key: str | None) -> tuple[Trip, bool]:
        return place_trip(draft, key=key)
