"""The graph that a builder's calls make."""

from __future__ import annotations

import functools
from datetime import timedelta

from django_saga import Saga, SagaBuilder, part
from django_saga.core.definition import UndoDefinition


def a(ctx):
    return "a"


def b(ctx): ...


def c(ctx): ...


def d(ctx): ...


def undo(ctx):
    return "undone"


def graph(built: type[Saga]) -> dict[str, tuple[str, ...]]:
    return {step.name: step.after for step in built.program.definition.steps}


def test_each_step_comes_after_what_was_added_before():
    built = SagaBuilder("order").step(a).parallel(b, c).step(d).build()

    assert graph(built) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_list_is_a_branch_and_branches_may_hold_lists():
    built = SagaBuilder("order").parallel([a, b], [c, [d, part(a, name="e")]]).step(b, name="f").build()

    assert graph(built) == {"a": (), "b": ("a",), "c": (), "d": ("c",), "e": ("d",), "f": ("b", "e")}


def test_nothing_in_parallel_changes_nothing():
    assert graph(SagaBuilder("order").step(a).parallel().parallel([]).step(b).build()) == {
        "a": (),
        "b": ("a",),
    }


def test_after_takes_functions_parts_and_names():
    first, second = part(a, name="first"), part(b)

    built = (
        SagaBuilder("order")
        .step(first)
        .step(second)
        .step(c, after=[])
        .step(d, after=[a, second, "c"])
        .step(a, name="last", after=d)
        .build()
    )

    assert graph(built) == {
        "first": (),
        "b": ("first",),
        "c": (),
        "d": ("first", "b", "c"),
        "last": ("d",),
    }


def test_a_function_of_two_steps_names_neither():
    built = SagaBuilder("order").step(a, name="x").step(a, name="y").step(b, after=a).build()

    [problem] = [
        problem for problem in built.program.problems if problem.step == "b" and "after" in problem.code
    ]
    assert str(problem) == (
        "step 'b': after=[...] holds the function of 2 steps: x, y. "
        "Give the step's name, or its function where no other step has that."
    )


def test_a_function_that_is_no_step_is_an_unknown_step():
    built = SagaBuilder("order").step(a, no_compensation=True).transform(b, after=[c]).build()

    [problem] = built.program.problems
    assert (problem.code, problem.message) == (
        "unknown-step",
        "It comes after 'c', which is not a step of this saga.",
    )


def test_options_given_where_a_part_is_used_stand_over_its_own():
    given = part(a, name="first", timeout=5, compensate=undo)

    built = SagaBuilder("order").step(given, timeout=7).build()

    [only] = built.program.definition.steps
    assert (only.name, only.timeout) == ("first", timedelta(seconds=7))
    assert only.undo == UndoDefinition(function="undo")
    assert given.options["timeout"] == 5


def test_what_is_built_runs_the_functions_as_they_are():
    built = SagaBuilder("order").step(functools.partial(a), name="a", compensate=undo).build()

    assert (built.program.do("a")(None), built.program.undo("a")(None)) == ("a", "undone")
    assert built.program.problems == ()


def test_a_builder_can_go_on_after_it_was_asked():
    builder = SagaBuilder("order", version=1).step(a)
    first = builder.build()

    second = builder.step(b).build()

    assert (list(graph(first)), list(graph(second))) == (["a"], ["a", "b"])
