"""``manage.py check`` names saga, step and remedy of everything that is wrong with a definition."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

import django_saga.checks  # noqa: F401 - registers the checks
from django_saga.checks.definitions import DEFINED_TWICE, IDS
from django_saga.core import pivot, validation, wait_problems
from django_saga.dsl import assembly, composed, hooks, program
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step


def found() -> list[Any]:
    messages = [message for message in run_checks(tags=["django_saga"]) if str(message.id) < "django_saga.E1"]
    # Django keeps checks in a set and runs them in any order.
    return sorted(messages, key=lambda message: str(message.id))


def path(saga: type[Saga]) -> str:
    return f"{__name__}.{saga.__qualname__}"


def test_a_right_saga_is_not_mentioned():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

    assert found() == []


def test_a_problem_of_a_step_names_the_saga_the_step_and_the_remedy():
    class Order(Saga):
        version = 2

        @step
        def charge(self, ctx): ...

    assert found() == [
        Error(
            "Saga 'order v2', step 'charge': It has no compensation.",
            hint="Write one below @charge.compensation, "
            "or say @step(no_compensation=True) if there is nothing to undo.",
            obj=path(Order),
            id="django_saga.E006",
        )
    ]


def test_a_problem_of_the_whole_saga_names_the_saga_and_the_remedy():
    class Order(Saga):
        pass

    assert found() == [
        Error(
            "Saga 'order v1': It has no steps.",
            hint="Decorate a method with @step.",
            obj=path(Order),
            id="django_saga.E001",
        )
    ]


def test_two_classes_of_one_name_and_version_are_reported_once_with_both_places():
    class First(Saga):
        name = "order"

        @step(no_compensation=True)
        def charge(self, ctx): ...

    class Second(Saga):
        name = "order"

        @step(no_compensation=True)
        def charge(self, ctx): ...

    assert found() == [
        Error(
            f"Saga 'order v1' is defined by several classes: {path(First)}, {path(Second)}.",
            hint='Set another name = "..." or version = ... in all but one of them.',
            obj=path(First),
            id="django_saga.E018",
        )
    ]


def test_a_class_whose_name_is_taken_has_its_own_problems_reported_too():
    class First(Saga):
        name = "order"

        @step(no_compensation=True)
        def charge(self, ctx): ...

    class Second(Saga):
        name = "order"

    assert [(message.id, message.obj) for message in found()] == [
        ("django_saga.E001", path(Second)),
        ("django_saga.E018", path(First)),
    ]


def test_the_command_fails_and_shows_it():
    class Order(Saga):
        pass

    with pytest.raises(SystemCheckError) as caught:
        call_command("check", tags=["django_saga"], stderr=StringIO())

    assert (
        f"{path(Order)}: (django_saga.E001) Saga 'order v1': It has no steps.\n"
        "\tHINT: Decorate a method with @step.\n"
    ) in str(caught.value)


# --- ids ------------------------------------------------------------------------------------------


def test_every_problem_that_the_code_can_find_has_an_id():
    modules = (validation, wait_problems, pivot, assembly, hooks, program, composed)
    source = "".join(Path(str(module.__file__)).read_text() for module in modules)
    # The first argument of Problem(...), report(...) and of what builds them.
    codes = set(re.findall(r'(?:Problem|report)\(\s*"([a-z-]+)"', source))

    assert codes == set(IDS)


def test_no_id_is_used_for_two_problems():
    ids = [*IDS.values(), DEFINED_TWICE]

    assert sorted(ids) == [f"django_saga.E{number:03}" for number in range(1, len(ids) + 1)]
