"""What the tests of commands share: code that does not know the sagas of ``rows``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_saga.dsl.registry import registry
from tests.commands.rows import ORDER


@pytest.fixture(autouse=True)
def _order_is_in_the_database_only() -> Iterator[None]:
    # Other tests' modules have sagas of that name, which are registered as soon as they are collected.
    with registry.isolated(*(program for program in registry.all() if program.definition.name != ORDER)):
        yield
