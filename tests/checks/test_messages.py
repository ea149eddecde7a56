"""``manage.py check`` finds handlers that are in each other's way, and brokers that cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks

from django_saga.checks import messages
from django_saga.dsl.handler import Handler, Handlers


def found() -> list[tuple[str | None, str]]:
    return [(each.id, each.msg) for each in run_checks(tags=["django_saga"])]


def test_two_handlers_for_one_consumer_and_topic_are_an_error(monkeypatch):
    handlers = Handlers()
    for name in ("first", "second"):

        def function(message: Any) -> None:
            """Do nothing."""

        function.__qualname__ = name
        handlers.register(Handler("billing", "orders.placed", function))
    monkeypatch.setattr(messages, "handlers", handlers)

    [(number, said)] = found()

    assert number == "django_saga.E201"
    assert said.endswith("second both handle orders.placed for the consumer billing.")


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        (
            {"WEBHOOKS": {"acme": "whsec_short"}},
            (
                "django_saga.E204",
                "DJANGO_SAGA['WEBHOOKS']['acme'] cannot be used: a secret is 'whsec_' and 24 to 64 bytes in "
                "base64.",
            ),
        ),
        (
            {"WEBHOOKS": {"acme": " "}},
            ("django_saga.E204", "DJANGO_SAGA['WEBHOOKS']['acme'] has no secret."),
        ),
        (
            {"WEBHOOKS": {"acme": "whsec_" + "A" * 32}, "KEEP_MESSAGES": timedelta(minutes=10)},
            (
                "django_saga.E205",
                "DJANGO_SAGA['KEEP_MESSAGES'] is not longer than the 10 minutes in which a callback is "
                "believed: one that is sent again after it was deleted would be handled again.",
            ),
        ),
        (
            {"BROKERS": {"default": "memry:"}, "SOURCE": "x"},
            ("django_saga.E202", "DJANGO_SAGA['BROKERS']['default'] is of the unknown scheme 'memry'."),
        ),
        (
            {"TOPICS": {"orders.*": "rabit"}},
            (
                "django_saga.E203",
                "DJANGO_SAGA routes orders.* to the broker 'rabit', which is not in BROKERS.",
            ),
        ),
    ],
)
def test_wrong_brokers_and_routes_are_errors(settings, settings_, said):
    settings.DJANGO_SAGA = settings_

    assert found() == [said]


def test_what_broker_urls_hold_is_not_shown(settings):
    settings.DJANGO_SAGA = {"BROKERS": ["redis://:canary@host"]}

    assert "canary" not in str(found())
