"""The stage of the races, and what has to hold after each schedule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.interleaving.actors import Actor
from tests.interleaving.scheduler import Stage


@pytest.fixture
def stage(transactional_db: None) -> Iterator[Stage]:
    """A stage with three actors."""
    if connection.vendor != "postgresql":
        pytest.skip("schedules need a database that tells who waits for whom")
    actors = [Actor() for _ in range(3)]
    yield Stage(actors)
    for actor in actors:
        actor.dismiss()
