"""Rows of definitions: written together, once, and never without need."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_saga.core.definition import SagaDefinition
from django_saga.core.limits import Limits, Rate
from django_saga.core.stored import to_data
from django_saga.exceptions import FingerprintConflict
from django_saga.models import SagaDefinition as Row
from django_saga.observability import fit
from django_saga.store import definitions
from tests.commands.rows import a_definition, a_saga, a_step
from tests.core.machine_play import define
from tests.database.sessions import sessions
from tests.processes import wait_until
from tests.sagas.start_sagas import EchoSaga
from tests.together import in_threads


def made(count: int) -> list[SagaDefinition]:
    return [replace(define("a b<a"), name=f"made_{number}") for number in range(count)]


def written(these: list[SagaDefinition]) -> tuple[list[int], list[str]]:
    """Identify ``these`` as a process does that never met them; give the ids, and the statements it took."""
    definitions.forget()
    with CaptureQueriesContext(connection) as captured:
        found = definitions.identify_all("default", these)
    said = [query["sql"].split()[0] for query in captured.captured_queries]
    return found, [word for word in said if word in ("SELECT", "INSERT", "UPDATE", "DELETE")]


@pytest.mark.django_db
def test_new_ones_are_written_together_and_known_ones_not_again():
    these = made(40)

    first, how = written(these[:10])
    both, and_how = written(these)
    again, and_then = written(these)

    # What is there, the time, the new rows, and their ids.
    assert how == and_how == ["SELECT", "SELECT", "INSERT", "SELECT"]
    assert and_then == ["SELECT"]
    assert both == again
    assert both[:10] == first
    assert [Row.objects.get(pk=key).name for key in both] == [each.name for each in these]


@pytest.mark.django_db
def test_what_changed_beside_the_graph_is_written_and_nothing_else():
    before, other = made(2)
    [key, _], _ = written([before, other])
    after = replace(before, description="Now it says so.", limits=Limits(rate_limit=Rate(5)))

    [same, _], how = written([after, other])

    row = Row.objects.get(pk=key)
    assert (same, row.description) == (key, "Now it says so.")
    assert row.graph == to_data(after) != to_data(before)
    assert how.count("UPDATE") == 1


@pytest.mark.django_db(transaction=True)
def test_where_transactions_are_managed_by_hand_it_is_written_and_asked_for_again():
    [new] = made(1)
    definitions.forget()
    transaction.set_autocommit(False)
    try:
        key = definitions.identify("default", new)
        assert definitions.remembered("default", new) is None
        assert definitions.identify("default", new) == key
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


@pytest.mark.django_db
def test_one_that_changed_under_its_sagas_keeps_all_that_come_with_it_out():
    EchoSaga.start("hello")
    changed = replace(define("a b<a"), name=EchoSaga.name, version=EchoSaga.program.definition.version)
    [new] = made(1)

    with pytest.raises(FingerprintConflict, match="has another graph"):
        definitions.identify_all("default", [new, changed])

    assert definitions.remembered("default", new) is None
    assert not Row.objects.filter(name=new.name).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("above", ["running", "stuck", "completed"])
@pytest.mark.parametrize("generations", [1, 2])
def test_one_that_completed_for_a_saga_in_flight_holds_its_graph_fast(above, generations):
    [key, _], _ = written(made(2))
    top = saga = a_saga(above)
    for number in range(generations):
        step = a_step(saga, "starts_it", "succeeded")
        last = number == generations - 1
        definition = Row.objects.get(pk=key) if last else a_definition("between")
        saga = a_saga("completed", definition=definition, parent_step=step.pk)
    changed = replace(define("a b<a c<b"), name="made_0")
    definitions.forget()

    if above == "completed":
        assert definitions.identify("default", changed) == key
        return
    with pytest.raises(FingerprintConflict, match="has another graph"):
        definitions.identify("default", changed)
    [version] = [each for each in fit.look("default").versions if each.name == "made_0"]
    assert (version.counts, version.code) == ({"completed": 1}, "missing")
    type(top).objects.filter(pk=top.pk).update(status="compensated")
    assert definitions.identify("default", changed) == key


@pytest.mark.django_db(transaction=True)
def test_processes_that_begin_together_agree_on_the_ids():
    these = made(30)
    definitions.forget()

    found = in_threads(6, lambda number: definitions.identify_all("default", these[:: (-1) ** number]))

    ids = dict(Row.objects.values_list("name", "pk"))
    wanted = [ids[each.name] for each in these]
    assert found == [wanted[:: (-1) ** number] for number in range(6)]
    assert Row.objects.filter(name__startswith="made_").count() == 30


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_processes_that_write_the_same_ones_do_not_wait_for_each_other_crosswise():
    first, middle, last = made(3)
    definitions.forget()
    found: list[Any] = []
    begun = [
        threading.Thread(target=lambda each=each: found.extend(in_threads(1, lambda _: identified(each))))
        for each in ([first, middle, last], [last, middle, first])
    ]

    # Whoever did not keep the order would have written its first by now, and both would want the middle one.
    with transaction.atomic():
        definitions.identify_all("default", [middle])
        for count, thread in enumerate(begun, 1):
            thread.start()
            wait_until(partial(waiting, count))
    for thread in begun:
        thread.join(30)

    ids = dict(Row.objects.filter(name__startswith="made_").values_list("name", "pk"))
    assert found == [ids, ids]


def waiting(count: int) -> bool:
    """Whether ``count`` sessions wait for a lock."""
    return sum(map(bool, sessions().values())) == count


def identified(these: list[SagaDefinition]) -> dict[str, int]:
    return dict(zip([each.name for each in these], definitions.identify_all("default", these), strict=True))
