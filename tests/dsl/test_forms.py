"""One saga written as a class, by the builder and as a function is one definition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command

from django_saga import (
    FailurePolicy,
    ForwardRecovery,
    InvalidDefinition,
    Retry,
    Saga,
    SagaBuilder,
    part,
    saga,
    step,
)
from django_saga.checks.definitions import check_definitions, check_names
from django_saga.dsl.registry import registry

HERE = __name__
PATIENT = Retry(attempts=9)


@dataclass
class Trip:
    traveller: str


def reserve(ctx):
    return {"seat": 7}


def release(ctx): ...


async def charge(ctx): ...


def refund(ctx): ...


def pack(ctx): ...


def label(ctx): ...


def ship(ctx): ...


def as_class() -> type[Saga]:
    class TripSaga(Saga):
        """A trip."""

        version = 2
        input = Trip
        queue = "trips"
        deadline = 60
        failure_policy = FailurePolicy.WAIT_ALL

        @step(atomic=True, timeout=30)
        def reserve(self, ctx): ...

        @reserve.compensation(atomic=True, retry=PATIENT)
        def release(self, ctx): ...

        @step(queue="bank")
        async def charge(self, ctx): ...

        @charge.compensation
        def refund(self, ctx): ...

        @step(after=[charge], no_compensation=True)
        def pack(self, ctx): ...

        @step(after=[pack], no_compensation=True)
        def label(self, ctx): ...

        @step(after=[charge], no_compensation=True)
        def insure(self, ctx): ...

        @step(after=[label, insure], no_compensation=True)
        def ship(self, ctx): ...

    return TripSaga


OPTIONS: dict[str, Any] = {
    "version": 2,
    "input": Trip,
    "queue": "trips",
    "deadline": 60,
    "failure_policy": FailurePolicy.WAIT_ALL,
    "description": "A trip.",
}


def by_builder() -> type[Saga]:
    return (
        SagaBuilder("trip", **OPTIONS)
        .step(reserve, compensate=part(release, atomic=True, retry=PATIENT), atomic=True, timeout=30)
        .step(charge, compensate=refund, queue="bank")
        .parallel(
            [part(pack, no_compensation=True), part(label, no_compensation=True)],
            part(label, name="insure", no_compensation=True),
        )
        .transform(ship)
        .build()
    )


def as_function() -> type[Saga]:
    @saga(**OPTIONS)
    def trip(flow, input):
        r = flow.step(reserve, compensate=part(release, atomic=True, retry=PATIENT), atomic=True, timeout=30)
        flow.step(charge, {"seat": r["seat"]}, compensate=refund, queue="bank")
        with flow.parallel():
            packed = flow.step(pack, no_compensation=True)
            flow.step(label, packed, no_compensation=True)
            flow.step(label, name="insure", no_compensation=True)
        return flow.transform(ship)

    return trip


FORMS = [as_class, by_builder, as_function]


@pytest.mark.parametrize("form", FORMS[1:])
def test_the_three_forms_give_equal_definitions(form):
    written, other = as_class().program, form().program

    assert other.definition == written.definition
    assert other.definition.fingerprint == written.definition.fingerprint
    assert other.definition.description == written.definition.description
    assert (other.input, other.output) == (Trip, None)
    assert (other.problems, written.problems) == ((), ())


@pytest.mark.parametrize(
    ("form", "path"),
    [
        (as_class, f"{HERE}.as_class.<locals>.TripSaga"),
        (by_builder, f"{HERE}:{by_builder.__code__.co_firstlineno + 2}"),
        (as_function, f"{HERE}.as_function.<locals>.trip"),
    ],
)
def test_every_form_is_registered_where_it_is_written(form, path):
    built = form()

    assert registry.all() == [built.program]
    assert (built.program.path, built.name) == (path, "trip")
    assert issubclass(built, Saga)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_started_alike(form, engine):
    built = form()

    handle = built.start(Trip("Ada"), idempotency_key="k", run_at=timedelta(minutes=5))

    assert handle == ("start", built.program, '{"traveller":"Ada"}', "k", timedelta(minutes=5), None, None)
    assert built.get("id") == ("get", built.program, "id", None)


@pytest.mark.django_db
def test_every_form_is_drawn_alike():
    drawings = []
    for form in FORMS:
        with registry.isolated():
            form()
            out = StringIO()
            call_command("saga_graph", "trip", stdout=out)
            drawings.append(out.getvalue())

    assert drawings[0] == drawings[1] == drawings[2]
    assert "insure" in drawings[0]


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_two_forms_of_one_name_and_version_are_in_each_others_way(first, second):
    first()
    twin = second()

    if first is second:
        assert check_names(None) == []  # the same code again, as in a module that is reloaded
        return
    assert [message.id for message in check_names(None)] == ["django_saga.E018"]
    with pytest.raises(InvalidDefinition, match="is defined twice"):
        twin.start(Trip("Ada"))


def broken_builder():
    return SagaBuilder("Bad name", version=0).step(pack, after=["lable"]).step(label).step(label)


def broken_function():
    @saga(name="Bad name", version=0)
    def broken(flow, input):
        flow.step(pack, after=["lable"])
        flow.step(label)
        flow.step(label)

    return broken


EXPECTED = [
    ("saga-name", "", 'Name it with up to 100 lower-case letters, digits, "_", "." and "-".'),
    ("version", "", "Give version=1, and one more whenever the steps change."),
    ("duplicate-step", "label", 'Give all but one of them another name: {add}(function, name="...").'),
    (
        "no-compensation",
        "pack",
        "Write {add}(function, compensate=...), or no_compensation=True if there is nothing to undo.",
    ),
    (
        "no-compensation",
        "label",
        "Write {add}(function, compensate=...), or no_compensation=True if there is nothing to undo.",
    ),
    ("unknown-step", "pack", "Correct after=[...]. Did you mean 'label'? The steps are pack, label."),
    ("cycle", "label", "Remove it from its own after=[...]."),
]


@pytest.mark.parametrize(
    ("form", "add"), [(lambda: broken_builder().build(), ".step"), (broken_function, "flow.step")]
)
def test_problems_name_the_remedy_in_words_of_the_form(form, add):
    problems = form().program.problems

    found = [(problem.code, problem.step, problem.hint) for problem in problems]
    assert found == [(code, step, hint.format(add=add)) for code, step, hint in EXPECTED]
    assert len(check_definitions(None)) == len(EXPECTED)
    assert {message.obj for message in check_definitions(None)} == {registry.all()[0].path}


@pytest.mark.parametrize(
    ("form", "hint"),
    [
        (lambda: SagaBuilder("empty").build(), "Add one: .step(function)."),
        (lambda: saga(name="empty")(lambda flow, input: None), "Add one: flow.step(function)."),
    ],
)
def test_a_saga_without_steps(form, hint):
    [problem] = form().program.problems

    assert (problem.code, problem.hint) == ("no-steps", hint)


def test_functions_take_the_context_alone():
    def charge(self, ctx): ...

    def refund(): ...

    built = SagaBuilder("order").step(charge, compensate=refund).build()

    assert [(problem.message, problem.hint) for problem in built.program.problems] == [
        ("charge() cannot be called with (ctx).", "Give it exactly this parameter."),
        ("The compensation refund() cannot be called with (ctx).", "Give it exactly this parameter."),
    ]


@pytest.mark.parametrize(
    ("mapper", "message"),
    [
        (7, "input= is 7."),
        (charge, "input= is async def."),
        (lambda: None, "input= cannot be called with (ctx)."),
    ],
)
def test_an_input_mapper_is_a_function_of_the_context(mapper, message):
    built = SagaBuilder("order").step(ship, input=mapper, no_compensation=True).build()

    assert [(problem.code, problem.step, problem.message) for problem in built.program.problems] == [
        ("signature", "ship", message)
    ]


UNKNOWN: dict[str, Any] = {"verison": 2}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda: SagaBuilder("order", **UNKNOWN),
            "SagaBuilder: there is no option 'verison'. Did you mean 'version'?",
        ),
        (lambda: saga(**UNKNOWN), "@saga: there is no option 'verison'. Did you mean 'version'?"),
        (lambda: part(ship, **UNKNOWN), "Step ship: there is no option 'verison'."),
        (lambda: SagaBuilder("order").step("ship"), "A step is a function, not 'ship'."),  # type: ignore[arg-type]
        (
            lambda: SagaBuilder("order").step(ship, compensate=part(release, queue="slow")),
            "The compensation of step ship: there is no option 'queue'.",
        ),
    ],
)
def test_options_are_checked_where_they_are_written(write, message):
    with pytest.raises(TypeError) as caught:
        write()

    assert str(caught.value) == message


def past_the_pivot() -> list[type[Saga]]:
    class OrderSaga(Saga):
        @step(pivot=True, no_compensation=True)
        def pack(self, ctx): ...

        @step(no_compensation=True)
        def label(self, ctx): ...

        @step(no_compensation=True, forward_recovery=ForwardRecovery.ALTERNATE(label))
        def ship(self, ctx): ...

        @step(no_compensation=True, name="thank", forward_recovery=ForwardRecovery.SKIP)
        def last(self, ctx): ...

    by_post = ForwardRecovery.ALTERNATE(part(label, no_compensation=True))
    built = (
        SagaBuilder("order")
        .step(pack, pivot=True, no_compensation=True)
        .step(ship, forward_recovery=by_post, no_compensation=True)
        .step(release, name="thank", forward_recovery=ForwardRecovery.SKIP, no_compensation=True)
        .build()
    )

    @saga
    def order(flow, input):
        flow.step(pack, pivot=True, no_compensation=True)
        shipped = flow.step(ship, {"to": input.address}, forward_recovery=by_post, no_compensation=True)
        flow.step(release, shipped, name="thank", forward_recovery=ForwardRecovery.SKIP, no_compensation=True)

    return [OrderSaga, built, order]


def test_what_stands_in_past_the_pivot_is_alike_in_every_form():
    written, *others = [each.program for each in past_the_pivot()]

    assert written.problems == ()
    for other in others:
        assert (other.definition, other.problems) == (written.definition, ())
        assert other.definition.fingerprint == written.definition.fingerprint
    given = SimpleNamespace(input={"address": "here"})
    assert [others[-1].functions[name].input(given) for name in ("ship", "label")] == [{"to": "here"}] * 2  # type: ignore[misc]


def test_what_stands_in_has_no_place_of_its_own():
    with pytest.raises(TypeError, match="it takes no after"):
        SagaBuilder("order").step(ship, forward_recovery=ForwardRecovery.ALTERNATE(part(label, after=[])))
