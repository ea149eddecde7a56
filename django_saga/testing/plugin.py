"""The plugin for pytest: the fixture ``saga_lab``, and the sagas' stories in reports of tests that failed.

Imports nothing but pytest until a test asks for the fixture: it is loaded in projects without Django too.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django_saga.testing.lab import SagaLab


@pytest.fixture
def saga_lab(request: pytest.FixtureRequest) -> Iterator[SagaLab]:
    """A ``SagaLab`` that is open while the test runs, on the database that pytest-django gives the test."""
    from django_saga.testing.lab import SagaLab

    if request.config.pluginmanager.has_plugin("django"):
        request.getfixturevalue("db")
    with SagaLab() as lab:
        yield lab


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Add what happened to the sagas while the database still has them."""
    report = (yield).get_result()
    lab = getattr(item, "funcargs", {}).get("saga_lab")
    if lab is None or report.when != "call" or not report.failed:
        return
    if story := lab.story(unless_in=str(report.longrepr)):
        report.sections.append(("sagas", story))
