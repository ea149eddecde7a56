"""The REST endpoints of the subscriptions: subscribe, see how far it is, report money that came in."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from example_project.cases.api import CaseViewSet
from example_project.cases.serializers import SHOWN, CaseSerializer, NewCaseSerializer, WithSteps
from example_project.subscription.models import Payment, Plan, Subscription
from example_project.subscription.subscriptions import TooLate, place_subscription, take_payment

MOST_SEATS = 100


class NewSubscriptionSerializer(NewCaseSerializer[Subscription]):
    """A subscription to be placed; the plan by its code."""

    plan = serializers.SlugRelatedField(slug_field="code", queryset=Plan.objects.all())
    seats = serializers.IntegerField(min_value=1, max_value=MOST_SEATS)

    class Meta:
        model = Subscription
        fields = ["email", "plan", "seats"]


class SubscriptionSerializer(CaseSerializer[Subscription]):
    """A subscription as it stands."""

    plan = serializers.SlugRelatedField[Plan](slug_field="code", read_only=True)

    class Meta:
        model = Subscription
        fields = [*SHOWN, "plan", "seats", "amount"]
        read_only_fields = fields


class SubscriptionWithStepsSerializer(WithSteps[Subscription], SubscriptionSerializer):
    """A subscription as it stands, with the steps of its saga."""


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    """Money that came in, as the bank reports it."""

    class Meta:
        model = Payment
        fields = ["payment_id", "amount"]
        # The same payment may be reported again.
        extra_kwargs = {"payment_id": {"validators": []}, "amount": {"min_value": 0}}


class SubscriptionViewSet(CaseViewSet[Subscription]):
    """Subscriptions: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Subscription.objects.select_related("plan")
    new_serializer = NewSubscriptionSerializer
    serializer_class = SubscriptionSerializer
    with_steps_serializer = SubscriptionWithStepsSerializer

    def place(self, draft: Subscription, *, key: str | None) -> tuple[Subscription, bool]:
        return place_subscription(draft, key=key)

    @action(detail=True, methods=["post"], serializer_class=PaymentSerializer)
    def payments(self, request: Request, pk: int) -> Response:
        """Take a payment: 201, or 200 when it was reported before, or 409 when it comes too late."""
        placed = get_object_or_404(self.get_queryset(), pk=pk)
        given = PaymentSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        paid = given.validated_data
        try:
            is_new = take_payment(placed, paid["amount"], payment_id=paid["payment_id"])
        except TooLate:
            said = "The subscription was cancelled: send the money back."
            return Response({"detail": said}, status=status.HTTP_409_CONFLICT)
        return Response(given.data, status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return PaymentSerializer if self.action == "payments" else super().get_serializer_class()
