"""``saga_simulate``: a saga's layers, its critical path, and what is undone wherever it fails."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from django_saga import ForwardRecovery, Saga, step
from django_saga.dsl.registry import registry
from tests.commands.rows import a_definition, a_saga, an_event
from tests.commands.screen import document, written
from tests.sagas.view_sagas import ViewedSaga

pytestmark = pytest.mark.django_db


def test_a_saga_is_told_layer_by_layer_and_failure_by_failure():
    assert (
        written("saga_simulate", "viewed", "--duration", "ship=2h", "--duration", "charge=200ms")
        == """\
viewed v1: 5 steps in 4 layers, at most 2 at the same time

Layers
    1  reserve
    2  charge
    3  invoice, ship
    4  confirm

Critical path
  reserve → charge → ship → confirm
  2 h: reserve unknown, charge 200 ms (given), ship 2 h (given), confirm unknown

If a step fails for good
  reserve
    undone     nothing
    ends       compensated
  charge
    has run    reserve
    undone     reserve (release)
    in doubt   charge (refund); then reserve (release)
    ends       compensated
  invoice
    has run    reserve, charge
    in flight  ship
    undone     ship (recall); then charge (refund); then reserve (release)
    in doubt   invoice (void); then ship (recall); then charge (refund); then reserve (release)
    ends       compensated
  ship
    has run    reserve, charge, invoice
    undone     invoice (void); then charge (refund); then reserve (release)
    in doubt   invoice (void), ship (recall); then charge (refund); then reserve (release)
    ends       compensated
  confirm
    has run    reserve, charge, invoice, ship
    undone     invoice (void), ship (recall); then charge (refund); then reserve (release)
    in doubt   invoice (void), ship (recall); then charge (refund); then reserve (release); confirm may stay
    ends       compensated
"""
    )


def test_without_any_times_steps_are_counted():
    said = written("saga_simulate", "viewed")

    assert "reserve → charge → invoice → confirm\n  4 steps; nothing is known of how long they take" in said


def test_a_pivot_and_what_stands_in_are_named_where_they_stand():
    with registry.isolated():

        class Parcel(Saga):
            @step
            def pay(self, ctx): ...

            @pay.compensation
            def pay_back(self, ctx): ...

            @step(pivot=True, no_compensation=True)
            def send(self, ctx): ...

            @step
            def bike(self, ctx): ...

            @step(after=[send], forward_recovery=ForwardRecovery.ALTERNATE(bike))
            def van(self, ctx): ...

        said = written("saga_simulate", "parcel")

    assert "    2  send [pivot]\n    3  van (else bike)\n" in said
    # In doubt nothing stands in for it: both might have their effect.
    assert said.splitlines()[-5:] == [
        "  van",
        "    has run    pay, send, bike",
        "    undone     nothing",
        "    in doubt   nothing; ends stuck",
        "    ends       completed",
    ]


def test_json_has_all_of_it():
    told = document("saga_simulate", "viewed")

    assert (told["saga"], told["version"], told["width"]) == ("viewed", 1, 2)
    assert told["layers"] == [["reserve"], ["charge"], ["invoice", "ship"], ["confirm"]]
    assert told["critical_path"] == {"steps": ["reserve", "charge", "invoice", "confirm"], "seconds": None}
    assert told["failures"][3] == {
        "step": "ship",
        "succeeded": ["reserve", "charge", "invoice"],
        "in_flight": ["invoice"],
        "undone": [["invoice"], ["charge"], ["reserve"]],
        "not_undone": [],
        "ends": "compensated",
        "in_doubt": {
            "undone": [["invoice", "ship"], ["charge"], ["reserve"]],
            "not_undone": [],
            "ends": "compensated",
        },
    }


@pytest.mark.django_db(transaction=True)
def test_medians_of_what_the_history_has_are_used():
    for _ in range(3):
        assert ViewedSaga.run({}).status == "completed"

    told = document("saga_simulate", "viewed", "--duration", "ship=2h")

    assert {step: found["from"] for step, found in told["durations"].items()} == {
        **dict.fromkeys(["reserve", "charge", "invoice", "confirm"], "median"),
        "ship": "given",
    }
    assert told["critical_path"]["steps"] == ["reserve", "charge", "ship", "confirm"]
    assert 7200 <= told["critical_path"]["seconds"] < 7260


def test_a_median_is_of_successful_attempts_in_completed_sagas():
    row = a_definition("viewed", 7, [("only", (), "")])

    def attempt(saga, seconds: int, kind: str = "step_succeeded") -> None:
        event = an_event(saga, kind, "only")
        event.started_at, event.ended_at = event.at, event.at.replace(microsecond=0)
        event.started_at = event.ended_at.replace(year=event.at.year - 1)
        event.ended_at = event.started_at.replace(microsecond=seconds)
        event.save()

    for microseconds in (10, 900, 30):
        attempt(a_saga("completed", definition=row), microseconds)
    attempt(a_saga("compensated", definition=row), 5_000)
    attempt(a_saga("completed", definition=row), 5_000, "step_failed")

    told = document("saga_simulate", "viewed", "--version", "7")

    assert told["durations"] == {"only": {"seconds": 30e-6, "from": "median"}}


def test_a_version_that_left_the_code_is_simulated_from_its_row():
    a_definition("retired", 3)

    told = document("saga_simulate", "retired")

    assert told["layers"] == [["reserve"], ["charge"], ["ship"]]
    assert told["failures"][2]["undone"] == [["charge"], ["reserve"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["view"], r"No saga is named 'view'\. Did you mean 'viewed'\?"),
        (["viewed", "--version", "9"], r"Saga 'viewed' has no version 9; there is 1\."),
        (["viewed", "--version", "0"], "0 is not 1 or more"),
        (["viewed", "--duration", "shop=2s"], r"has no step 'shop'\. Did you mean 'ship'\?"),
        (["viewed", "--duration", "ship"], "'ship' is not STEP=SPAN"),
        (["damaged"], "what is stored of saga damaged v1 cannot run"),
    ],
)
def test_what_cannot_be_simulated_is_said(arguments, said):
    a_definition("damaged", 1, [("a", ("b",), ""), ("b", ("a",), "")])

    with pytest.raises(CommandError, match=said):
        written("saga_simulate", *arguments)
