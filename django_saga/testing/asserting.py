"""Assertions about one saga; one that fails has the saga's story as a note."""

from __future__ import annotations

from django_saga.core.states import SagaStatus
from django_saga.dsl.handle import Handle
from django_saga.models import SagaInstance, SagaStep
from django_saga.testing.telling import saga_story


def assert_completed(saga: Handle) -> None:
    """Raise ``AssertionError`` unless every step of ``saga`` succeeded."""
    _assert_status(saga, SagaStatus.COMPLETED)


def assert_compensated(saga: Handle) -> None:
    """Raise ``AssertionError`` unless ``saga`` turned back and all it had done was undone."""
    _assert_status(saga, SagaStatus.COMPENSATED)


def assert_stuck(saga: Handle) -> None:
    """Raise ``AssertionError`` unless a compensation of ``saga`` is dead, and all else is over."""
    _assert_status(saga, SagaStatus.STUCK)


def saga_steps(saga: Handle) -> dict[str, str]:
    """Give the status of each step of ``saga`` that was opened, in the order they are written."""
    rows = SagaStep.objects.using(saga.using).filter(saga_id=saga.id)
    found = dict(rows.values_list("name", "status"))
    graph = SagaInstance.objects.using(saga.using).values_list("definition__graph", flat=True)
    return {
        step["name"]: found[step["name"]] for step in graph.get(pk=saga.id)["steps"] if step["name"] in found
    }


def _assert_status(saga: Handle, wanted: SagaStatus) -> None:
    if saga.status is not wanted:
        error = AssertionError(f"Saga {saga.name} {saga.id} is {saga.status}, not {wanted}.")
        error.add_note(saga_story(saga))
        raise error
