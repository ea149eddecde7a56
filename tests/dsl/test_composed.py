"""Sagas composed at run time: what data makes of actions, and every way in which it can be wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_saga import (
    ComposedSaga,
    ForwardRecovery,
    InvalidDefinition,
    Retry,
    Saga,
    SagaBuilder,
    action,
    saga,
    step,
)
from django_saga.checks.definitions import check_definitions
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.dsl.registry import registry

HERE = __name__


@action(atomic=True, timeout=30)
def reserve(ctx):
    return ("reserved", ctx)


@reserve.compensation(retry=Retry(attempts=9), atomic=True)
def release(ctx):
    return ("released", ctx)


@action("charge_card", queue="bank", no_compensation=True)
async def charge(ctx): ...


@action(no_compensation=True)
def ship(ctx): ...


def fulfilment(**attributes: Any) -> type[ComposedSaga]:
    class FulfilmentSaga(ComposedSaga):
        """Ships something."""

        version = 3
        deadline = 60
        actions = (reserve, charge, ship)

    for name, value in attributes.items():
        setattr(FulfilmentSaga, name, value)
    return FulfilmentSaga


def test_a_composed_saga_has_the_steps_that_the_data_names():
    composed = fulfilment().compose(
        [
            "reserve",
            {
                "action": "charge_card",
                "input": {"amount": {"$result": "reserve.total"}},
                "retry": {"attempts": 5, "delay": 2},
                "timeout": 10,
                "deadline": 600,
            },
            {"action": "ship", "name": "ship_tea", "after": ["reserve"]},
            {"action": "ship", "name": "ship_rest", "after": ["charge_card", "ship_tea"]},
        ]
    )

    assert composed.program.definition == SagaDefinition(
        name="fulfilment",
        version=3,
        deadline=timedelta(seconds=60),
        steps=(
            StepDefinition(
                name="reserve",
                atomic=True,
                timeout=timedelta(seconds=30),
                undo=UndoDefinition(function="release", retry=Retry(attempts=9), atomic=True),
            ),
            StepDefinition(
                name="charge_card",
                after=("reserve",),
                retry=Retry(attempts=5, delay=2),
                timeout=timedelta(seconds=10),
                deadline=timedelta(seconds=600),
                is_async=True,
                queue="bank",
                no_compensation=True,
            ),
            StepDefinition(name="ship_tea", after=("reserve",), no_compensation=True),
            StepDefinition(name="ship_rest", after=("charge_card", "ship_tea"), no_compensation=True),
        ),
    )
    assert composed.program.problems == ()
    assert (composed.program.do("reserve")(1), composed.program.undo("reserve")(2)) == (
        ("reserved", 1),
        ("released", 2),
    )


def test_the_point_of_no_return_is_part_of_the_data():
    composed = fulfilment().compose(
        ["reserve", {"action": "charge_card", "pivot": True}, {"action": "ship", "forward_recovery": "skip"}]
    )

    steps = composed.program.definition
    assert (steps.pivot, steps["ship"].forward_recovery) == ("charge_card", ForwardRecovery.SKIP)


def test_the_graph_is_data_that_gives_the_same_saga_again():
    composed = fulfilment().compose(["reserve", {"action": "ship", "input": [{"$input": "sku"}]}])

    program = composed.program
    assert program.graph == (
        '{"steps":[{"name":"reserve","after":[],"action":"reserve"},'
        '{"name":"ship","after":["reserve"],"action":"ship","input":[{"$$input":"sku"}]}]}'
    )
    assert program.registered is fulfilment().program or program.registered.of(program.graph) is program


def test_only_the_class_is_registered():
    written = fulfilment()
    written.compose(["reserve"])

    assert registry.all() == [written.program]
    assert check_definitions(None) == []


def test_starting_hands_the_composed_program_to_the_engine(engine):
    composed = fulfilment().compose(["reserve"])

    assert composed.start({"sku": "tea"}, idempotency_key="k") == (
        "start",
        composed.program,
        '{"sku":"tea"}',
        "k",
        None,
        None,
        None,
    )


def test_the_class_itself_has_no_steps_to_start(engine):
    written = fulfilment()

    for begin in (written.start, written.run, lambda: written.bulk_start([1])):
        with pytest.raises(InvalidDefinition) as caught:
            begin()

        assert str(caught.value) == (
            "Saga fulfilment v3 has no steps of its own: start what FulfilmentSaga.compose([...]) gives."
        )
    assert written.get("id") == ("get", written.program, "id", None)


def test_of_two_classes_with_one_name_and_version_no_saga_can_be_started(engine):
    composed = fulfilment().compose(["reserve"])

    class Rival(Saga):
        name = "fulfilment"
        version = 3

    with pytest.raises(InvalidDefinition) as caught:
        composed.start()

    assert str(caught.value) == (
        f"Saga fulfilment v3 is defined twice, by {composed.program.path} and {Rival.program.path}. "
        "Set another name or version in one of them."
    )


def test_an_abstract_class_composes_nothing():
    with pytest.raises(InvalidDefinition, match="ComposedSaga is abstract"):
        ComposedSaga.compose(["reserve"])


ACTIONS = "The actions are charge_card, reserve, ship."
NUMBERS = "Give a dictionary of numbers with keys from attempts, delay, factor, max_delay, jitter."


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ("reserve", ["The steps are 'reserve'. Give a list of steps."]),
        ({}, ["The steps are {}. Give a list of steps."]),
        ([], ['It has no steps. Give at least one: compose(["..."]).']),
        (["reserve"] * 201, ["There are 201 steps; the limit is 200 (setting MAX_STEPS)."]),
        (
            ["resrve"],
            [f"step 'resrve': 'resrve' is not one of the saga's actions. Did you mean 'reserve'? {ACTIONS}"],
        ),
        (["os.system"], [f"'os.system' is not one of the saga's actions. {ACTIONS}"]),
        ([{"action": ["ship"]}], [f"step '#1': ['ship'] is not one of the saga's actions. {ACTIONS}"]),
        ([7], ["step '#1': It is 7. Give a dictionary, or the name of an action."]),
        (
            [{"acton": "ship"}],
            [
                "step '#1': There is no key 'acton'. Did you mean 'action'? The keys are action, name,",
                f"step '#1': None is not one of the saga's actions. {ACTIONS}",
            ],
        ),
        ([{"action": "ship", "queue": "fast"}], ["step 'ship': There is no key 'queue'. The keys are"]),
        ([{"action": "ship", "name": 7}], ["step '#1': Its name is 7. Give text."]),
        (
            [{"action": "ship", "name": "Ship it"}],
            ["step 'Ship it': 'Ship it' cannot be the name of a step."],
        ),
        ([{"action": "ship", "after": "x"}], ["step 'ship': It comes after 'x'. Give a list of names"]),
        ([{"action": "ship", "after": ["x"]}], ["step 'ship': It comes after 'x', which is not a step"]),
        (
            ["ship", {"action": "ship", "after": []}],
            ["step 'ship': 2 steps have this name. Give all but one of them a \"name\" of its own."],
        ),
        (["ship", {"action": "reserve", "after": []}], ["Nothing connects reserve with ship."]),
        ([{"action": "ship", "after": ["ship"]}], ["step 'ship': It comes after itself."]),
        ([{"action": "ship", "retry": 7}], [f"Its retry, 7, is wrong: it is no dictionary. {NUMBERS}"]),
        ([{"action": "ship", "retry": {"tries": 7}}], [f"there is no 'tries'. {NUMBERS}"]),
        ([{"action": "ship", "retry": {"attempts": 0}}], ["Retry(attempts=0): give 1 or more;"]),
        ([{"action": "ship", "retry": {"attempts": True}}], [f"its numbers are not numbers. {NUMBERS}"]),
        ([{"action": "ship", "retry": {"attempts": 2.5}}], [f"its numbers are not numbers. {NUMBERS}"]),
        (
            [{"action": "ship", "retry": {"delay": "x"}}],
            ["step 'ship': Its retry, {'delay': 'x'}, is wrong:"],
        ),
        ([{"action": "ship", "retry": {"delay": 1e300}}], ["step 'ship': Its retry, {'delay': 1e+300}, is"]),
        ([{"action": "ship", "pivot": "yes"}], ["pivot is 'yes'. Give true or false."]),
        (
            [{"action": "ship", "forward_recovery": "alternate"}],
            ["forward_recovery is 'alternate'. Give manual, retry, skip, compensate."],
        ),
        ([{"action": "ship", "timeout": "1"}], ["The timeout '1' is neither a number of seconds nor"]),
        ([{"action": "ship", "deadline": 0}], ["The deadline of 0 s is not longer than nothing."]),
        (
            [{"action": "ship", "input": {"x": {"$reslut": "reserve"}}}],
            ["Its input: '$reslut' is no reference: there are $input, $result and $literal."],
        ),
        (
            ["reserve", {"action": "ship", "after": [], "input": {"$result": "reserve.id"}}],
            ["Its input takes the result of 'reserve', which it does not come after. Name that step"],
        ),
        ([{"action": "ship", "input": {"$result": "ship"}}], ["takes the result of 'ship', which it does"]),
        ([{"action": "ship", "input": {"x": {1}}}], ["graph.steps[0].input.x: set cannot be stored as JSON"]),
        (
            [{"action": "ship", "input": "x" * 2_000_000}],
            ["bytes; the limit is", "(setting MAX_INPUT_BYTES)"],
        ),
    ],
)
def test_wrong_data_is_refused_and_says_what_to_do(steps, lines):
    with pytest.raises(InvalidDefinition) as caught:
        fulfilment().compose(steps)

    for line in lines:
        assert line in str(caught.value)
    assert str(caught.value).startswith(
        f"Saga fulfilment v3 ({HERE}.fulfilment.<locals>.FulfilmentSaga) cannot"
    )


def test_what_was_started_is_read_again_though_limits_were_lowered(settings):
    composition = fulfilment().program
    graph = fulfilment().compose(["reserve", "ship"]).program.graph

    settings.DJANGO_SAGA = {"MAX_STEPS": 1}

    assert [step.name for step in composition.of(graph).definition.steps] == ["reserve", "ship"]


SPOILT = [
    None,
    "null",
    "7",
    "{}",
    '{"$x":1}',
    '{"$date":"1"}',
    '{"steps":["resrve"]}',
    '{"steps":{}}',
    '{"steps":[]}',
]


@pytest.mark.parametrize("graph", SPOILT)
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(InvalidDefinition):
        fulfilment().program.of(graph)


# --- actions --------------------------------------------------------------------------------------


def test_an_action_and_its_compensation_can_be_called():
    assert (reserve(1), release(2)) == (("reserved", 1), ("released", 2))
    assert (repr(reserve), charge.name) == ("<action reserve>", "charge_card")


def test_builders_and_traced_functions_take_actions_for_steps():
    built = SagaBuilder("order").step(reserve).step(charge, timeout=5).build()

    @saga(name="order")
    def traced(flow, input):
        reserved = flow.step(reserve)
        flow.step(charge, reserved, timeout=5)

    assert traced.program.definition == built.program.definition
    assert [step.name for step in built.program.definition.steps] == ["reserve", "charge_card"]
    assert built.program.definition["reserve"].timeout == timedelta(seconds=30)
    assert (built.program.problems, traced.program.problems) == ((), ())


UNKNOWN: dict[str, Any] = {"after": []}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: action(**UNKNOWN), "@action: there is no option 'after'."),
        (lambda: action("x")("y"), "@action: decorate a function, not 'y'"),  # type: ignore[arg-type]
        (
            lambda: reserve.compensation(release),
            "Action reserve has a compensation already: keep one of the two.",
        ),
        (
            lambda: ship.compensation(**UNKNOWN),
            "The compensation of action ship: there is no option 'after'.",
        ),
    ],
)
def test_misuse_of_an_action_is_an_error_where_it_is_written(write, message):
    with pytest.raises(TypeError) as caught:
        write()

    assert str(caught.value) == message


def problems(written: type[Saga]) -> list[tuple[str, str, str]]:
    return [(problem.code, problem.step, problem.hint) for problem in written.program.problems]


def test_checks_find_what_is_wrong_with_actions():
    @action("Bad name")
    def odd(ctx): ...

    @action("ship", no_compensation=True)
    def other(self, ctx): ...

    class WrongSaga(ComposedSaga):
        actions = (odd, ship, other, "reserve")  # type: ignore[assignment]

        @step(no_compensation=True)
        def pack(self, ctx): ...

    class EmptySaga(ComposedSaga):
        pass

    hint = "Decorate a function of the context with @action, and list it in actions."
    assert problems(WrongSaga) == [
        ("action-type", "", hint),
        ("action-type", "pack", hint),
        ("signature", "ship", "Give it exactly this parameter."),
        (
            "step-name",
            "Bad name",
            'Use up to 100 lower-case letters, digits and "_": @action("...") sets it.',
        ),
        ("duplicate-step", "ship", 'Give all but one of these actions another name: @action("...").'),
        (
            "no-compensation",
            "Bad name",
            "Write one below @<action>.compensation, or say @action(no_compensation=True) "
            "if there is nothing to undo.",
        ),
    ]
    assert problems(EmptySaga) == [
        ("no-steps", "", "Set actions = [...] to functions decorated with @action.")
    ]
    with pytest.raises(InvalidDefinition):
        WrongSaga.compose(["reserve"])


def test_what_sagas_in_flight_depend_on_is_the_actions_not_their_order():
    def with_actions(*actions: Any) -> str:
        written = type("FulfilmentSaga", (ComposedSaga,), {"actions": actions})
        return written.program.definition.fingerprint  # type: ignore[no-any-return, attr-defined]

    @action("ship")
    def compensated(ctx): ...

    @compensated.compensation
    def take_back(ctx): ...

    assert with_actions(reserve, ship) == with_actions(ship, reserve)
    assert len({with_actions(reserve, ship), with_actions(ship), with_actions(reserve, compensated)}) == 3
