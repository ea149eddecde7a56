"""Cases as JSON: what a customer sends, and what the APIs show of a case and its saga."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from rest_framework import serializers

from django_saga.models import SagaInstance, SagaStep
from example_project.cases.models import Case

C = TypeVar("C", bound=Case)

# What every case shows; each kind adds its own.
SHOWN = ["id", "url", "placed_at", "status", "reason", "saga"]


class CardField(serializers.RegexField):
    """The token that a card provider gave for a card."""

    default_error_messages = {"invalid": "Not a card token such as tok_visa. Card numbers are not taken."}

    def __init__(self, **options: Any) -> None:
        super().__init__(
            r"\Atok_[a-z0-9_]{1,36}\Z",
            help_text="A card token: tok_visa is accepted, tok_declined is not.",
            **options,
        )


class NewCaseSerializer(serializers.ModelSerializer[C], Generic[C]):
    """A case to be placed: the fields that are asked for, checked as the model says."""

    def draft(self) -> C:
        """Return what was sent, not saved; call it when ``is_valid``."""
        model: type[C] = self.Meta.model
        return model(**self.validated_data)


class StepSerializer(serializers.ModelSerializer[SagaStep]):
    """One step of the case's saga."""

    class Meta:
        model = SagaStep
        fields = ["name", "status", "attempt", "error", "created_at", "ended_at"]


class SagaSerializer(serializers.ModelSerializer[SagaInstance]):
    """The saga of a case."""

    class Meta:
        model = SagaInstance
        fields = ["id", "status", "reason", "culprit", "created_at", "finished_at"]


class SagaWithStepsSerializer(SagaSerializer):
    """The saga of a case, with the steps that have begun."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta(SagaSerializer.Meta):
        fields = [*SagaSerializer.Meta.fields, "steps"]


class CaseSerializer(serializers.HyperlinkedModelSerializer[C], Generic[C]):
    """A case as it stands."""

    saga = SagaSerializer(read_only=True, allow_null=True)


class WithSteps(CaseSerializer[C], Generic[C]):
    """Shows the steps of a case's saga as well; for a serializer of cases to be made with."""

    saga = SagaWithStepsSerializer(read_only=True, allow_null=True)
