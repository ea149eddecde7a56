"""``place_orders``: reads the file to its end, names what is wrong with a line, and places no order twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from example_project.clients import posting
from example_project.shop.management.commands.place_orders import Command
from example_project.shop.order_file import BadLine, OrderLine
from example_project.shop.placing import NoShop, Placed, place_orders
from tests.example.site import Site, free_port

HEAD = "reference,customer,email,sku,quantity,card\n"
LINE = OrderLine(
    number=2, reference="WEB-1", customer="Ann", email="a@example.com", sku="MUG", quantity=1, card="tok_visa"
)


def write(path: Path, *lines: str) -> str:
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def good_line(run: str, number: int) -> str:
    return f"{run}-{number},Zoë,zoe@example.com,MUG-BLUE,1,tok_visa"


def test_good_lines_are_placed_and_bad_ones_named(site: Site, tmp_path: Path) -> None:
    run = uuid4().hex
    file = write(
        tmp_path / "orders.csv",
        good_line(run, 1),
        f"{run}-2,Zoë,zoe@example.com,MUG-BLUE,lots,tok_visa",
        f"{run}-3,Zoë,nowhere,UNICORN,1,tok_visa",
        f"{run}-4,Zoë",
        f"{run}-1,Zoë,zoe@example.com,MUG-BLUE,2,tok_visa",
        good_line(run, 5),
    )
    before = site.orders()

    output = site.run("place_orders", file, "--api", f"{site.url}/api/orders/", exit_code=3)

    assert output.splitlines() == [
        f"{file}, line 3, quantity: 'lots' is not a whole number",
        f"{file}, line 4, email: Enter a valid email address.",
        f"{file}, line 4, sku: There is no product 'UNICORN'.",
        f"{file}, line 5: it has 2 fields, the head line has 6",
        f"{file}, line 6, reference: '{run}-1' was used for another order",
        "CommandError: 2 orders placed, 4 skipped; see above.",
    ]
    assert site.orders() == before + 2


def test_a_file_placed_again_places_nothing_twice(site: Site, tmp_path: Path) -> None:
    run = uuid4().hex
    file = write(tmp_path / "orders.csv", *(good_line(run, number) for number in range(5)))
    api = f"{site.url}/api/orders/"
    before = site.orders()

    outputs = [site.run("place_orders", file, "--api", api) for _ in range(2)]

    assert outputs == ["5 orders placed.\n", "0 orders placed, 5 placed before.\n"]
    assert site.orders() == before + 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1 has no column reference, customer, email, sku, quantity, card; it should be: "),
        ("reference,customer\n", "line 1 has no column email, sku, quantity, card; it should be: "),
    ],
)
def test_a_file_that_holds_no_orders_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(content)

    with pytest.raises(CommandError) as refused:
        call_command(Command(), str(file))

    assert str(refused.value) == f"{file}: {said}reference,customer,email,sku,quantity,card"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match=r"^nowhere\.csv cannot be read: No such file or directory$"):
        call_command(Command(), "nowhere.csv")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--rate", "0", "'0' is not a number above 0"),
        ("--rate", "fast", "'fast' is not a number above 0"),
        ("--rate", "nan", "'nan' is not a number above 0"),
        ("--api", "shop", "'shop' is not a URL such as http://127.0.0.1:8000/api/orders/"),
    ],
)
def test_a_wrong_option_is_refused(option: str, value: str, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(Command(), "orders.csv", option, value)

    assert str(refused.value) == f"Error: argument {option}: {said}"


def test_another_page_of_the_site_is_not_taken_for_the_endpoint(site: Site, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", good_line(uuid4().hex, 1))

    with pytest.raises(CommandError) as refused:
        call_command(Command(), file, "--api", f"{site.url}/api/")

    assert str(refused.value) == (
        f"POST {site.url}/api/ was answered with status 404 instead of 202; "
        "is it the orders endpoint, such as http://127.0.0.1:8000/api/orders/?\n"
        f"0 orders placed. Placing {file} again goes on where it stopped: no order is placed twice."
    )


@contextmanager
def endpoint(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """Serve an endpoint that answers with ``statuses`` in turn; yield its URL and the keys it was sent."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(statuses[len(keys)])
            keys.append(self.headers["Idempotency-Key"])
            self.send_header("Location", "/api/orders/1/")
            self.end_headers()
            self.wfile.write(json.dumps({}).encode())

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "PAUSES", [timedelta(0)] * 3)


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_in_trouble_is_asked_again_under_the_same_key() -> None:
    with endpoint(503, 500, 202) as (url, keys):
        outcomes = list(place_orders([LINE], url))

    assert outcomes == [Placed(number=2, url="/api/orders/1/", is_new=True)]
    assert keys == ["WEB-1"] * 3


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_stays_in_trouble_ends_it_and_names_the_line() -> None:
    with endpoint(*[503] * 4) as (url, keys), pytest.raises(NoShop, match="line 2 could not be placed: POST"):
        list(place_orders([LINE], url))

    assert keys == ["WEB-1"] * 4


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_is_not_there_ends_it() -> None:
    url = f"http://127.0.0.1:{free_port()}/api/orders/"

    with pytest.raises(NoShop, match=r"line 2 could not be placed: POST /api/orders/: .*Connection refused"):
        list(place_orders([LINE], url))


def test_a_bad_line_needs_no_endpoint() -> None:
    bad = BadLine(3, "quantity", "it is empty")

    assert list(place_orders([bad], "http://127.0.0.1:1/")) == [bad]
