"""``manage.py check`` finds wrong settings and a database that would get in the way."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Error, Warning, run_checks
from django.db import connections

import django_saga.checks  # noqa: F401 - registers the checks
from django_saga.dsl.saga import Saga


def found(*, deploy: bool = False) -> list[Any]:
    return run_checks(tags=["django_saga"], include_deployment_checks=deploy)


@pytest.fixture
def _sqlite(monkeypatch):
    """Give a second database, in SQLite with nothing set."""
    plain = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
    monkeypatch.setitem(connections.settings, "other", plain)
    yield
    if any(connection.alias == "other" for connection in connections.all(initialized_only=True)):
        del connections["other"]


def test_a_project_with_nothing_wrong_gets_no_message():
    assert found(deploy=True) == []


HINT = "Correct the setting DJANGO_SAGA, or the environment variable that stands over it."


def test_an_unknown_key_is_an_error_with_a_guess(settings):
    settings.DJANGO_SAGA = {"CONCURENCY": 5}

    class Order(Saga):
        """Has no steps, but the limits that it is checked by are not known."""

    assert found(deploy=True) == [
        Error(
            "Unknown DJANGO_SAGA key 'CONCURENCY': did you mean 'CONCURRENCY'?",
            hint=HINT,
            id="django_saga.E101",
        )
    ]


def test_a_wrong_value_in_the_environment_is_an_error_too(settings, monkeypatch):
    monkeypatch.setenv("DJANGO_SAGA_CONCURRENCY", "many")
    settings.DJANGO_SAGA = {}

    [error] = found()

    assert (error.id, error.hint) == ("django_saga.E101", HINT)
    assert error.msg.startswith("DJANGO_SAGA_CONCURRENCY = 'many' is not a whole number: ")


def test_an_alias_that_does_not_exist_is_an_error_with_a_guess(settings):
    settings.DJANGO_SAGA = {"DATABASE": "defualt"}

    assert found() == [
        Error(
            "DJANGO_SAGA['DATABASE'] is 'defualt', which is not in DATABASES.",
            hint="Name one of default. Did you mean 'default'?",
            id="django_saga.E102",
        )
    ]


@pytest.mark.usefixtures("_sqlite")
@pytest.mark.parametrize("options", [{}, {"transaction_mode": None}, {"transaction_mode": "DEFERRED"}])
def test_sqlite_that_does_not_lock_at_once_is_a_warning(settings, options):
    settings.DJANGO_SAGA = {"DATABASE": "other"}
    connections.settings["other"]["OPTIONS"] = options

    assert found() == [
        Warning(
            "The SQLite database 'other' does not begin transactions with a lock: "
            'workers that write at once fail with "database is locked" instead of waiting.',
            hint="Set DATABASES['other']['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.",
            id="django_saga.W101",
        )
    ]


@pytest.mark.usefixtures("_sqlite")
@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_sqlite_that_locks_at_once_is_fine(settings, mode):
    settings.DJANGO_SAGA = {"DATABASE": "other"}
    connections.settings["other"]["OPTIONS"] = {"transaction_mode": mode}

    assert found() == []


@pytest.mark.parametrize(
    ("fault_points", "debug", "deploy", "ids"),
    [
        (True, False, True, ["django_saga.E103"]),
        (True, True, True, []),
        (True, False, False, []),
        (False, False, True, []),
    ],
)
def test_fault_points_in_production_are_an_error(settings, fault_points, debug, deploy, ids):
    settings.DJANGO_SAGA = {"FAULT_POINTS": fault_points}
    settings.DEBUG = debug

    assert [message.id for message in found(deploy=deploy)] == ids


def test_the_error_about_fault_points_says_what_they_can_do(settings):
    settings.DJANGO_SAGA = {"FAULT_POINTS": True}

    assert found(deploy=True) == [
        Error(
            "DJANGO_SAGA['FAULT_POINTS'] is on: the variable SAGA_FAULTS can crash this process on purpose.",
            hint="Remove FAULT_POINTS; it is for tests only.",
            id="django_saga.E103",
        )
    ]
