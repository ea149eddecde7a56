"""What tracing a ``@saga`` function gives, and what it refuses."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import pytest

from django_saga import Saga, part, saga
from django_saga.dsl.flow import Flow


def a(ctx): ...


def b(ctx): ...


def c(ctx): ...


def d(ctx): ...


def graph(traced: type[Saga]) -> dict[str, tuple[str, ...]]:
    return {step.name: step.after for step in traced.program.definition.steps}


def trace(function: Any) -> type[Saga]:
    return saga(name="order")(function)


def test_steps_run_in_the_order_written():
    @saga
    def order(flow, input):
        """Two steps."""
        flow.step(a)
        flow.step(b)

    assert graph(order) == {"a": (), "b": ("a",)}
    assert (order.program.definition.name, order.program.definition.description) == ("order", "Two steps.")


def test_a_step_comes_after_those_whose_results_it_takes_and_no_edge_is_said_twice():
    @saga
    def order(flow, input):
        first = flow.step(a)
        second = flow.step(b)
        flow.step(c, after=[])
        flow.step(d, {"both": [first["x"], second, input.y]})

    assert graph(order) == {"a": (), "b": ("a",), "c": (), "d": ("b", "c")}


def test_after_stands_in_place_of_the_step_before():
    @saga
    def order(flow, input):
        first = flow.step(a)
        flow.step(b)
        third = flow.step(c, after=first)
        flow.step(d, third, after=["b"])

    assert graph(order) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_after_and_an_input_that_say_the_same_are_one_edge():
    @saga
    def order(flow, input):
        first = flow.step(a)
        flow.step(b)
        flow.step(c, first, after=[a])
        flow.step(d, first["x"], after=c)

    assert graph(order) == {"a": (), "b": ("a",), "c": ("a",), "d": ("c",)}


def test_steps_in_parallel_are_waited_for_together():
    @saga
    def order(flow, input):
        flow.step(a)
        with flow.parallel():
            pending = flow.step(b)
            flow.step(c)
            flow.step(d, pending["id"])
            flow.step(a, name="e", after=pending)
        flow.step(b, name="last")

    assert graph(order) == {
        "a": (),
        "b": ("a",),
        "c": ("a",),
        "d": ("b",),
        "e": ("b",),
        "last": ("c", "d", "e"),
    }


def test_what_the_function_returns_becomes_a_last_step_where_it_is_not_the_last_ones_result():
    def last(flow, input):
        flow.step(a)
        return flow.step(b)

    def earlier(flow, input):
        first = flow.step(a)
        flow.step(b)
        return first

    def made(flow, input):
        with flow.parallel():
            first = flow.step(a)
            flow.step(b)
        return {"x": first["x"], "y": input.y}

    assert graph(trace(last)) == {"a": (), "b": ("a",)}
    assert graph(trace(earlier)) == {"a": (), "b": ("a",), "output": ("b",)}
    assert graph(trace(made)) == {"a": (), "b": (), "output": ("a", "b")}


USES: dict[str, list[Any]] = {
    "cannot decide an if": [bool, operator.not_],
    "cannot be looped over": [iter, list, len, reversed, lambda p: 1 in p, lambda p: dict(**p)],
    "cannot be compared": [lambda p: p == 1, lambda p: p != 1, lambda p: p < 1, lambda p: p >= 1],
    "cannot be a key": [hash, lambda p: {p: 1}, lambda p: {p}],
    "cannot be put into text": [str, lambda p: f"{p}", lambda p: f"{p:>8}", bytes],
    "cannot be called": [lambda p: p.get("x"), lambda p: p()],
    "cannot be changed": [
        lambda p: operator.setitem(p, "x", 1),
        lambda p: operator.delitem(p, "x"),
        lambda p: setattr(p, "x", 1),
        lambda p: delattr(p, "x"),
    ],
    "cannot be computed with": [
        *(int, float, operator.index, round, math.floor, operator.neg, abs),
        *(lambda p: p + 1, lambda p: 2 * p, lambda p: p / 2, lambda p: p % 2, lambda p: -p + 1),
    ],
}


@pytest.mark.parametrize(("refusal", "use"), [(text, use) for text, uses in USES.items() for use in uses])
def test_a_placeholder_can_be_passed_on_and_nothing_else(refusal, use):
    if refusal == "cannot be looped over" and use not in (iter, list, len, reversed):
        refusal = ""  # Python has words of its own for ** with what is no mapping

    def order(flow, input):
        use(flow.step(a)["x"])

    with pytest.raises(TypeError) as caught:
        trace(order)

    assert refusal in str(caught.value)


def test_the_refusal_says_what_is_the_matter_and_what_to_do_instead():
    def order(flow, input):
        if flow.step(a)["approved"]:
            flow.step(b)

    with pytest.raises(TypeError) as caught:
        trace(order)

    assert str(caught.value) == (
        "<placeholder of result of step a.approved> has no value yet: a @saga function is traced once, "
        "before any saga runs. It cannot decide an if, while, and, or, not: let a step look at it, or "
        "flow.transform(function, input)."
    )


def test_a_placeholder_has_no_private_parts():
    def order(flow, input):
        flow.step(a, input._secret)

    with pytest.raises(AttributeError, match=r"in brackets: \['_secret'\]"):
        trace(order)


@dataclass
class Box:
    content: Any


class Meanwhile:
    """Something that outlives the trace."""

    flow: Any = None
    placeholder: Any = None


def keep(flow, input):
    Meanwhile.flow, Meanwhile.placeholder = flow, flow.step(a)


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda flow, input: flow.step(a, lambda ctx: 1), "input of step a is a function. Give data and"),
        (lambda flow, input: flow.step(a, {"x": [{1}]}), "input of step a.x[0]: set cannot be stored"),
        (
            lambda flow, input: flow.step(a, {"x": Box(input)}),
            "input of step a.x.content: Placeholder cannot",
        ),
        (lambda flow, input: flow.step(a, {1: 2}), "keys must be str"),
        (lambda flow, input: flow.step(a, {"$x": input}), "a placeholder cannot be alone in a dict with"),
        (lambda flow, input: flow.step(a, input[1:2]), "takes text or whole numbers in brackets"),
        (lambda flow, input: flow.step(a, after=input), "after=[...] takes what flow.step() gave"),
        (lambda flow, input: flow.step(a, after=flow.step(b)["x"]), "after=[...] takes what flow.step()"),
        (
            lambda flow, input: flow.step(input),
            "flow.step() runs functions, not <placeholder of input>: give",
        ),
        (lambda flow, input: flow.step(a, compensate=input), "flow.step() runs functions, not <placeholder"),
        (lambda flow, input: flow.step(a, Meanwhile.placeholder), "belongs to another saga"),
        (lambda flow, input: Meanwhile.flow.step(a), "steps can be added while it is traced only"),
        (lambda flow, input: Meanwhile.flow.parallel().__enter__(), "while it is traced only"),
    ],
)
def test_misuse_is_an_error_where_it_is_written(misuse, message):
    trace(keep)

    with pytest.raises(TypeError) as caught:
        trace(misuse)

    assert message in str(caught.value)


def test_blocks_do_not_nest():
    def order(flow, input):
        with flow.parallel(), flow.parallel():
            flow.step(a)

    with pytest.raises(TypeError, match="run side by side already"):
        trace(order)


async def asynchronous(flow, input): ...


def generating(flow, input):
    yield


@pytest.mark.parametrize("wrong", [asynchronous, generating, Flow, "order"])
def test_only_a_plain_function_can_be_traced(wrong):
    with pytest.raises(TypeError, match=r"@saga: decorate a def function \(flow, input\), not"):
        saga(wrong)


def test_an_input_given_where_a_part_is_used_stands_over_its_own():
    own = part(a, input=lambda ctx: "its own", no_compensation=True)

    @saga
    def order(flow, input):
        flow.step(own, "given", name="first")
        flow.step(own, name="second")

    made = [order.program.functions[name].input(None) for name in ("first", "second")]  # type: ignore[misc]
    assert made == ["given", "its own"]
