"""``saga_check``: whether this code, and the workers there are, fit the sagas in flight."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from django_saga import Saga, step
from django_saga.core.stored import to_data
from django_saga.dsl.registry import registry
from django_saga.models import SagaDefinition, SagaLock, SagaWorker
from django_saga.store import clock, definitions
from tests.commands.rows import a_definition, a_lock, a_saga, a_step, a_worker
from tests.commands.screen import Screen, cells, settled, written
from tests.sagas.view_sagas import ViewedSaga

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _only_viewed():
    with registry.isolated(ViewedSaga.program):
        yield


@pytest.fixture
def viewed() -> SagaDefinition:
    """The row of a saga that the code has."""
    definition = ViewedSaga.program.definition
    row = a_definition("viewed")
    SagaDefinition.objects.filter(pk=row.pk).update(
        fingerprint=definition.fingerprint, graph=to_data(definition)
    )
    row.refresh_from_db()
    return row


@pytest.fixture
def working() -> SagaWorker:
    return a_worker(uuid4(), queues=["default", "parcels"], definitions=["viewed v1"])


def checked(*arguments: str) -> tuple[int, str]:
    """Give the exit code and what was said."""
    screen = Screen()
    try:
        written("saga_check", *arguments, screen=screen)
    except SystemExit as end:
        return int(str(end.code)), screen.getvalue()
    return 0, screen.getvalue()


def told() -> tuple[int, Any]:
    code, text = checked("--json")
    return code, json.loads(text)


def test_with_nothing_in_flight_all_is_fine():
    a_saga("completed")
    a_saga("compensated")

    assert checked() == (0, "No saga is in flight.\n")


def test_what_this_code_and_a_worker_serve_is_fine(viewed, working):
    for status in ("running", "running", "pending", "compensating", "stuck", "completed"):
        a_saga(status, definition=viewed)

    code, said = checked()

    assert code == 0
    assert [cells(line) for line in settled(said).splitlines()] == [
        ["SAGA", "IN FLIGHT", "OLDEST", "CODE", "WORKERS"],
        ["viewed v1", "1 compensating, 1 pending, 2 running, 1 stuck", "<span> ago", "✔ same", "✔ 1"],
    ]


@pytest.mark.fault("F64")
def test_a_saga_that_left_the_code_is_reported_with_the_way_out(working):
    a_saga("running", definition=a_definition("viewed", 7))
    a_saga("stuck", definition=a_definition("retired", 2))
    working.definitions += ["viewed v7", "retired v2"]
    working.save()

    code, found = told()

    assert code == 1
    assert (found["fits"], found["served"]) == (False, True)
    assert [(p["kind"], p["saga"], p["hint"]) for p in found["problems"]] == [
        ("missing", "retired v2", "Keep its class until they have ended."),
        (
            "missing",
            "viewed v7",
            "Keep its class until they have ended, or move them on: saga_migrate viewed --from 7 --to 1.",
        ),
    ]
    assert [v["code"] for v in found["in_flight"]] == ["missing", "missing"]


@pytest.mark.fault("F54")
@pytest.mark.parametrize("held", [True, None], ids=["held", "waited for"])
@pytest.mark.parametrize("status", ["completed", "compensated", "superseded"])
def test_a_lock_of_a_saga_that_has_ended_is_reported_with_the_way_out(status, held):
    stuck, ended = a_saga("stuck"), a_saga(status)
    a_lock(stuck, "order:1", held=True)
    for target in ("order:7", "order:8"):
        a_lock(ended, target, held=held)

    _, found = told()

    [wrong] = [problem for problem in found["problems"] if problem["kind"] == "orphaned"]
    assert (found["orphaned"], wrong["saga"]) == (True, f"order {ended.pk}")
    assert "order:7, order:8." in wrong["message"]
    exec(wrong["hint"].partition("Delete the locks: ")[2], {"SagaLock": SagaLock})  # noqa: S102
    assert list(SagaLock.objects.values_list("target", flat=True)) == ["order:1"]
    assert told()[1]["orphaned"] is False


@pytest.mark.fault("F54")
def test_an_orphaned_lock_does_not_say_that_the_code_is_wrong():
    a_lock(a_saga("completed"), "order:7", held=True)

    code, said = checked()

    assert code == 3
    assert "It is completed and has locks all the same" in " ".join(said.split())


@pytest.mark.fault("F64")
def test_a_graph_that_changed_under_its_version_is_told_change_by_change(working):
    row = a_definition("viewed", 1, [("reserve", (), "release"), ("pack", ("reserve",), "unpack")])
    saga = a_saga("running", definition=row)
    a_step(saga, "reserve", "succeeded")
    a_step(saga, "pack", "scheduled")
    a_step(a_saga("stuck", definition=row), "pack", "undo_failed")
    a_step(a_saga("completed", definition=row), "pack", "succeeded")

    code, said = checked()

    assert code == 1
    assert "viewed v1: This code has another graph under this version" in said
    assert "Give the changed saga the version 2 and keep the old class beside it." in " ".join(said.split())
    for line in (
        "    step reserve: atomic False → True",
        "    step pack: removed",
        "    step charge: added, after reserve",
        "    step pack: 1 in flight, scheduled",
        "    step pack: 1 in flight, undo failed",
    ):
        assert line in said.splitlines()


def test_a_changed_graph_with_nothing_in_flight_is_fine():
    a_saga("completed", definition=a_definition("viewed"))

    assert checked()[0] == 0


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        ({}, None),
        ({"definitions": ["order v1"]}, "No worker that is there serves it."),
        ({"state": "stopped"}, "No worker that is there serves it."),
        ({"state": "draining"}, "No worker that is there serves it."),
        ({"seen": timedelta(hours=1)}, "No worker that is there serves it."),
        ({"queues": ["default"]}, "No worker that is there serves its queues parcels."),
    ],
)
def test_sagas_that_no_worker_serves_have_an_exit_code_of_their_own(viewed, working, worker, message):
    a_saga("running", definition=viewed)
    if "seen" in worker:
        worker = {"seen_at": clock.now("default") - worker["seen"]}
    SagaWorker.objects.filter(pk=working.pk).update(**worker)

    code, found = told()

    assert [problem["message"] for problem in found["problems"]] == ([message] if message else [])
    assert (code, found["fits"]) == (3 if message else 0, True)


def test_a_wrong_definition_fails_the_check():
    class Lame(Saga):
        @step
        def limp(self, ctx): ...

    code, found = told()

    assert code == 1
    assert [(p["kind"], p["saga"], p["message"]) for p in found["problems"]] == [
        ("invalid", "lame v1", "step limp: It has no compensation.")
    ]


def test_a_row_that_is_no_graph_is_reported_and_not_followed(working):
    row = a_definition("viewed")
    SagaDefinition.objects.filter(pk=row.pk).update(graph={"steps": [1]})
    a_saga("running", definition=row)

    code, found = told()

    assert code == 1
    assert "cannot be read" in found["in_flight"][0]["changes"][0]["what"]


def test_the_number_of_queries_does_not_grow_with_sagas(viewed, working):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as ran:
            checked()
        return len(ran)

    a_saga("running", definition=viewed)
    few = queries()
    for _ in range(20):
        a_saga("running", definition=viewed)

    assert queries() == few


def test_a_database_that_cannot_be_asked_is_said(monkeypatch):
    def broken(using):
        raise DatabaseError("no such table: django_saga_sagainstance")

    monkeypatch.setattr(clock, "now", broken)

    with pytest.raises(CommandError, match=r"'default' \(.*\) could not be asked: no such table"):
        written("saga_check")


def test_what_the_code_wrote_itself_is_the_same(working):
    """The row as ``migrate`` and workers write it."""
    SagaDefinition.objects.filter(name="viewed").delete()
    definitions.forget()
    key = definitions.identify("default", ViewedSaga.program.definition)
    a_saga("running", definition=SagaDefinition.objects.get(pk=key))

    assert told()[1]["in_flight"][0]["code"] == "same"
