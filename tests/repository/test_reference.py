"""The reference pages name what the code offers, all of it and nothing else."""

import re
from dataclasses import fields
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import django_saga
from django_saga import (
    ComposedSaga,
    Context,
    Flow,
    Retry,
    Saga,
    SagaBuilder,
    SagaHandle,
    SagaStatus,
    StepStatus,
    exceptions,
    operations,
    signals,
    testing,
)
from django_saga.conf import SagaSettings
from django_saga.core.events import EVENTS
from django_saga.dsl.hooks import HookDecorators
from django_saga.dsl.step import Step
from django_saga.dsl.transition import HOOKS, Transition
from tests.repository.files import ROOT

COMMANDS = [
    *("saga_worker", "saga_list", "saga_show", "saga_graph"),
    *("saga_start", "saga_retry", "saga_cancel", "saga_prune"),
    *("saga_simulate", "saga_check", "saga_migrate", "saga_requeue", "saga_flow"),
]


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / f"{name}.md").read_text()


def section(name: str, heading: str) -> str:
    """What stands below the heading that begins with ``heading``."""
    [text] = [part for part in re.split(r"^(?=## )", page(name), flags=re.M) if part.startswith(heading)]
    return text


def first_cells(text: str) -> list[str]:
    """Every name in the first column of the tables of ``text``, without arguments."""
    cells = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return [re.split(r"[(=]", code)[0].split()[-1] for cell in cells for code in re.findall(r"`(.+?)`", cell)]


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_every_setting_is_in_the_reference():
    assert re.findall(r"^\| `(\w+)` \|", page("settings"), re.MULTILINE) == [
        field.name.upper() for field in fields(SagaSettings)
    ]


def test_every_public_name_has_its_place():
    known = set(re.findall(r"`(\w+)", page("api"))) | set(re.findall(r"\*\*`(\w+)", page("exceptions")))

    assert set(django_saga.__all__) - known == set()


def test_the_members_of_the_public_classes_are_in_the_reference():
    assert set(first_cells(section("api", "## `Saga`"))) == public(Saga) - {"program"}
    assert set(first_cells(section("api", "## `Context`"))) == public(Context)
    assert set(first_cells(section("api", "## `SagaHandle`"))) == public(SagaHandle) | {"id", "using"}
    assert first_cells(section("api", "## `Retry`")) == [field.name for field in fields(Retry)]
    assert first_cells(section("api", "## `step`")) == [
        name for name in signature(Step).parameters if name != "function"
    ]
    assert set(first_cells(section("api", "## `SagaBuilder`"))) == public(SagaBuilder)
    assert set(first_cells(section("api", "## `saga`"))) == public(Flow)
    assert set(first_cells(section("api", "## `ComposedSaga`"))) == public(ComposedSaga) - {"abstract"}
    assert first_cells(section("api", "## `django_saga.operations`")) == operations.__all__


def test_every_signal_is_in_the_reference_with_its_arguments():
    handle: Any = SimpleNamespace(id=1, name="order", using="default")
    for heading, kind, of in (("## Of sagas", "saga_", ""), ("## Of steps", "step_", "charge")):
        names, arguments = re.split(r"^\| argument", section("signals", heading), flags=re.MULTILINE)
        told = Transition(signal="", saga=handle, version=1, status="", step=of).arguments()

        assert first_cells(names) == [name for name in signals.TRANSITIONS if name.startswith(kind)]
        assert set(first_cells(arguments)) == set(told)


def test_every_hook_is_in_the_reference():
    assert set(HOOKS) == public(HookDecorators)
    steps = section("api", "## `step`")
    assert [name for name in HOOKS if f"`.{name}`" not in steps and f"`@<step>.{name}`" not in steps] == []
    shown = set(first_cells(section("api", "## `Transition`")))
    assert shown == {field.name for field in fields(Transition)} | {"arguments"}


def test_all_of_testing_is_in_the_reference():
    assert first_cells(section("testing", "## Functions")) == testing.__all__
    assert set(first_cells(section("testing", "## `SagaLab`"))) == public(testing.SagaLab) | {"using", "plan"}
    case = section("testing", "## `SagaCase`").partition("`str(case)`")[0]
    assert set(first_cells(case)) == public(testing.SagaCase) | {"saga", "step", "undo"}


def test_every_exception_is_in_the_reference_and_those_in_bold_are_public():
    found = {
        name for name, value in vars(exceptions).items() if isinstance(value, type) and name[0].isupper()
    }
    errors = {name for name in found if issubclass(getattr(exceptions, name), Exception)}

    assert set(first_cells(page("exceptions"))) == errors
    assert set(re.findall(r"\*\*`(\w+)", page("exceptions"))) == errors & set(django_saga.__all__)


def test_every_state_is_in_the_reference():
    assert first_cells(section("states", "## Sagas")) == [status.value for status in SagaStatus]
    steps = section("states", "## Steps").partition("When the saga turns back")[0]
    assert first_cells(steps) == [status.value for status in StepStatus]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_is_in_the_reference(name):
    def flags(command: BaseCommand) -> set[str]:
        parser = command.create_parser("manage.py", name)
        return {
            option for action in parser._actions for option in action.option_strings if option[:2] == "--"
        }

    shown = set(re.findall(r"`(--[\w-]+)", section("commands", f"## `{name}")))
    own = flags(load_command_class("django_saga", name)) - flags(BaseCommand()) - {"--database"}
    # Some commands have another meaning for a flag that every command has.
    own |= shown & {"--version", "--traceback"}

    assert shown == own


@pytest.mark.parametrize(
    "model", [*apps.get_app_config("django_saga").get_models()], ids=lambda m: m.__name__
)
def test_every_field_of_a_model_is_in_the_reference(model):
    shown = first_cells(section("models", f"## `{model.__name__}`"))

    assert sorted(shown) == sorted(field.name for field in model._meta.concrete_fields)


def test_every_event_is_in_the_reference():
    assert re.findall(r"`(\w+)`", re.findall(r"^\| `kind` \| (.*) \|$", page("models"), re.M)[0]) == [*EVENTS]
