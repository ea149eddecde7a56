"""Checks look at every registered saga: here, only at those of the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_saga.dsl.registry import registry


@pytest.fixture(autouse=True)
def _sagas_of_this_test_only() -> Iterator[None]:
    with registry.isolated():
        yield
