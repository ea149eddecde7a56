"""A program binds functions and values: what goes in and out of a saga's steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from django_saga.core import encoding
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step
from django_saga.exceptions import EncodingError, InvalidInput

if TYPE_CHECKING:
    from somewhere_else import Receipt as ReceiptForTypeCheckers  # type: ignore[import-not-found]


@dataclass
class OrderInput:
    sku: str
    price: Decimal


@dataclass
class Receipt:
    number: int
    at: date


RECEIPT = Receipt(7, date(2030, 1, 2))


class Order(Saga):
    input = OrderInput
    output = Receipt

    @step
    def reserve(self, ctx: Any) -> Receipt:
        return Receipt(ctx, self.today())

    @reserve.compensation
    def release(self, ctx: Any) -> str:
        return f"released {ctx} {self.today()}"

    @step(no_compensation=True)
    async def pack(self, ctx: Any) -> list[Receipt] | None: ...

    @step(no_compensation=True)
    def thank(self, ctx: Any) -> ReceiptForTypeCheckers: ...

    @step(no_compensation=True)
    def ship(self, ctx: Any): ...

    def today(self) -> date:
        return date(2030, 1, 2)


class Anything(Saga):
    @step(no_compensation=True)
    def only(self, ctx: Any) -> dict[str, int]:
        return {}


program = Order.program


def test_functions_come_bound_to_one_instance_for_all_sagas():
    assert program.do("reserve")(7) == RECEIPT
    assert program.undo("reserve")(7) == "released 7 2030-01-02"
    assert program.do("reserve").__self__ is program.do("ship").__self__  # type: ignore[attr-defined]


def test_a_step_without_compensation_has_nothing_to_call():
    with pytest.raises(KeyError):
        program.undo("ship")


def test_it_says_what_it_is_and_where_it_is_written():
    assert repr(program) == "<program of order v1>"
    assert program.path == "tests.dsl.test_program.Order"


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [OrderInput("a", Decimal("1.20")), {"sku": "a", "price": "1.20"}])
def test_input_goes_in_as_text_and_reaches_the_steps_as_declared(value):
    text = program.encode_input(value)

    assert text == '{"sku":"a","price":{"$decimal":"1.20"}}'
    assert program.decode_input(encoding.decode(text)) == OrderInput("a", Decimal("1.20"))


def test_without_a_declared_type_any_json_goes_in():
    text = Anything.program.encode_input({"at": date(2030, 1, 2), "tuple": (1,)})

    assert Anything.program.decode_input(encoding.decode(text)) == {"at": date(2030, 1, 2), "tuple": [1]}


@pytest.mark.parametrize(
    ("saga", "value", "message"),
    [
        (Order, None, "Saga order: input: expected OrderInput, got None"),
        (Order, {"sku": 5, "price": 1}, "Saga order: input.sku: expected str, got int"),
        (
            Order,
            {"sku": "a", "price": Decimal("NaN")},
            "Saga order: input.price: the Decimal NaN cannot be stored as JSON; use None or a str",
        ),
        (
            Anything,
            {"tags": {1}},
            "Saga anything: input.tags: set cannot be stored as JSON; use a sorted list",
        ),
        (
            Anything,
            "x" * 300_121,
            "Saga anything: input: 300,123 bytes; the limit is 262,144 (setting MAX_INPUT_BYTES)",
        ),
    ],
)
def test_input_that_cannot_be_stored_is_refused(saga, value, message):
    with pytest.raises(InvalidInput) as caught:
        saga.program.encode_input(value)

    assert str(caught.value) == message


def test_the_limits_come_from_the_settings(settings):
    settings.DJANGO_SAGA = {"MAX_INPUT_BYTES": 10, "MAX_RESULT_BYTES": 20, "MAX_DEPTH": 3}
    program = Anything.program

    with pytest.raises(InvalidInput) as input_size:
        program.encode_input("123456789")
    with pytest.raises(InvalidInput) as input_depth:
        program.encode_input([[[[]]]])
    with pytest.raises(EncodingError) as result_size:
        program.encode_result("only", "x" * 19)
    with pytest.raises(EncodingError) as data_size:
        program.encode_compensation_data("only", "x" * 19)

    assert [str(error.value) for error in (input_size, input_depth, result_size, data_size)] == [
        "Saga anything: input: 11 bytes; the limit is 10 (setting MAX_INPUT_BYTES)",
        "Saga anything: input[0][0][0]: nested more than 3 levels deep (setting MAX_DEPTH)",
        "result of step only: 21 bytes; the limit is 20 (setting MAX_RESULT_BYTES)",
        "compensation data of step only: 21 bytes; the limit is 20 (setting MAX_RESULT_BYTES)",
    ]


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("reserve", RECEIPT, RECEIPT),
        ("reserve", {"number": 7, "at": "2030-01-02"}, RECEIPT),
        ("pack", [RECEIPT], [RECEIPT]),
        ("pack", None, None),
        ("thank", {"any": "thing"}, {"any": "thing"}),
    ],
)
def test_a_result_reaches_other_steps_as_the_function_is_annotated(name, value, seen):
    text = program.encode_result(name, value)

    assert program.decode_result(name, encoding.decode(text)) == seen


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("reserve", 5, "result of step reserve: expected Receipt, got int"),
        ("reserve", {"number": "7"}, "result of step reserve.number: expected int, got str"),
        ("pack", [RECEIPT, 5], "result of step pack[1]: expected Receipt, got int"),
        ("thank", {1}, "result of step thank: set cannot be stored as JSON; use a sorted list"),
        ("ship", {"a": [b""]}, "result of step ship.a: unknown field. Did you mean 'at'?"),
    ],
)
def test_a_result_that_does_not_fit_is_refused_with_the_step_and_the_place(name, value, message):
    with pytest.raises(EncodingError) as caught:
        program.encode_result(name, value)

    assert str(caught.value) == message


def test_an_annotation_of_plain_types_does_not_bind_the_result():
    text = Anything.program.encode_result("only", ["no", "dict"])

    assert Anything.program.decode_result("only", encoding.decode(text)) == ["no", "dict"]


def test_the_result_of_the_one_last_step_is_the_output():
    text = program.encode_result("ship", {"number": 7, "at": "2030-01-02"})

    assert program.decode_result("ship", encoding.decode(text)) == {"number": 7, "at": date(2030, 1, 2)}
    assert program.decode_output(encoding.decode(text)) == RECEIPT


def test_with_several_last_steps_the_output_binds_none_of_them():
    class Forked(Saga):
        output = Receipt

        @step(no_compensation=True)
        def a(self, ctx: Any): ...

        @step(no_compensation=True)
        def b(self, ctx: Any): ...

        @step(no_compensation=True, after=[a])
        def c(self, ctx: Any): ...

    assert Forked.program.encode_result("b", 5) == "5"


def test_what_is_handed_to_a_compensation_may_be_any_json():
    assert program.encode_compensation_data("reserve", (1, RECEIPT)) == (
        '[1,{"number":7,"at":{"$date":"2030-01-02"}}]'
    )
