"""Conditions as people see them: in `saga_show`, `saga_graph`, `saga_simulate`, in JSON, and in the admin."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from django_saga import Saga, step
from django_saga.dsl.registry import registry
from django_saga.testing import saga_story
from tests.commands.screen import document, written


@pytest.fixture
def saga(lab):
    with registry.isolated():

        class ShownSaga(Saga):
            name = "shown_asked"

            @step(no_compensation=True)
            def look(self, ctx):
                return ctx.input

            def is_large(self, ctx):
                if ctx.attempt < 2:
                    raise ValueError("no scales")
                return ctx.results["look"] > 100

            @step(no_compensation=True, when=is_large)
            def approve(self, ctx): ...

        yield ShownSaga


def test_a_step_that_was_skipped_says_why_and_what_was_asked(lab, saga, client):
    handle = saga.start(5)
    lab.run()

    tree = written("saga_show", str(handle.id))
    assert "approve  skipped: condition not met  (when is_large)" in tree
    assert "condition 1: failed" in tree
    assert "condition 2: not met" in tree
    assert "given up" not in tree
    told = document("saga_show", str(handle.id))["steps"][1]
    assert (told["when"], told["status"], told["reason"]) == ("is_large", "skipped", "condition not met")
    assert [(one["condition"], one["ended"]) for one in told["attempts"]] == [
        (True, "failed"),
        (True, "not met"),
    ]
    assert "condition 2: not met" in saga_story(handle)
    assert "given up" not in saga_story(handle)
    client.force_login(get_user_model().objects.create_superuser("ann"))
    page = client.get(reverse("admin:django_saga_sagainstance_change", args=[handle.id])).content.decode()
    assert "condition 2: not met" in page
    assert "condition not met: step skipped" in page
    assert "when is_large" in page
    assert "given up" not in page


def test_a_step_that_is_to_be_asked_for_says_so(lab, saga):
    handle = saga.start(500)
    lab.step()

    assert "condition 1: due" in written("saga_show", str(handle.id))
    assert "condition: due" in saga_story(handle)

    lab.run()
    tree = written("saga_show", str(handle.id))
    assert "condition 2: met" in tree
    assert "attempt 1: succeeded" in tree


def test_graphs_draw_the_way_to_it_dashed_and_simulations_name_the_condition(lab, saga):
    drawn = written("saga_graph", "shown_asked")
    assert 's2["approve - when is_large"]' in drawn
    assert "s1 -.-> s2" in drawn
    saga.start(5)
    assert written("saga_graph", "shown_asked", "--version", "1") == drawn

    assert "approve [when is_large]" in written("saga_simulate", "shown_asked")
    assert json.loads(written("saga_simulate", "shown_asked", "--json"))["conditions"] == {
        "approve": "is_large"
    }


def test_a_condition_that_is_asked_again_is_not_called_an_attempt_of_its_step(lab, saga, client):
    handle = saga.start(5)
    while not saga_story(handle).count("condition 1: failed"):
        lab.step()

    client.force_login(get_user_model().objects.create_superuser("ann"))
    page = client.get(reverse("admin:django_saga_sagainstance_change", args=[handle.id])).content.decode()
    listed = client.get(reverse("admin:django_saga_sagainstance_changelist")).content.decode()

    assert "condition 2 due" in page
    assert "approve, condition 2 in" in listed
    assert "condition 2: due" in written("saga_show", str(handle.id))
