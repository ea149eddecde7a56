"""How conditions are written in each form, and what is wrong with one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from django_saga import (
    ComposedSaga,
    ForwardRecovery,
    InvalidDefinition,
    Saga,
    SagaBuilder,
    action,
    part,
    saga,
    step,
)
from django_saga.core.problem import Problem
from django_saga.dsl.registry import registry


@pytest.fixture(autouse=True)
def isolated():
    with registry.isolated():
        yield


def work(ctx): ...


def wanted(ctx):
    return ctx


def asked(program, name="work", **ctx):
    return program.when(name)(SimpleNamespace(step=name, **ctx))


def test_a_condition_is_a_lambda_a_function_or_a_method_of_the_class():
    class Order(Saga):
        def is_large(self, ctx):
            return (type(self).__name__, ctx.input)

        @staticmethod
        def is_static(ctx):
            return ctx.input

        @step(when=lambda ctx: not ctx.input, no_compensation=True)
        def one(self, ctx): ...

        @step(when=wanted, no_compensation=True)
        def two(self, ctx): ...

        @step(when=is_large, no_compensation=True)
        def three(self, ctx): ...

        @step(when=is_static, no_compensation=True)
        def four(self, ctx): ...

    program = Order.program
    assert list(program.problems) == []
    names = {name: each.when for name, each in program.definition.by_name.items()}
    assert names == {"one": "condition", "two": "wanted", "three": "is_large", "four": "is_static"}
    assert asked(program, "one", input=5) is False
    assert asked(program, "two").step == "two"
    assert asked(program, "three", input=5) == ("Order", 5)
    assert asked(program, "four", input=5) == 5


def test_a_builder_takes_conditions_where_it_takes_steps():
    built = (
        SagaBuilder("built")
        .step(work, when=wanted, no_compensation=True)
        .parallel(part(work, name="other", when=wanted, no_compensation=True))
        .build()
    )

    assert [each.when for each in built.program.definition.steps] == ["wanted", "wanted"]
    assert list(built.program.problems) == []


def test_a_function_takes_placeholders_too_and_waits_for_what_they_stand_for():
    @saga
    def order(flow, input):
        with flow.parallel():
            found = flow.transform(work, name="look")
            flow.transform(work, name="beside")
        flow.step(work, name="by_result", when=found["there"], after=[], no_compensation=True)
        flow.step(work, name="by_input", when=input.gift, no_compensation=True)

    program = order.program
    assert program.definition["by_result"].after == ("look",)
    assert program.definition["by_result"].when == "condition"
    assert asked(program, "by_result", results={"look": {"there": 0}}) == 0
    assert asked(program, "by_input", input={"gift": True}) is True
    with pytest.raises(Exception, match=r"The condition of step 'by_input' cannot be made: the input has no"):
        asked(program, "by_input", input={})


@action(no_compensation=True)
def look(ctx): ...


@action(no_compensation=True)
def send(ctx): ...


class Composed(ComposedSaga):
    abstract = True
    actions = (look, send)


def test_composed_steps_bring_their_conditions_as_data():
    class Shop(Composed):
        pass

    sagas = Shop.compose(["look", {"action": "send", "when": {"$result": "look.there"}}])

    assert sagas.program.definition["send"].when == "condition"
    assert asked(sagas.program, "send", results={"look": {"there": "x"}}) == "x"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"action": "send", "when": {"$result": "look"}}], "Its when takes the result of 'look'"),
        ([{"action": "send", "when": {"$thing": "x"}}], r"Its when: '\$thing' is no reference"),
    ],
)
def test_composed_conditions_refer_to_what_comes_before(steps, said):
    class Shop(Composed):
        pass

    with pytest.raises(InvalidDefinition, match=said):
        Shop.compose(steps)


async def later(ctx): ...


def yields(ctx):
    yield True


@pytest.mark.parametrize(
    ("when", "said", "hint"),
    [
        (True, "is True", "Give it a function: when=lambda ctx: ..."),
        (later, "is async def", "Write def: it only looks at what is in the context."),
        (yields, "is a generator", "Return the answer instead of yielding it."),
        (lambda: True, "cannot be called with (ctx)", "Give it exactly this parameter."),
        (lambda a, b, c: True, "cannot be called with (ctx)", "Give it exactly this parameter."),
    ],
)
def test_what_is_no_condition_is_named_with_its_remedy(when, said, hint):
    class Order(Saga):
        @step(when=when, no_compensation=True)
        def charge(self, ctx): ...

    assert list(Order.program.problems) == [Problem("condition", "charge", f"when= {said}.", hint)]


def test_a_condition_outside_a_class_takes_no_self():
    built = SagaBuilder("built").step(work, when=lambda self, ctx: 1, no_compensation=True).build()

    [problem] = built.program.problems
    assert (problem.code, problem.message) == ("condition", "when= cannot be called with (ctx).")


def test_what_undoes_or_probes_a_step_and_an_action_take_no_condition():
    @step
    def charge(self, ctx): ...

    with pytest.raises(
        TypeError, match=r"^The compensation of step charge takes no when=: a condition is a step's"
    ):
        charge.compensation(when=wanted)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^The probe of step charge takes no when="):
        charge.probe(when=wanted)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^@action takes no when="):
        action("named", when=wanted)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^The compensation of step work takes no when="):
        SagaBuilder("built").step(work, compensate=part(work, when=wanted))


def test_neither_a_pivot_nor_a_stand_in_has_a_condition():
    class Order(Saga):
        @step(pivot=True, when=wanted)
        def pay(self, ctx): ...

        @step(when=wanted)
        def post(self, ctx): ...

        @step(forward_recovery=ForwardRecovery.ALTERNATE(post), when=wanted)
        def ship(self, ctx): ...

    found = [(problem.code, problem.step) for problem in Order.program.problems]
    assert found == [("condition-place", "pay"), ("condition-place", "post")]


def test_whether_a_step_has_a_condition_is_part_of_the_fingerprint_and_which_is_not():
    def fingerprint(when):
        built = SagaBuilder("built").step(work, when=when, no_compensation=True).build()
        return built.program.definition.fingerprint

    def other(ctx): ...

    prints = []
    for when in (None, wanted, other):
        with registry.isolated():
            prints.append(fingerprint(when))

    assert prints[0] != prints[1] == prints[2]
