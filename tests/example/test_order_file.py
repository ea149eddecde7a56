"""The CSV file of orders: good lines are read, each bad one is named with its field and spoils no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from example_project.data import generate_orders
from example_project.shop.order_file import BadFile, BadLine, OrderLine, open_orders, read_orders

HEAD = b"reference,customer,email,sku,quantity,card\n"
GOOD = b"WEB-2,Zo\xc3\xab,zoe@example.com,MUG,3,tok_visa\n"
GOOD_READ = OrderLine(
    number=3,
    reference="WEB-2",
    customer="Zoë",
    email="zoe@example.com",
    sku="MUG",
    quantity=3,
    card="tok_visa",
)


def read(path: Path, content: bytes) -> list[OrderLine | BadLine]:
    path = path / "orders.csv"
    path.write_bytes(content)
    with open_orders(str(path)) as file:
        return list(read_orders(file))


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        (
            b"WEB-1,Ann,a@example.com,MUG,three,tok_visa\n",
            BadLine(2, "quantity", "'three' is not a whole number"),
        ),
        (
            b"WEB-1,Ann,a@example.com,MUG,1.5,tok_visa\n",
            BadLine(2, "quantity", "'1.5' is not a whole number"),
        ),
        (
            b"WEB-1,Ann,a@example.com,MUG,1_0,tok_visa\n",
            BadLine(2, "quantity", "'1_0' is not a whole number"),
        ),
        (b"WEB-1,Ann,a@example.com,MUG,,tok_visa\n", BadLine(2, "quantity", "it is empty")),
        (b",Ann,a@example.com,MUG,1,tok_visa\n", BadLine(2, "reference", "it is empty")),
        (b"WEB-1,Ann,a@example.com,MUG,1\n", BadLine(2, "", "it has 5 fields, the head line has 6")),
        (
            b"WEB-1,Ann,a@example.com,MUG,1,tok_visa,x\n",
            BadLine(2, "", "it has 7 fields, the head line has 6"),
        ),
        (b"WEB-1,\xff\xfe,a@example.com,MUG,1,tok_visa\n", BadLine(2, "customer", "it is not UTF-8")),
        (
            b"WEB-1,A\x00n,a@example.com,MUG,1,tok_visa\n",
            BadLine(2, "customer", "it contains a NUL character"),
        ),
        (b'WEB-1,"Ann,a@example.com,MUG,1,tok_visa\n', BadLine(2, "", "not CSV: unexpected end of data")),
        (b'WEB-1,"A"nn,a@example.com,MUG,1,tok_visa\n', BadLine(2, "", "not CSV: ',' expected after '\"'")),
    ],
)
def test_a_bad_line_is_named_with_its_field_and_the_next_one_is_read(
    tmp_path: Path, line: bytes, bad: BadLine
) -> None:
    assert read(tmp_path, HEAD + line + GOOD) == [bad, GOOD_READ]


def test_columns_may_come_in_any_order_and_others_are_passed_over(tmp_path: Path) -> None:
    content = (
        "\ufeffCard, SKU ,note,quantity,email,customer,reference\r\n"
        'tok_visa,MUG,,3,zoe@example.com,"Zoë, of Delft",WEB-2\r\n'
        "\r\n"
    )

    assert read(tmp_path, content.encode()) == [
        OrderLine(
            number=2,
            reference="WEB-2",
            customer="Zoë, of Delft",
            email="zoe@example.com",
            sku="MUG",
            quantity=3,
            card="tok_visa",
        )
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1 has no column reference, customer, email, sku, quantity, card"),
        (
            b"reference,customer,mail,sku,quantity,card\n",
            "line 1 has no column email; it should be: reference,",
        ),
        (HEAD[:-1] + b",sku\n", "line 1 has the column sku twice"),
        (b'"reference\n', "line 1 is not CSV: unexpected end of data"),
    ],
)
def test_a_file_without_a_proper_head_line_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read(tmp_path, content)


def test_the_orders_of_the_demo_are_500_and_what_the_script_makes_up() -> None:
    path = generate_orders.HERE / "orders.csv"
    made_up = [
        OrderLine(
            number=number,
            **dict[str, Any](zip(generate_orders.COLUMNS, row, strict=True)) | {"quantity": int(row[4])},
        )
        for number, row in enumerate(generate_orders.rows(), start=2)
    ]

    with open_orders(str(path)) as file:
        found = list(read_orders(file))

    assert found == made_up
    assert len(found) == 500
