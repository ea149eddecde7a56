"""The REST endpoint of the bank: order a transfer, see how far it is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from example_project.bank.models import Account, Transfer
from example_project.bank.transfers import place_transfer
from example_project.cases.api import CaseViewSet
from example_project.cases.serializers import SHOWN, CaseSerializer, NewCaseSerializer, WithSteps


class NewTransferSerializer(NewCaseSerializer[Transfer]):
    """A transfer to be placed; accounts by number."""

    sender = serializers.SlugRelatedField(slug_field="number", queryset=Account.objects.all())
    recipient = serializers.SlugRelatedField(slug_field="number", queryset=Account.objects.all())

    class Meta:
        model = Transfer
        fields = ["sender", "recipient", "amount", "purpose"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["sender"] == attrs["recipient"]:
            raise serializers.ValidationError({"recipient": "The account the money comes from."})
        return attrs


class TransferSerializer(CaseSerializer[Transfer]):
    """A transfer as it stands."""

    sender = serializers.SlugRelatedField[Account](slug_field="number", read_only=True)
    recipient = serializers.SlugRelatedField[Account](slug_field="number", read_only=True)

    class Meta:
        model = Transfer
        fields = [*SHOWN, "sender", "recipient", "amount", "purpose"]
        read_only_fields = fields


class TransferWithStepsSerializer(WithSteps[Transfer], TransferSerializer):
    """A transfer as it stands, with the steps of its saga."""


class TransferViewSet(CaseViewSet[Transfer]):
    """Transfers: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Transfer.objects.select_related("sender", "recipient")
    new_serializer = NewTransferSerializer
    serializer_class = TransferSerializer
    with_steps_serializer = TransferWithStepsSerializer

    def place(self, draft: Transfer, *, key: str | None) -> tuple[Transfer, bool]:
        return place_transfer(draft, key=key)
