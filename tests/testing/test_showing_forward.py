"""Pivots, stand-ins and probes as people see them: in `saga_show`, its JSON, and in the admin."""

from __future__ import annotations

import json
from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse

from django_saga import ForwardRecovery, OutcomeUnknown, Probe, Retry, Saga, step
from django_saga.dsl.registry import registry


def test_a_saga_that_was_probed_and_took_an_alternate_is_told_as_it_went(lab, client):
    with registry.isolated():

        class ShownSaga(Saga):
            name = "shown"

            @step(retry=Retry(attempts=1), pivot=True)
            def pay(self, ctx):
                raise OutcomeUnknown("no answer")

            @pay.probe
            def find(self, ctx):
                return Probe.HAPPENED

            @step(retry=Retry(attempts=1))
            def post(self, ctx):
                return "by post"

            @step(retry=Retry(attempts=1), forward_recovery=ForwardRecovery.ALTERNATE(post))
            def ship(self, ctx):
                raise ValueError("no van")

        saga = ShownSaga.start()
        lab.run()

        tree = _shown(saga.id)
        assert "why       alternate taken at ship" in tree
        assert "pay  succeeded  (pivot)" in tree
        assert "probe 1: succeeded" in tree
        assert "post  succeeded  (stands in for ship)" in tree
        told = json.loads(_shown(saga.id, "--json"))
        assert [one["name"] for one in told["steps"] if one["pivot"]] == ["pay"]
        assert [attempt["probe"] for attempt in told["steps"][0]["attempts"]] == [False, True]
        client.force_login(get_user_model().objects.create_superuser("ann"))
        page = client.get(reverse("admin:django_saga_sagainstance_change", args=[saga.id])).content.decode()
        assert "stands in for ship" in page
        assert "probe 1: succeeded" in page


def _shown(saga_id: object, *options: str) -> str:
    out = StringIO()
    call_command("saga_show", str(saga_id), *options, stdout=out)
    return out.getvalue()


def test_a_step_that_may_have_to_stand_in_stands_by_and_only_the_last_one_is_for_a_person(lab):
    with registry.isolated():

        class ShownSaga(Saga):
            name = "shown"

            @step(pivot=True)
            def pay(self, ctx): ...

            @step(retry=Retry(attempts=1))
            def post(self, ctx):
                raise ValueError("no stamps")

            @step(retry=Retry(attempts=1), forward_recovery=ForwardRecovery.ALTERNATE(post))
            def ship(self, ctx):
                raise ValueError("no van")

        saga = ShownSaga.start()
        assert "post  stands by  (stands in for ship)" in _shown(saga.id)

        lab.run()

        tree = _shown(saga.id)
        assert "post --reason" in tree
        assert "ship --reason" not in tree
