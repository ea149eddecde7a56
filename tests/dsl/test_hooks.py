"""How hooks are written, inherited and overridden, and what can be wrong with them: each with its message."""

from __future__ import annotations

import pytest

from django_saga import ComposedSaga, ForwardRecovery, SagaBuilder, action, part, saga
from django_saga.core.problem import Problem
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step


class Base(Saga):
    abstract = True

    @step(no_compensation=True)
    def charge(self, ctx): ...

    @charge.on_success
    def thank(self, transition):
        return f"thanks for {transition}"

    def on_exit(self, transition):
        return f"base exits {transition}"


def hooks(saga):
    """What each hook answers to ``x``."""
    program = saga.program
    assert program.problems == ()
    return {key: [hook("x") for hook in program.hook(*key)] for key in program.hooks}


def problems(saga):
    return list(saga.program.problems)


def test_a_saga_without_hooks_has_none():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

    assert Order.program.hooks == {}
    assert Order.program.hook("on_exit", "charge") == ()


def test_hooks_are_inherited():
    class Order(Base):
        def on_enter(self, transition):
            return f"order enters {transition}"

    assert hooks(Order) == {
        ("on_success", "charge"): ["thanks for x"],
        ("on_exit", ""): ["base exits x"],
        ("on_enter", ""): ["order enters x"],
    }


def test_a_step_may_have_several_hooks_of_a_kind_called_as_written():
    class Order(Base):
        @Base.charge.on_success
        def count(self, transition):
            return f"counted {transition}"

    assert hooks(Order)["on_success", "charge"] == ["thanks for x", "counted x"]


def test_an_overriding_method_takes_the_hooks_place():
    class Order(Base):
        def thank(self, transition):
            return f"{super().thank(transition)} again"

        def on_exit(self, transition):
            return f"{super().on_exit(transition)} too"

    assert hooks(Order) == {
        ("on_success", "charge"): ["thanks for x again"],
        ("on_exit", ""): ["base exits x too"],
    }


def test_none_turns_a_hook_off():
    class Order(Base):
        thank = None  # type: ignore[assignment]
        on_exit = None  # type: ignore[assignment]

    assert hooks(Order) == {}


def test_a_step_that_is_replaced_keeps_its_hooks():
    class Order(Base):
        @step(no_compensation=True)
        def charge(self, ctx): ...

    assert ("on_success", "charge") in hooks(Order)


def test_all_hooks_of_a_saga_have_one_self():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx):
            return self

        @charge.on_exit
        def note(self, transition):
            return self

        def on_exit(self, transition):
            return self

    itself = Order.program.do("charge")(None)
    assert type(itself) is Order
    assert hooks(Order) == {("on_exit", "charge"): [itself], ("on_exit", ""): [itself]}


def test_a_hook_is_a_plain_method_of_an_instance():
    class Order(Base):
        pass

    assert Order().thank("you") == "thanks for you"
    assert repr(Base.thank) == "<on_success of step charge>"


# --- sagas that are no classes --------------------------------------------------------------------


def charge_card(ctx): ...


def told(transition):
    return f"told {transition}"


def thanked(transition):
    return f"thanked for {transition}"


def built():
    return SagaBuilder("order", on_exit=told).step(charge_card, no_compensation=True, on_success=thanked)


def in_parallel():
    charged = part(charge_card, no_compensation=True, on_success=thanked)
    return SagaBuilder("order", on_exit=told).parallel(charged)


def traced():
    @saga(name="order", on_exit=told)
    def order(flow, input):
        flow.step(charge_card, no_compensation=True, on_success=thanked)

    return order


@pytest.mark.parametrize(
    "write",
    [lambda: built().build(), lambda: in_parallel().build(), traced],
    ids=["steps", "parts", "traced"],
)
def test_hooks_are_options_where_there_is_no_class(write):
    assert hooks(write()) == {
        ("on_exit", ""): ["told x"],
        ("on_success", "charge_card"): ["thanked for x"],
    }


def test_what_stands_in_for_a_step_has_hooks_of_its_own():
    def by_bank(ctx): ...

    stand_in = part(by_bank, no_compensation=True, on_success=thanked)
    order = SagaBuilder("order").step(charge_card, pivot=True, no_compensation=True)
    order.step(told, no_compensation=True, forward_recovery=ForwardRecovery.ALTERNATE(stand_in))

    assert hooks(order.build()) == {("on_success", "by_bank"): ["thanked for x"]}


def test_a_composed_saga_has_the_hooks_of_its_class_and_they_have_its_self():
    charge = action("charge", no_compensation=True)(charge_card)

    class Order(ComposedSaga):
        actions = (charge,)

        def on_success(self, transition):
            return self.answer(transition)

        def answer(self, transition):
            return f"{type(self).__name__} hears {transition}"

    assert hooks(Order.compose(["charge"])) == {("on_success", ""): ["Order hears x"]}


