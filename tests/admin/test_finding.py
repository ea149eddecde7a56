"""Searching, filtering and paging in the admin, without counting and by indexes."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga.admin.sagas import SagaInstanceAdmin
from django_saga.models import SagaInstance
from tests.admin.page import Page, list_url, row_url
from tests.commands.rows import (
    a_definition,
    a_lock,
    a_saga,
    a_step,
    a_worker,
    an_event,
    an_operation,
)

pytestmark = pytest.mark.django_db

A = UUID("01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6")
B = UUID("01a1fb8d-9c0c-7f7e-a1fe-83c1bbb36aa6")
C = UUID("02a1fb8d-9c0c-7f7e-a1fe-83c1bbb36aa6")


def found(page: Page) -> list[str]:
    """The rows of a list, by the pages they link to, in order."""
    pks = [match[1] for link in page.links if (match := re.search(r"/([^/]+)/change/", link))]
    return list(dict.fromkeys(pks))


@pytest.fixture
def three_sagas() -> None:
    a_saga("running", id=A, idempotency_key="order-1")
    a_saga("stuck", id=B, idempotency_key="order-10")
    a_saga("stuck", id=C, definition=a_definition("import"), idempotency_key="01a1fb8d")


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (str(A), [A]),
        ("01a1fb8d-9c0b", [A]),
        ("01a1fb8d", [C, B, A]),  # the beginning of two ids, and a whole key
        ("order-1", [A]),
        ("order-10", [B]),
        ("ord", [B, A]),
        ("IMPORT", [C]),
        ("order-", []),
        ("  order-1  ", [A]),
        ("'; DROP TABLE x; --", []),
        ("%", []),
    ],
)
def test_sagas_are_found_by_id_key_and_name(look, three_sagas, term, expected):
    assert found(look(list_url("sagainstance", "?" + urlencode({"q": term})))) == [str(pk) for pk in expected]


def test_the_other_lists_are_searched_by_what_identifies_their_rows(look):
    saga = a_saga(id=A)
    other = a_saga(id=C)
    reserve, charge = a_step(saga, "reserve", "running"), a_step(other, "charge")
    first, second = an_event(saga, "step_failed", "reserve"), an_event(other, "step_failed", "charge")
    lock = a_lock(other, "order:7")
    by_mia, by_tom = an_operation(saga, actor="mia"), an_operation(other, actor="tom")
    assert reserve.owner is not None
    a_worker(reserve.owner, host="web-1")

    asked = {
        "steps by name": look(list_url("sagastep", "?q=harg")),
        "steps by saga": look(list_url("sagastep", f"?q={A}")),
        "steps by id": look(list_url("sagastep", f"?q={charge.pk}")),
        "events by step": look(list_url("sagaevent", "?q=reserve")),
        "events by saga": look(list_url("sagaevent", "?q=02a1fb8d")),
        "operations by actor": look(list_url("sagaoperation", "?q=mi")),
        "operations by saga": look(list_url("sagaoperation", f"?q={C}")),
        "locks by target": look(list_url("sagalock", "?q=order:")),
        "locks by saga": look(list_url("sagalock", f"?q={C}")),
        "workers by host": look(list_url("sagaworker", "?q=web")),
        "no worker": look(list_url("sagaworker", "?q=db")),
        "definitions": look(list_url("sagadefinition", "?q=rde")),
    }

    rows = {name: len(page.rows[1:]) for name, page in asked.items()}
    assert rows == {**dict.fromkeys(asked, 1), "no worker": 0}
    assert [
        asked[name].leads_to(row_url(model, pk))
        for name, model, pk in (
            ("steps by name", "sagastep", charge.pk),
            ("steps by saga", "sagastep", reserve.pk),
            ("steps by id", "sagastep", charge.pk),
            ("events by step", "sagaevent", first.pk),
            ("events by saga", "sagaevent", second.pk),
            ("operations by actor", "sagaoperation", by_mia.pk),
            ("operations by saga", "sagaoperation", by_tom.pk),
            ("locks by target", "sagalock", lock.pk),
            ("workers by host", "sagaworker", reserve.owner),
            ("definitions", "sagadefinition", saga.definition_id),
        )
    ] == [True] * 10


def test_filters_narrow_the_lists(look, three_sagas):
    old = a_saga("stuck", id=UUID("00000000-0000-7000-8000-000000000001"), ago=timedelta(days=9))
    new = a_saga("stuck")
    imports = a_definition("import").pk
    failed = an_event(new, "step_failed", "reserve")
    an_event(new, "saga_started")

    assert {
        "status": found(look(list_url("sagainstance", "?status__exact=running"))),
        "saga": found(look(list_url("sagainstance", f"?of={imports}"))),
        "no saga": len(found(look(list_url("sagainstance", "?of=x")))),
        "began": str(old.pk) in found(look(list_url("sagainstance", "?within=7d"))),
        "event": found(look(list_url("sagaevent", "?kind=step_failed")))[0],
        "steps": look(list_url("sagastep", "?status__exact=running&within=1h&of=1")).rows,
    } == {
        "status": [str(A)],
        "saga": [str(C)],
        "no saga": 5,
        "began": False,
        "event": str(failed.pk),
        "steps": [],
    }


def test_a_steps_status_finds_it_wherever_its_saga_stands(look):
    sagas = {
        status: a_saga(status) for status in ("running", "compensating", "stuck", "completed", "compensated")
    }
    steps = {
        status: a_step(sagas[saga], status, status)
        for saga, status in (
            ("running", "scheduled"),
            ("running", "running"),
            ("compensating", "undo_scheduled"),
            ("compensating", "undoing"),
            ("stuck", "undo_failed"),
            ("completed", "succeeded"),
            ("compensated", "failed"),
            ("compensated", "unknown"),
            ("compensated", "undone"),
            ("compensated", "skipped"),
        )
    }

    listed = {status: look(list_url("sagastep", f"?status__exact={status}")) for status in steps}

    assert {status: [row[0] for row in page.rows[1:]] for status, page in listed.items()} == {
        status: [status] for status in steps
    }


def test_pages_follow_each_other_by_key_while_new_sagas_arrive(look, monkeypatch):
    monkeypatch.setattr(SagaInstanceAdmin, "list_per_page", 3)
    sagas = [str(a_saga().pk) for _ in range(8)][::-1]

    def link(page: Page, text: str) -> str:
        [url] = re.findall(rf'<a href="([^"]*)"[^>]*>[^<]*{text}', page.html)
        return list_url("sagainstance", url.replace("&amp;", "&"))

    first = look(list_url("sagainstance", "?status__exact=running"))
    second = look(link(first, "Older"))
    a_saga()
    third = look(link(second, "Older"))
    back = look(link(third, "Newer"))
    newest = look(link(third, "Newest"))

    assert [found(page) for page in (first, second, third, back)] == [
        sagas[:3],
        sagas[3:6],
        sagas[6:],
        sagas[3:6],
    ]
    assert len(found(newest)) == 3
    assert "Older" not in third.text
    assert "Newer" not in first.text
    assert all("status__exact=running" in link(page, "Older") for page in (first, second))


@pytest.mark.parametrize("page", ["older-", "older-x", "newer-'", "99999", "older", "-1", "older-%00"])
def test_a_page_that_is_none_is_the_first(look, page):
    saga = a_saga()

    assert found(look(list_url("sagainstance", f"?p={page}"))) == [str(saga.pk)]


def test_beyond_the_last_saga_there_is_a_way_back(look):
    saga = a_saga()

    page = look(list_url("sagainstance", f"?p=older-{saga.pk}"))

    assert "Newest There is nothing beyond this." in page.text


BIG = ("sagainstance", "sagastep", "sagaevent", "sagalock", "sagaoperation")


def fill(number: int) -> SagaInstance:
    for _ in range(number):
        saga = a_saga("running")
        step = a_step(saga, "reserve", "running")
        assert step.owner is not None
        a_worker(step.owner)
        an_event(saga, "step_failed", "reserve", attempt=1, worker=step.owner)
        an_operation(saga)
        a_lock(saga, f"order:{saga.pk}")
        a_lock(saga, "order", held=False)
    return saga


def asked(boss, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert boss.get(url).status_code == 200
    return [query["sql"] for query in captured]


@pytest.mark.parametrize("model", [*BIG, "sagaworker", "sagadefinition"])
def test_a_list_of_many_asks_no_more_than_a_list_of_one(boss, model):
    fill(1)
    few = asked(boss, list_url(model))
    fill(30)
    many = asked(boss, list_url(model))

    assert len(many) == len(few) <= 7


@pytest.mark.parametrize(
    ("model", "query"),
    [
        *((model, query) for model in BIG for query in ("", "?q=reserve", "?q=order")),
        *((model, query) for model in BIG[:2] for query in ("?status__exact=stuck", "?within=1h")),
        ("sagaevent", "?kind=step_failed"),
    ],
)
def test_no_list_of_a_big_table_counts_or_sorts_by_anything_but_its_key(boss, model, query):
    fill(2)

    queries = asked(boss, list_url(model, query))

    assert [sql for sql in queries if "COUNT(" in sql.upper()] == []
    name = connection.ops.quote_name
    orders = {order for sql in queries for order in re.findall(r"ORDER BY (.*) LIMIT 51", sql)}
    # A search that can find nothing reads no page at all.
    assert orders <= {f"{name(f'django_saga_{model}')}.{name('id')} DESC"}
    assert orders or query.startswith("?q=")


def test_a_page_asks_the_same_however_long_the_story(boss):
    def a_story(steps: int) -> SagaInstance:
        saga = a_saga("running")
        for number in range(steps):
            step = a_step(saga, f"s{number}", "running")
            assert step.owner is not None
            a_worker(step.owner)
            an_event(saga, "step_failed", step.name, attempt=1, worker=step.owner)
            an_operation(saga)
        return saga

    asked(boss, row_url("sagainstance", a_story(1).pk))  # Django reads the content type once
    few, many = (asked(boss, row_url("sagainstance", a_story(steps).pk)) for steps in (1, 25))

    assert len(many) == len(few) <= 12


def test_lists_leave_large_payloads_where_they_are(boss):
    fill(1)

    def columns(model: str) -> set[str]:
        [sql] = [
            sql
            for sql in asked(boss, list_url(model))
            if f"FROM {connection.ops.quote_name(f'django_saga_{model}')}" in sql and "LIMIT 51" in sql
        ]
        return {
            name
            for name in ("input", "result", "compensation_data", "undo_result", "traceback", "graph")
            if connection.ops.quote_name(name) in sql
        }

    assert {model: columns(model) for model in BIG} == {
        "sagainstance": set(),
        "sagastep": set(),
        "sagaevent": set(),
        "sagalock": set(),
        "sagaoperation": {"result"},  # a word: done or refused
    }
