"""What is wrong with the functions, options and types that a saga is given: each with the whole message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from django_saga.core.limits import Breaker
from django_saga.core.problem import Problem
from django_saga.core.retry import Retry
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step
from django_saga.exceptions import InvalidDefinition


class Base(Saga):
    abstract = True

    @step(no_compensation=True)
    def charge(self, ctx): ...


def problems(saga):
    return list(saga.program.problems)


def no_parameters(): ...
def only_self(self): ...
def one_more(self, ctx, more): ...
def keyword_only(self, *, ctx): ...


@pytest.mark.parametrize("function", [no_parameters, only_self, one_more, keyword_only])
def test_a_step_that_cannot_be_called_with_a_context(function):
    class Order(Saga):
        charge = step(no_compensation=True)(function)

    assert problems(Order) == [
        Problem(
            "signature",
            function.__name__,
            f"{function.__name__}() cannot be called with (self, ctx).",
            "Give it exactly these two parameters.",
        )
    ]


def test_a_compensation_that_cannot_be_called_with_a_context():
    class Order(Saga):
        @step
        def charge(self, ctx): ...

        @charge.compensation
        def refund(self): ...

    assert problems(Order) == [
        Problem(
            "signature",
            "charge",
            "The compensation refund() cannot be called with (self, ctx).",
            "Give it exactly these two parameters.",
        )
    ]


def generator(self, ctx):
    yield


async def async_generator(self, ctx):
    yield


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_step_that_is_a_generator(function):
    class Order(Saga):
        charge = step(no_compensation=True)(function)

    assert problems(Order) == [
        Problem(
            "signature",
            function.__name__,
            f"{function.__name__}() is a generator.",
            "Return the result instead of yielding it.",
        )
    ]


def with_default(self, ctx, more=1): ...
def with_any(*args): ...


@pytest.mark.parametrize("function", [with_default, with_any, max])
def test_a_step_with_more_than_it_needs_is_fine(function):
    class Order(Saga):
        charge = step(no_compensation=True, name="charge")(function)

    assert problems(Order) == []


def test_after_takes_steps_and_names_only():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        @step(no_compensation=True, after=[charge, 5, max])  # type: ignore[list-item]
        def ship(self, ctx): ...

        @step(no_compensation=True, after=6)  # type: ignore[call-overload]
        def thank(self, ctx): ...

    hint = "Name the functions decorated with @step, or their names as text."

    assert [problem for problem in problems(Order) if problem.code == "after-type"] == [
        Problem("after-type", "ship", "after=[...] holds 5, which is neither a step nor a name.", hint),
        Problem(
            "after-type",
            "ship",
            "after=[...] holds <built-in function max>, which is neither a step nor a name.",
            hint,
        ),
        Problem("after-type", "thank", "after=[...] holds 6, which is neither a step nor a name.", hint),
    ]


def test_a_retry_that_is_a_number():
    class Order(Saga):
        @step(retry=3)  # type: ignore[call-overload]
        def charge(self, ctx): ...

        @charge.compensation(retry=Retry)
        def refund(self, ctx): ...

    hint = "Write retry=Retry(attempts=...), or leave it out."

    assert problems(Order) == [
        Problem("retry-type", "charge", "retry=3 is not a Retry.", hint),
        Problem("retry-type", "charge", "retry=<class 'django_saga.core.retry.Retry'> is not a Retry.", hint),
    ]


@pytest.mark.parametrize("value", ["30", True, float("nan"), float("inf"), 1e300, [1]])
def test_a_length_of_time_that_is_none(value):
    class Order(Saga):
        deadline = value

        @step(timeout=value, deadline=value)
        def charge(self, ctx): ...

        @charge.compensation(timeout=value)
        def refund(self, ctx): ...

    hint = "Write 30 or timedelta(minutes=5), or leave it out."
    steps = [("deadline", ""), ("timeout", "charge"), ("deadline", "charge")]

    assert sorted(problems(Order), key=str) == sorted(
        (
            Problem(
                "duration-type",
                step,
                f"The {what} {value!r} is neither a number of seconds nor a timedelta.",
                hint,
            )
            for what, step in [*steps, ("timeout of the compensation", "charge")]
        ),
        key=str,
    )


@dataclass
class WithSet:
    tags: set[str]


@dataclass
class WithInts:
    counts: dict[int, str]


@dataclass
class WithTypo:
    at: Datum  # type: ignore[name-defined]  # noqa: F821


WANTED = "Give a dataclass of types that JSON can carry, a pydantic model or a serializer class."


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (int, "<class 'int'> is neither a dataclass, a pydantic model nor a serializer class."),
        (
            WithSet({"a"}),
            "WithSet(tags={'a'}) is neither a dataclass, a pydantic model nor a serializer class.",
        ),
        (WithSet, "WithSet.tags: set is not a type that JSON can carry."),
        (WithInts, "WithInts.counts: dict with keys of int: keys in JSON are str."),
        (WithTypo, "the annotations of WithTypo cannot be read: name 'Datum' is not defined."),
    ],
)
def test_an_input_or_output_that_json_cannot_carry(declared, message):
    class Order(Base):
        input = declared
        output = declared

    assert problems(Order) == [
        Problem("schema", "", f"input: {message}", WANTED),
        Problem("schema", "", f"output: {message}", WANTED),
    ]


def test_a_result_that_json_cannot_carry():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx) -> WithSet:
            return WithSet(set())

    assert problems(Order) == [
        Problem(
            "schema",
            "charge",
            "The return annotation: WithSet.tags: set is not a type that JSON can carry.",
            "Use types that JSON can carry, or leave the return annotation out.",
        )
    ]


def test_a_wrong_saga_cannot_be_started(engine):
    class Order(Saga):
        name = "Order"
        deadline = timedelta(0)

        @step
        def charge(self, ctx): ...

    with pytest.raises(InvalidDefinition) as caught:
        Order.start()

    assert engine.calls == []
    assert str(caught.value) == (
        "Saga Order v1 (tests.dsl.test_wrong_options.test_a_wrong_saga_cannot_be_started.<locals>.Order) "
        "cannot run:\n"
        "- 'Order' cannot be the name of a saga. "
        'Set name = "..." to up to 100 lower-case letters, digits, "_", "." and "-".\n'
        "- The deadline of 0 s is not longer than nothing. "
        "Give seconds or a timedelta greater than zero, or leave it out.\n"
        "- step 'charge': It has no compensation. "
        "Write one below @charge.compensation, "
        "or say @step(no_compensation=True) if there is nothing to undo."
    )


def test_more_steps_than_the_setting_allows_cannot_be_started(engine, settings):
    settings.DJANGO_SAGA = {"MAX_STEPS": 1}

    class Order(Base):
        @step(no_compensation=True)
        def ship(self, ctx): ...

    with pytest.raises(InvalidDefinition) as caught:
        Order.run()

    assert str(caught.value).splitlines()[1:] == [
        "- It has 2 steps; the limit is 1 (setting MAX_STEPS). "
        "Split it into several sagas, or raise the setting."
    ]


@pytest.mark.parametrize("given", [0, -1, 2.5, "4", True])
def test_a_max_concurrency_that_is_no_number_of_attempts(given):
    class Order(Base):
        max_concurrency = given

        @step(no_compensation=True, max_concurrency=given)
        def ship(self, ctx): ...

    wrong = f"max_concurrency={given!r} is not a whole number from 1 on."
    hint = "Give how many attempts may be under way at once, or leave it out."
    assert problems(Order) == [
        Problem("max-concurrency", "", wrong, hint),
        Problem("max-concurrency", "ship", wrong, hint),
    ]


@pytest.mark.parametrize("given", ["100/m", 100])
def test_a_rate_limit_that_is_no_rate(given):
    class Order(Base):
        rate_limit = given

        @step(no_compensation=True, rate_limit=given)
        def ship(self, ctx): ...

    wrong, hint = (
        f"rate_limit={given!r} is not a Rate.",
        "Write rate_limit=Rate(100, per=60), or leave it out.",
    )
    assert problems(Order) == [
        Problem("rate-limit", "", wrong, hint),
        Problem("rate-limit", "ship", wrong, hint),
    ]


@pytest.mark.parametrize("given", [5, "5/m"])
def test_a_breaker_that_is_none(given):
    class Order(Base):
        @step(no_compensation=True, breaker=given)
        def ship(self, ctx): ...

    hint = "Write breaker=Breaker(failures=5, within=60, open_for=30), or leave it out."
    assert problems(Order) == [Problem("breaker", "ship", f"breaker={given!r} is not a Breaker.", hint)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"failures": 0}, r"Breaker\(failures=0\): give a whole number of 1 or more"),
        ({"within": 0}, "give a length of time greater than zero"),
        ({"open_for": -1}, "give a length of time greater than zero"),
    ],
)
def test_a_breaker_that_makes_no_sense_is_refused_where_it_is_written(options, said):
    with pytest.raises(ValueError, match=said):
        Breaker(**options)
