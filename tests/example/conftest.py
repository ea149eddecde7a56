"""Fixtures around the example project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pytest_django.plugin import DjangoDbBlocker

from example_project.services import bookings, payments, shipping, stores
from tests.example.services import RunningService, running
from tests.example.site import Site, database_of_its_own


@pytest.fixture(scope="session")
def shop_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """All services, without faults."""
    directory = tmp_path_factory.mktemp("services")
    with ExitStack() as stack:
        yield {
            service.name: stack.enter_context(running(service, directory))
            for service in (payments.SERVICE, shipping.SERVICE, bookings.SERVICE, stores.SERVICE)
        }


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    shop_services: dict[str, RunningService],
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Site]:
    """The shop's site, shared by all tests: each leaves orders behind, none counts on being the first."""
    pytest.importorskip("rest_framework", reason="the shop's API needs Django REST framework")
    directory = tmp_path_factory.mktemp("shop")
    with django_db_blocker.unblock(), database_of_its_own(directory) as database:
        urls = {f"EXAMPLE_{name.upper()}_URL": service.url for name, service in shop_services.items()}
        site = Site(directory, {**database, **urls})
        with site.running():
            yield site
