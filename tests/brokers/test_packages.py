"""A broker whose package is not installed says what to install."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
from django.core.exceptions import ImproperlyConfigured

ADAPTERS = [
    ("redis", "redis", ["redis"]),
    ("kombu", "rabbitmq", ["rabbitmq"]),
    ("confluent_kafka", "kafka", ["kafka", "kafka_cluster", "kafka_subscription"]),
]


@pytest.mark.parametrize(("package", "extra", "modules"), ADAPTERS)
def test_a_missing_package_is_named(package, extra, modules, monkeypatch):
    loaded = [name for name in sys.modules if name.startswith(f"{package}.")]
    for name in [package, *loaded]:
        monkeypatch.setitem(sys.modules, name, None)
    for module in modules:
        monkeypatch.delitem(sys.modules, f"django_saga.brokers.{module}", raising=False)

    with pytest.raises(ImproperlyConfigured, match=rf'pip install "django-saga\[{extra}\]"'):
        import_module(f"django_saga.brokers.{modules[0]}")
