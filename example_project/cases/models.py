"""What every case has, whatever it is about; each app has a model of its own made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models

if TYPE_CHECKING:
    from django_saga.models import SagaInstance


class CaseStatus(models.TextChoices):
    """Where a case stands, as its customer would put it."""

    PLACED = "placed"  # nothing was done for it yet
    PROCESSING = "processing"
    COMPLETED = "completed"
    CANCELLED = "cancelled"  # and everything done for it was undone


class Case(models.Model):
    """Something that a customer asked for. After it was placed only its saga writes to it."""

    # What is asked for: the fields that have to be the same when it is asked for again under the same key.
    ASKED: ClassVar[tuple[str, ...]] = ()
    # The status once its saga completed, and once it was compensated.
    DONE: ClassVar[str] = CaseStatus.COMPLETED
    UNDONE: ClassVar[str] = CaseStatus.CANCELLED

    idempotency_key = models.CharField(
        max_length=200,
        unique=True,
        null=True,
        blank=True,
        help_text="Asking again under the same key changes nothing.",
    )
    status = models.CharField(max_length=12, choices=CaseStatus.choices, default=CaseStatus.PLACED)
    reason = models.TextField(blank=True, default="", help_text="Why it was cancelled.")
    # Not a foreign key: finished sagas are pruned some day, cases are kept.
    saga_id = models.UUIDField("saga", null=True, blank=True)
    placed_at = models.DateTimeField(auto_now_add=True)

    saga: SagaInstance | None  # set by ``progress.with_sagas()``

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

    @property
    def reference(self) -> str:
        """What the case is called in the books of the services, and the idempotency key of its saga."""
        return f"{self._meta.model_name}-{self.pk}"

    @classmethod
    def put(cls, pk: int, status: str, **values: object) -> None:
        """Write ``status`` and ``values`` into the case ``pk``; for its saga alone."""
        cls._default_manager.filter(pk=pk).update(status=status, **values)
