"""What a person does in the admin to all sagas of a name, or to one step in all of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_saga import operations
from django_saga.models import SagaDefinition, SagaGate, SagaOperation
from tests.admin.page import Page, row_url
from tests.commands.rows import a_definition

pytestmark = pytest.mark.django_db


@pytest.fixture
def definition() -> SagaDefinition:
    return a_definition("parcels")


def ask(definition: SagaDefinition, action: str, step: str = "") -> str:
    """The URL of the question."""
    url = reverse("admin:django_saga_act_on_name", args=[definition.pk, action])
    return f"{url}?step={step}" if step else url


def recorded() -> list[tuple[str, ...]]:
    rows = SagaOperation.objects.order_by("pk")
    return list(rows.values_list("action", "definition", "step", "actor", "why", "result"))


def test_a_name_and_its_steps_are_paused_and_resumed(boss, look, definition):
    page = row_url("sagadefinition", definition.pk)
    assert look(page).actions == ["pause", "pause reserve", "pause charge", "pause ship"]
    assert "within about a second by all workers" in look(ask(definition, "pause")).text

    boss.post(ask(definition, "pause"), {"why": "the bank is closed"})
    boss.post(ask(definition, "pause", "charge"), {"why": "no cards"})

    shown = look(page)
    assert shown.actions == ["resume", "pause reserve", "resume charge", "pause ship"]
    assert "All sagas of this name ■ paused by boss the bank is closed" in shown.text
    boss.post(ask(definition, "resume"), {"why": ""})
    assert "there is nothing to do" in look(ask(definition, "resume")).text.lower()
    assert recorded() == [
        ("pause", "parcels", "", "boss", "the bank is closed", "done"),
        ("pause", "parcels", "charge", "boss", "no cards", "done"),
        ("resume", "parcels", "", "boss", "", "done"),
    ]


def test_an_open_circuit_is_closed(boss, look, definition):
    now = timezone.now()
    SagaGate.objects.create(
        saga="parcels", step="charge", opened_at=now, open_until=now + timedelta(minutes=1)
    )
    assert "close-circuit charge" in look(row_url("sagadefinition", definition.pk)).actions

    boss.post(ask(definition, "close-circuit", "charge"), {"why": ""})

    assert SagaGate.objects.get().opened_at is None
    assert look(row_url("sagadefinition", definition.pk)).actions[2] == "pause charge"
    assert recorded() == [("close circuit", "parcels", "charge", "boss", "", "done")]


def test_a_pause_wants_a_reason_and_somebody_elses_is_said(boss, look, definition):
    assert "This field is required" in boss.post(ask(definition, "pause"), {"why": ""}).content.decode()
    operations.pause(definition="parcels", by="ada", why="stocktaking")

    boss.post(ask(definition, "pause"), {"why": "x"})

    assert "it is paused already, by ada (stocktaking)" in look(row_url("sagadefinition", definition.pk)).text
    assert [row[5] for row in recorded()] == ["done", "refused"]


def test_a_step_that_is_not_there_is_said(boss, look, definition):
    boss.post(ask(definition, "pause", "pack"), {"why": "x"})

    assert "has no step" in look(row_url("sagadefinition", definition.pk)).text
    assert recorded() == []


@pytest.mark.parametrize(
    ("codes", "may"),
    [
        (["view_sagadefinition"], []),
        (["view_sagadefinition", "pause_saga"], ["pause", "resume"]),
        (["view_sagadefinition", "close_circuit"], ["close-circuit"]),
        (["pause_saga", "close_circuit"], []),
    ],
)
def test_it_takes_the_permission(as_clerk, definition, codes, may):
    browser = as_clerk(*codes)
    if "view_sagadefinition" in codes:
        shown = Page.of(browser.get(row_url("sagadefinition", definition.pk)))
        assert bool(shown.actions) is ("pause" in may)
    for action in ("pause", "resume", "close-circuit"):
        status = 200 if action in may else 403
        assert browser.get(ask(definition, action, "charge")).status_code == status
        if status == 403:
            assert browser.post(ask(definition, action, "charge"), {"why": "x"}).status_code == 403
    assert recorded() == []


def test_reading_changes_nothing_and_only_a_post_with_the_token_does(boss, definition):
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = boss.cookies
    for action in ("pause", "resume", "close-circuit"):
        assert boss.get(ask(definition, action)).status_code == 200
        assert boss.put(ask(definition, action)).status_code == 405
        assert careful.post(ask(definition, action), {"why": "x"}).status_code == 403
    assert boss.get(ask(definition, "delete")).status_code == 404
    assert boss.get(reverse("admin:django_saga_act_on_name", args=[0, "pause"])).status_code == 404
    assert recorded() == []
