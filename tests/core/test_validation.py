"""Everything that may be wrong with a definition, and its remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.problem import Problem, did_you_mean
from django_saga.core.states import CompensationPolicy, FailurePolicy
from django_saga.core.validation import problems

UNDO = UndoDefinition(function="refund")


def step(name="charge", **options):
    return StepDefinition(**{"name": name, "no_compensation": "undo" not in options} | options)


def saga(*steps, **options):
    return SagaDefinition(**{"name": "order", "steps": steps or (step(),)} | options)


def graph(**after):
    return saga(*(step(name, after=tuple(before)) for name, before in after.items()))


@pytest.mark.parametrize(
    "right",
    [
        saga(),
        saga(name="shop.order-2_b"),
        saga(
            step(undo=UNDO, timeout=timedelta(1), deadline=timedelta(1), atomic=True), deadline=timedelta(1)
        ),
        saga(step(undo=replace(UNDO, is_async=True, timeout=timedelta(1)), atomic=True)),
        saga(step("_1" + "a" * 98, queue="q" * 50), name="a" * 100),
        graph(a="", b="a", c="b"),
        graph(d="bc", c="a", b="a", a=""),
        graph(a="", b="", c="ab"),
        *(saga(compensation_policy=policy) for policy in CompensationPolicy),
        saga(failure_policy=FailurePolicy.WAIT_ALL),
        saga(failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE, grace=timedelta(1)),
        saga(*(step(f"s{n}", after=(f"s{n - 1}",) if n else ()) for n in range(200))),
    ],
)
def test_a_right_definition_has_no_problem(right):
    assert problems(right) == []


NAME_HINT = 'Set name = "..." to up to 100 lower-case letters, digits, "_", "." and "-".'
STEP_HINT = 'Use up to 100 lower-case letters, digits and "_"; @step(name="...") sets it.'
TIME_HINT = "Give seconds or a timedelta greater than zero, or leave it out."
ASYNC_HINT = "Write def instead of async def, or remove atomic=True."


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        *(
            (saga(name=name), Problem("saga-name", "", f"{name!r} cannot be the name of a saga.", NAME_HINT))
            for name in ("", "Order", "an order", "order\n", "bücher", "a" * 101, None)
        ),
        *(
            (
                saga(version=version),
                Problem(
                    "version",
                    "",
                    f"The version {version!r} is not a whole number from 1 on.",
                    "Set version = 1, and one more whenever the steps change.",
                ),
            )
            for version in (0, -1, 1.0, "1", True, 2**31)
        ),
        (
            SagaDefinition(name="order"),
            Problem("no-steps", "", "It has no steps.", "Decorate a method with @step."),
        ),
        (
            saga(deadline=timedelta(0)),
            Problem("not-positive", "", "The deadline of 0 s is not longer than nothing.", TIME_HINT),
        ),
        (
            saga(failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE),
            Problem(
                "failure-policy",
                "",
                "failure_policy = FailurePolicy.FAIL_FAST_WITH_GRACE does not say how long.",
                "Give it seconds or a timedelta: FailurePolicy.FAIL_FAST_WITH_GRACE(30).",
            ),
        ),
        (
            saga(failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE, grace=timedelta(0)),
            Problem("not-positive", "", "The grace of 0 s is not longer than nothing.", TIME_HINT),
        ),
        (
            saga(failure_policy="fail_fast"),
            Problem(
                "failure-policy",
                "",
                "failure_policy = 'fail_fast' is not a FailurePolicy.",
                "Use FailurePolicy.FAIL_FAST, WAIT_ALL or FAIL_FAST_WITH_GRACE(seconds).",
            ),
        ),
        (
            saga(compensation_policy="stop"),
            Problem(
                "compensation-policy",
                "",
                "compensation_policy = 'stop' is not a CompensationPolicy.",
                "Use CompensationPolicy.CONTINUE, STOP, SKIP_DEPENDENTS.",
            ),
        ),
        *(
            (
                saga(step(name)),
                Problem("step-name", name, f"{name!r} cannot be the name of a step.", STEP_HINT),
            )
            for name in ("", "Charge", "1st", "a-b", "<lambda>", "a" * 101, "a\n")
        ),
        (
            saga(step(timeout=timedelta(seconds=-0.5))),
            Problem("not-positive", "charge", "The timeout of -0.5 s is not longer than nothing.", TIME_HINT),
        ),
        (
            saga(step(deadline=timedelta(0))),
            Problem("not-positive", "charge", "The deadline of 0 s is not longer than nothing.", TIME_HINT),
        ),
        (
            saga(step(undo=replace(UNDO, timeout=timedelta(0)))),
            Problem(
                "not-positive",
                "charge",
                "The timeout of the compensation of 0 s is not longer than nothing.",
                TIME_HINT,
            ),
        ),
        *(
            (
                saga(step(queue=queue)),
                Problem(
                    "queue",
                    "charge",
                    f"{queue!r} cannot be the name of a queue.",
                    "Give queue= a text of 1 to 50 characters.",
                ),
            )
            for queue in ("", "q" * 51, "a\0b", 5)
        ),
        (
            saga(step(atomic=True, is_async=True)),
            Problem(
                "async-atomic",
                "charge",
                "The step is atomic and async def; Django's transactions do not work in async code.",
                ASYNC_HINT,
            ),
        ),
        (
            saga(step(undo=replace(UNDO, atomic=True, is_async=True))),
            Problem(
                "async-atomic",
                "charge",
                "The compensation 'refund' is atomic and async def; "
                "Django's transactions do not work in async code.",
                ASYNC_HINT,
            ),
        ),
        (
            saga(step(no_compensation=False)),
            Problem(
                "no-compensation",
                "charge",
                "It has no compensation.",
                "Write one below @charge.compensation, "
                "or say @step(no_compensation=True) if there is nothing to undo.",
            ),
        ),
        (
            saga(step(undo=UNDO, no_compensation=True)),
            Problem(
                "needless-compensation",
                "charge",
                "It says no_compensation=True and has the compensation 'refund'.",
                "Remove one of the two.",
            ),
        ),
        (
            saga(step("charge"), step("ship", after=("charg",))),
            Problem(
                "unknown-step",
                "ship",
                "It comes after 'charg', which is not a step of this saga.",
                "Correct after=[...]. Did you mean 'charge'? The steps are charge, ship.",
            ),
        ),
        (
            saga(step("charge"), step("ship", after=("pack",))),
            Problem(
                "unknown-step",
                "ship",
                "It comes after 'pack', which is not a step of this saga.",
                "Correct after=[...]. The steps are charge, ship.",
            ),
        ),
        (
            saga(step("charge"), step("ship", after=("charge", "charge"))),
            Problem("repeated-step", "ship", "It names 'charge' 2 times in after.", "Name it once."),
        ),
        (
            saga(step("charge", after=("charge",))),
            Problem("cycle", "charge", "It comes after itself.", "Remove it from its own after=[...]."),
        ),
        (
            graph(a="", b="ad", c="b", d="c"),
            Problem(
                "cycle",
                "b",
                "Steps wait for each other: b → c → d → b.",
                "Take one of them out of the after=[...] of the next.",
            ),
        ),
        (
            saga(step(), step()),
            Problem(
                "duplicate-step",
                "charge",
                "2 steps have this name.",
                'Rename the functions, or set another name with @step(name="...").',
            ),
        ),
        (
            graph(a="", b="a", c="", d="c"),
            Problem(
                "not-connected",
                "c",
                "Nothing connects c, d with a, b.",
                "Link them by after=[...], join them in a last step, or write two sagas.",
            ),
        ),
    ],
)
def test_a_wrong_definition_has_this_one_problem(wrong, problem):
    assert problems(wrong) == [problem]


def test_more_steps_than_the_limit_are_too_many():
    chain = saga(*(step(f"s{n}", after=(f"s{n - 1}",) if n else ()) for n in range(1_001)))

    assert problems(chain, max_steps=1_000) == [
        Problem(
            "too-many-steps",
            "",
            "It has 1,001 steps; the limit is 1,000 (setting MAX_STEPS).",
            "Split it into several sagas, or raise the setting.",
        )
    ]


def test_every_cycle_is_reported():
    messages = [problem.message for problem in problems(graph(a="b", b="a", c="bd", d="c"))]

    assert messages == ["Steps wait for each other: a → b → a.", "Steps wait for each other: c → d → c."]


def test_every_island_is_reported():
    messages = [problem.message for problem in problems(graph(a="", b="", c=""))]

    assert messages == ["Nothing connects b with a.", "Nothing connects c with a, b."]


def test_a_graph_torn_by_a_typo_is_not_reported_as_unconnected_too():
    assert [problem.code for problem in problems(graph(a="", b="x"))] == ["unknown-step"]


def test_all_problems_are_found_at_once_in_the_order_written():
    wrong = saga(step("a", no_compensation=False), step("B", after=("a",), timeout=timedelta(0)), version=0)

    assert [(problem.code, problem.step) for problem in problems(wrong)] == [
        ("version", ""),
        ("step-name", "B"),
        ("no-compensation", "a"),
        ("not-positive", "B"),
    ]


def test_a_problem_reads_as_a_sentence_and_its_remedy():
    assert str(Problem("code", "charge", "It is late.", "Hurry.")) == "step 'charge': It is late. Hurry."
    assert str(Problem("code", "", "It is late.", "Hurry.")) == "It is late. Hurry."


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=4), min_size=1)
)
def test_any_graph_is_either_right_or_has_problems_and_never_crashes(after):
    definition = graph(**after)

    if problems(definition) == []:
        assert sorted(definition.order) == sorted(after)


def test_a_very_long_cycle_is_no_crash():
    size = 5_000
    ring = saga(*(step(f"s{n}", after=(f"s{(n - 1) % size}",)) for n in range(size)))

    [problem] = problems(ring, max_steps=size)

    assert (problem.code, problem.step) == ("cycle", "s0")
    assert problem.message.startswith("Steps wait for each other: s0 → s1 → s2 → ")


@pytest.mark.parametrize(("word", "meant"), [("chrage", " Did you mean 'charge'?"), ("zebra", ""), ("", "")])
def test_a_misspelt_word_finds_the_one_meant(word, meant):
    assert did_you_mean(word, ["charge", "ship"]) == meant
