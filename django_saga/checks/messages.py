"""Checks of messages: handlers that are registered, and the brokers and topics of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from django_saga import runtime
from django_saga.conf import SagaSettings, get_settings
from django_saga.core.problem import did_you_mean
from django_saga.core.webhooks import TOLERANCE, key_of
from django_saga.dsl.handler import handlers


@register("django_saga")
def check_handlers(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report two handlers for one consumer and topic: only one of them would ever be called."""
    return [
        Error(
            f"{first.path} and {second.path} both handle {first.topic} for the consumer {first.consumer}.",
            hint="Give each a consumer of its own: @handler(topic, consumer=...), or keep one of them.",
            id="django_saga.E201",
        )
        for first, second in handlers.rivals
    ]


@register("django_saga")
def check_brokers(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report brokers that cannot be, topics routed to none, and a source that others may have too."""
    try:
        settings = get_settings()
    except ImproperlyConfigured:
        return []  # has an error of its own
    return [
        *_wrong_brokers(settings),
        *_wrong_routes(settings),
        *_wrong_webhooks(settings),
        *_common_source(settings),
    ]


def _wrong_brokers(settings: SagaSettings) -> list[CheckMessage]:
    known = runtime.SCHEMES
    return [
        Error(
            f"DJANGO_SAGA['BROKERS'][{name!r}] is of the unknown scheme {scheme!r}.",
            hint=f"Begin the URL with one of {', '.join(f'{each}:' for each in known)}"
            f"{did_you_mean(scheme, known)}",
            id="django_saga.E202",
        )
        for name, url in settings.brokers.items()
        if (scheme := url.partition(":")[0]) not in known
    ]


def _wrong_routes(settings: SagaSettings) -> list[CheckMessage]:
    routes = {"every other topic": "default", **settings.topics}
    return [
        Error(
            f"DJANGO_SAGA routes {topic} to the broker {broker!r}, which is not in BROKERS.",
            hint=f"Name one of {', '.join(settings.brokers)}.{did_you_mean(broker, settings.brokers)}",
            id="django_saga.E203",
        )
        for topic, broker in routes.items()
        if broker not in settings.brokers
    ]


def _wrong_webhooks(settings: SagaSettings) -> Iterator[CheckMessage]:
    for sender, secrets in settings.webhooks.items():
        try:
            keys = [key_of(secret) for secret in secrets.split()]
        except ValueError as error:
            yield Error(
                f"DJANGO_SAGA['WEBHOOKS'][{sender!r}] cannot be used: {error}.",
                hint='Make one: python -c "import base64, secrets; '
                "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"",
                id="django_saga.E204",
            )
            continue
        if not keys:
            yield Error(
                f"DJANGO_SAGA['WEBHOOKS'][{sender!r}] has no secret.",
                hint="Give one, or leave the entry out.",
                id="django_saga.E204",
            )
    # From what may be ahead by the tolerance until that is behind by it.
    if settings.webhooks and settings.keep_messages <= 2 * TOLERANCE:
        minutes = 2 * TOLERANCE.seconds // 60
        yield Error(
            f"DJANGO_SAGA['KEEP_MESSAGES'] is not longer than the {minutes} minutes in which a callback is "
            "believed: one that is sent again after it was deleted would be handled again.",
            hint="Keep messages for a day or more.",
            id="django_saga.E205",
        )


def _common_source(settings: SagaSettings) -> list[CheckMessage]:
    if settings.source or all(url.startswith("memory:") for url in settings.brokers.values()):
        return []
    return [
        Warning(
            "Messages leave this project, and DJANGO_SAGA['SOURCE'] is not set: another project whose "
            "package has the same name would make the same ids, and consumers take one for the other.",
            hint="Set SOURCE to a URI of this service: 'https://shop.example'.",
            id="django_saga.W201",
        )
    ]
