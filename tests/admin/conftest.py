"""Users and pages of the admin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.admin.page import Page

LogIn = Callable[..., Client]


@pytest.fixture
def boss(db) -> Client:
    """A superuser's browser."""
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


@pytest.fixture
def log_in(db) -> LogIn:
    """Give the browser of a staff user who may view the models named, and nothing else."""

    def log_in(*models: str) -> Client:
        user = User.objects.create_user("clerk", is_staff=True)
        codes = [f"view_{model}" for model in models]
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        browser = Client()
        browser.force_login(user)
        return browser

    return log_in


@pytest.fixture
def look(boss) -> Callable[[str], Page]:
    """Open a page as a superuser."""
    return lambda url: Page.of(boss.get(url))


@pytest.fixture
def as_clerk(db) -> Callable[..., Client]:
    """Give the browser of a staff user with the permissions named, and no others; it sends CSRF cookies."""

    def as_clerk(*codes: str) -> Client:
        user = User.objects.create_user("clerk", is_staff=True)
        found = Permission.objects.filter(codename__in=codes)
        assert found.count() == len(codes)
        user.user_permissions.set(found)
        browser = Client()
        browser.force_login(user)
        return browser

    return as_clerk