def test_mistakes_in_hooks_that_are_options():
    def yields(transition):
        yield transition

    @saga(name="order", on_exit="mail")  # type: ignore[call-overload]
    def order(flow, input):
        flow.step(charge_card, no_compensation=True, on_success=lambda: None, on_failure=yields)

    assert problems(order) == [
        Problem(
            "hook-type",
            "",
            "on_exit= is 'mail', which is not a function.",
            "Give it a function: on_exit=lambda transition: ...",
        ),
        Problem(
            "hook-signature",
            "charge_card",
            "on_success= cannot be called with (transition).",
            "Give it exactly this parameter.",
        ),
        Problem(
            "hook-signature",
            "charge_card",
            "on_failure= is a generator.",
            "Write it without yield: nobody takes what it yields.",
        ),
    ]


def test_a_mistake_in_a_hook_of_a_composed_saga():
    class Order(ComposedSaga):
        actions = (action("charge", no_compensation=True)(charge_card),)

        def on_sucess(self, transition): ...

    assert [problem.code for problem in problems(Order)] == ["unknown-hook"]


# --- mistakes -------------------------------------------------------------------------------------


def test_a_hook_of_a_step_of_another_saga():
    class Payment(Saga):
        @step(no_compensation=True)
        def charge_card(self, ctx): ...

    class Order(Base):
        @Payment.charge_card.on_failure
        def note(self, transition): ...

    assert problems(Order) == [
        Problem(
            "hook-step",
            "charge_card",
            "The hook note() is about a step that is not one of this saga.",
            "Decorate it with a step of the same class. Did you mean 'charge'?",
        )
    ]


@pytest.mark.parametrize("wrong", ["mail", 5, dict, print.__class__])
def test_a_hook_that_is_no_function(wrong):
    class Order(Base):
        on_success = wrong
        note = Base.charge.on_exit(wrong)

    assert problems(Order) == [
        Problem(
            "hook-type",
            "",
            f"The hook on_success is {wrong!r}, which is not a function.",
            "Write def on_success(self, transition).",
        ),
        Problem(
            "hook-type",
            "charge",
            f"The hook note is {wrong!r}, which is not a function.",
            "Write def note(self, transition).",
        ),
    ]


def test_a_hook_with_other_parameters():
    class Order(Base):
        def on_stuck(self): ...

        @Base.charge.on_exit
        def note(self, ctx, transition): ...

    assert problems(Order) == [
        Problem(
            "hook-signature",
            step_name,
            f"The hook {name}() cannot be called with (self, transition).",
            "Give it exactly these two parameters.",
        )
        for step_name, name in (("", "on_stuck"), ("charge", "note"))
    ]


def test_a_hook_that_yields():
    class Order(Base):
        def on_stuck(self, transition):
            yield transition

    assert problems(Order) == [
        Problem(
            "hook-signature",
            "",
            "The hook on_stuck() is a generator.",
            "Write it without yield: nobody takes what it yields.",
        )
    ]


def test_a_method_that_looks_like_a_hook():
    class Order(Base):
        def on_sucess(self, transition): ...

        @Base.charge.on_exit
        def on_charge_ended(self, transition): ...

        @step(no_compensation=True)
        def on_hold(self, ctx): ...

    assert problems(Order) == [
        Problem(
            "unknown-hook",
            "",
            "on_sucess() looks like a hook, but a saga has none of this name. Did you mean 'on_success'?",
            "The hooks of a saga are on_enter, on_success, on_failure, on_compensate, on_stuck, on_exit, "
            "those of a step are decorated: @<step>.on_success. Give any other method another name.",
        )
    ]


def test_a_hook_whose_name_goes_to_another():
    class Order(Base):
        @Base.charge.on_exit
        def note(self, transition): ...

        @Base.charge.on_failure  # type: ignore[no-redef]
        def note(self, transition): ...  # noqa: F811

    assert problems(Order) == [
        Problem(
            "overwritten",
            "charge",
            "Order.note is written twice: the first, <on_exit of step charge>, is lost.",
            "Give each function a name of its own.",
        )
    ]


def test_a_hook_or_step_that_hides_what_every_saga_has():
    class Order(Base):
        @Base.charge.on_exit
        def start(self, transition): ...  # type: ignore[override]

        @step(no_compensation=True)
        def on_exit(self, ctx): ...

    assert problems(Order) == [
        Problem("reserved-name", "charge", "The function start() hides Saga.start.", "Rename the function."),
        Problem(
            "reserved-name",
            "on_exit",
            "The function on_exit() hides Saga.on_exit.",
            'Rename the function; @step(name="on_exit") keeps the name of the step.',
        ),
    ]


def test_a_misspelt_decorator_is_an_attribute_error():
    with pytest.raises(AttributeError, match="on_sucess"):
        _ = Base.charge.on_sucess  # type: ignore[attr-defined]
