"""What the tests of definitions share: a registry of their own, and an engine that notes what it is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_saga import ports
from django_saga.dsl.registry import registry
from tests.dsl.noting_engine import NotingEngine


@pytest.fixture(autouse=True)
def _sagas_of_this_test_only() -> Iterator[None]:
    with registry.isolated():
        yield


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> NotingEngine:
    """The engine behind the port while the test runs."""
    noting = NotingEngine()
    monkeypatch.setattr(ports, "engine", lambda: noting)
    return noting
