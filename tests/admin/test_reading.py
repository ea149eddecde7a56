"""What the admin shows: lists that say how things stand, pages that tell a saga's story."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_saga import operations
from django_saga.exceptions import SagaFailed
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaStep
from django_saga.testing import SagaLab
from tests.admin.page import list_url, row_url
from tests.commands.rows import (
    a_definition,
    a_lock,
    a_saga,
    a_step,
    a_worker,
    an_event,
    an_operation,
)
from tests.commands.screen import settled
from tests.sagas.child_sagas import DeliverySaga
from tests.sagas.composed_sagas import ComposedTestSaga
from tests.sagas.view_sagas import ViewedSaga

pytestmark = pytest.mark.django_db


def short(saga: Any) -> str:
    key = str(getattr(saga, "pk", None) or saga.id)
    return f"{key[:8]}…{key[-6:]}"


def run(**wishes: str) -> SagaInstance:
    """Run a saga to its end in this process."""
    with suppress(SagaFailed):
        ViewedSaga.run({"sku": "A-1", **wishes}, idempotency_key="order-1")
    return SagaInstance.objects.get()


def test_the_list_of_sagas_says_where_each_stands(look):
    done = a_saga("completed", took=timedelta(milliseconds=95))
    running = a_saga("running", idempotency_key="order-1")
    a_step(running, "charge", "running", attempt=2)
    stuck = a_saga("stuck")
    a_step(stuck, "reserve", "undo_failed", attempt=5)

    rows = [[settled(cell) for cell in row] for row in look(list_url("sagainstance")).rows]

    began = "<time> <span> ago"
    assert rows == [
        ["Saga", "Idempotency key", "Status", "Where it stands", "Started"],
        [f"order v1 {short(stuck)}", "-", "✖ stuck", "undo of reserve is dead, 5 attempts", began],
        [f"order v1 {short(running)}", "order-1", "▶ running", "charge, attempt 2", began],
        [f"order v1 {short(done)}", "-", "✔ completed", "took <span>", began],
    ]


def test_the_pages_of_a_saga_and_of_one_that_it_started_lead_to_each_other(look):
    with SagaLab() as lab:
        delivery = DeliverySaga.start({"goods": "books"})
        lab.advance()
    [child] = delivery.children
    step = SagaStep.objects.get(saga_id=delivery.id, name="packing")

    page = look(row_url("sagainstance", child.id))
    assert f"step packing of saga {delivery.id}" in page.text
    assert page.leads_to(row_url("sagainstance", delivery.id))
    children = f"{list_url('sagainstance')}?parent_step__in={step.pk}"
    assert look(row_url("sagainstance", delivery.id)).leads_to(children)
    assert [row[0] for row in look(children).rows[1:]] == [f"packing v1 {short(child)}"]


@pytest.mark.django_db(transaction=True)
def test_the_pages_of_a_forked_saga_and_of_its_fork_lead_to_each_other(look):
    saga = ViewedSaga.start({"sku": "A-1"})
    fork = operations.fork(saga.id, "reserve", by="ann", why="another one")

    pages = look(row_url("sagainstance", saga.id)), look(row_url("sagainstance", fork.id))

    assert "» superseded" in pages[0].text
    assert "another saga went on in its place" in pages[0].text
    assert "went on in place of another saga" in pages[1].text
    assert pages[0].leads_to(row_url("sagainstance", fork.id))
    assert pages[1].leads_to(row_url("sagainstance", saga.id))


def test_a_stuck_sagas_page_says_what_to_do_and_shows_its_steps(look):
    saga = run(charge="card declined", release="503: maintenance")

    page = look(row_url("sagainstance", saga.pk))

    assert "release, which undoes reserve, is dead after 2 attempts" in page.text
    assert f"./manage.py saga_retry {saga.pk} reserve --reason …" in page.text
    assert '"charge": "card declined"' in page.text
    steps = [[settled(cell) for cell in row] for row in page.rows[1:6]]
    assert steps == [
        [
            "reserve atomic",
            "✖ undo failed given up: attempts spent",
            "attempt 1: succeeded in <span> compensation release "
            "attempt 1: failed in <span>: RuntimeError: 503: maintenance "
            "attempt 2: failed in <span>: RuntimeError: 503: maintenance",
            '503: maintenance Result { "price": { "$decimal": "12.50" } }',
        ],
        [
            "charge after reserve",
            "✖ failed given up: permanent failure",
            "attempt 1: failed in <span>: PermanentFailure: card declined",
            "card declined",
        ],
        ["invoice after charge", "· never began", "", ""],
        ["ship after charge queue parcels", "· never began", "", ""],
        ["confirm after invoice, ship", "· never began", "", ""],
    ]
    assert [row[0] for row in page.rows[7:]] == [
        "· saga started",
        "✔ step succeeded",
        "✖ step failed",
        "✖ compensation failed",
        "✖ compensation failed",
    ]


def test_a_running_sagas_page_shows_who_has_a_step_and_what_is_to_come(look):
    saga = a_saga("running")
    step = a_step(saga, "reserve", "running")
    assert step.owner is not None
    a_worker(step.owner)
    a_step(saga, "charge", "scheduled", attempt=1, due_at=timezone.now() + timedelta(hours=1, seconds=30))

    steps = look(row_url("sagainstance", saga.pk)).rows[1:4]

    assert [settled(row[1]) for row in steps] == [
        "▶ running attempt 1 on worker web-1:77 since <time> <span> ago lease until <time> in <span>",
        "○ scheduled attempt 2 due <time> in <span>",
        "· to come",
    ]


def test_a_long_history_is_shown_from_its_newest_end(look):
    saga = a_saga("running")
    a_step(saga, "reserve")
    for attempt in range(1, 251):
        an_event(saga, "step_failed", "reserve", attempt=attempt)

    page = look(row_url("sagainstance", saga.pk))

    assert "The newest 200 events are shown." in page.text
    history = [row[2] for row in page.rows if row[0] == "✖ step failed"]
    assert history == [str(number) for number in range(51, 251)]
    assert f"{list_url('sagaevent')}?saga__id__exact={saga.pk}" in page.links


def test_a_steps_page_shows_its_attempts_and_payloads(look):
    saga = run(charge="card declined", release="503: maintenance")
    step = SagaStep.objects.get(name="reserve")

    page = look(row_url("sagastep", step.pk))

    assert [settled(" ".join(row[:3])) for row in page.rows] == [
        "Event Step Attempt",
        "✔ step succeeded reserve 1",
        "✖ compensation failed reserve 1",
        "✖ compensation failed reserve 2",
    ]
    assert '{ "price": { "$decimal": "12.50" } }' in page.text
    assert page.leads_to(row_url("sagainstance", saga.pk))


def test_an_events_page_has_the_traceback(look):
    run(charge="card declined")
    event = SagaEvent.objects.get(kind="step_failed")

    page = look(row_url("sagaevent", event.pk))

    assert "raise PermanentFailure(error)" in page.text
    assert "django_saga.exceptions.PermanentFailure" in page.text


def test_a_definitions_page_has_its_graph(look):
    run()
    page = look(row_url("sagadefinition", SagaInstance.objects.get().definition_id))

    assert page.rows == [
        ["Step", "After", "Compensation", "Atomic", "Queue", "In all sagas"],
        ["reserve", "", "release", "yes", "default", "Pause"],
        ["charge", "reserve", "refund", "no", "default", "Pause"],
        ["invoice", "charge", "void", "no", "default", "Pause"],
        ["ship", "charge", "recall", "no", "parcels", "Pause"],
        ["confirm", "invoice, ship", "-", "no", "default", "Pause"],
    ]
    assert 's1[["reserve - atomic"]]' in page.text


def test_a_workers_page_shows_what_it_has_in_hand(look):
    saga = a_saga("running")
    mine, _others = a_step(saga, "reserve", "running"), a_step(saga, "charge", "running")
    assert mine.owner is not None
    a_worker(mine.owner)

    page = look(row_url("sagaworker", mine.owner))

    assert [row[:4] for row in page.rows[1:]] == [["reserve", f"order {short(saga)}", "▶ running", "1"]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "▶ running"),
        ({"state": "draining"}, "◀ draining"),
        ({"state": "stopped", "seen_at": timezone.now() - timedelta(days=1)}, "■ stopped"),
        ({"seen_at": timezone.now() - timedelta(hours=1)}, "✖ not seen any more"),
    ],
)
def test_a_worker_that_is_gone_does_not_look_alive(look, values, shown):
    step = a_step(a_saga(), "reserve", "running")
    assert step.owner is not None
    a_worker(step.owner, **values)

    assert look(list_url("sagaworker")).rows[1][1] == shown


def test_an_operation_is_shown_on_its_sagas_page_and_by_itself(look):
    saga = a_saga("compensating")
    operation = an_operation(
        saga, why="the customer called", result="refused", detail="cancel refused: it ended"
    )

    on_saga, listed, alone = (
        look(row_url("sagainstance", saga.pk)),
        look(list_url("sagaoperation")),
        look(row_url("sagaoperation", operation.pk)),
    )

    assert settled(" | ".join(on_saga.rows[-1])) == (
        "cancel |  | mia | ✖ refused cancel refused: it ended | <time> <span> ago | the customer called"
    )
    assert settled(" | ".join(listed.rows[1])) == (
        f"cancel | ✖ refused | order {short(saga)} | - | mia | <time> <span> ago | the customer called"
    )
    assert "cancel refused: it ended" in alone.text


def test_locks_say_who_holds_them_and_who_waits(look):
    definition = a_definition("locking", lock_policy="wait")
    first, second, third = (a_saga("running", definition=definition) for _ in range(3))
    SagaInstance.objects.filter(pk__in=[second.pk, third.pk]).update(status="pending")
    for saga, held in ((first, True), (second, False), (third, False)):
        a_lock(saga, "order:7", held=held)

    listed, on_saga = look(list_url("sagalock")), look(row_url("sagainstance", third.pk))

    ago = "<time> <span> ago"
    by_first = f"locking {short(first)}"
    assert [settled(" | ".join(row)) for row in listed.rows[1:]] == [
        f"order:7 | ◇ waits | locking {short(third)} | {by_first} | {ago}",
        f"order:7 | ◇ waits | locking {short(second)} | {by_first} | {ago}",
        f"order:7 | ✔ held | {by_first} | - | {ago}",
    ]
    assert settled(" | ".join(on_saga.rows[1])) == f"order:7 | ◇ waits, 1 before it | {by_first} | {ago}"
    assert f"waits for lock order:7 held by locking {first.pk}" in on_saga.text
    assert on_saga.leads_to(row_url("sagainstance", first.pk))
    assert [
        len(look(list_url("sagalock", f"?state={state}")).rows[1:]) for state in ("held", "waits", "x")
    ] == [
        1,
        2,
        3,
    ]


def test_related_things_link_to_each_other(look, boss):
    saga = a_saga("running")
    step = a_step(saga, "reserve", "running")
    assert step.owner is not None
    a_worker(step.owner)
    event = an_event(saga, "step_failed", "reserve", attempt=1, worker=step.owner)
    operation = an_operation(saga)
    pages = {
        "saga": row_url("sagainstance", saga.pk),
        "step": row_url("sagastep", step.pk),
        "event": row_url("sagaevent", event.pk),
        "operation": row_url("sagaoperation", operation.pk),
        "worker": row_url("sagaworker", step.owner),
        "definition": row_url("sagadefinition", saga.definition_id),
        "steps": f"{list_url('sagastep')}?saga__id__exact={saga.pk}",
        "history": f"{list_url('sagaevent')}?saga__id__exact={saga.pk}",
        "operations": f"{list_url('sagaoperation')}?saga__id__exact={saga.pk}",
        "sagas": f"{list_url('sagainstance')}?of={saga.definition_id}",
    }

    linked = {
        name: sorted(other for other, to in pages.items() if other != name and page.leads_to(to))
        for name, page in ((name, look(url)) for name, url in pages.items())
    }

    assert linked == {
        "saga": ["definition", "event", "history", "operation", "operations", "step", "steps", "worker"],
        "step": ["event", "saga", "worker"],
        "event": ["history", "saga", "worker"],
        "operation": ["saga"],
        "worker": ["saga", "step"],
        "definition": ["sagas"],
        "steps": ["saga", "step"],
        "history": ["event", "saga", "worker"],
        "operations": ["operation", "saga"],
        "sagas": ["saga"],
    }


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("sagainstance", "There are no sagas yet."),
        ("sagastep", "No step has become ready yet."),
        ("sagaevent", "Nothing has been recorded yet."),
        ("sagalock", "No saga holds a lock, or waits for one."),
        ("sagaoperation", "No operator has done anything yet."),
        ("sagaworker", "Start one: manage.py saga_worker"),
        ("sagadefinition", "Definitions are written by “migrate” and by workers, from the code."),
    ],
)
def test_an_empty_list_says_how_it_fills(look, model, said):
    SagaDefinition.objects.all().delete()

    assert said in look(list_url(model)).text


def test_a_list_without_a_match_offers_the_whole_one(look):
    a_saga()

    page = look(list_url("sagainstance", "?q=nothing-like-it"))

    assert "Nothing matches. Show all" in page.text
    assert "?" in page.links


def test_an_unknown_id_leads_back_to_the_start(boss):
    for pk in ("no-uuid", "01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6"):
        assert boss.get(row_url("sagainstance", pk)).status_code == 302


def test_a_definition_that_left_the_code_says_so(look):
    a_definition("retired")

    html = look(list_url("sagadefinition", "?q=retired")).html

    assert 'alt="False"' in html


def test_the_page_of_a_composed_saga_shows_its_own_steps_and_what_it_was_composed_of(look):
    steps: list[Any] = [{"action": "look", "name": "only_here", "input": {"$input": "who"}}, "reserve"]
    composed = ComposedTestSaga.compose(steps).start({"who": "Ada"})

    page = look(row_url("sagainstance", composed.id))

    assert [settled(row[0]) for row in page.rows[:3]] == [
        "Step",
        "only_here",
        "reserve after only_here atomic",
    ]
    assert '"$$input": "who"' in page.text
    assert "Composed of" in page.text
    assert "Composed of" not in look(row_url("sagainstance", a_saga("completed").pk)).text
