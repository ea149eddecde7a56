"""A saga turns back while the command of a remote step is being made."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from django_saga import Saga, remote, runtime
from django_saga.dsl.registry import registry
from django_saga.models import OutboxMessage
from django_saga.testing import assert_saga_invariants, saga_steps

pytestmark = [pytest.mark.postgres, pytest.mark.mariadb, pytest.mark.django_db(transaction=True)]


def test_no_command_is_sent_for_a_step_that_does_not_come_to_wait():
    at_work, cancelled = threading.Event(), threading.Event()

    def payload(ctx):
        at_work.set()
        assert cancelled.wait(20)

    def work():
        try:
            runtime.build_worker(using="default", once=True).run()
        finally:
            connections.close_all()

    with registry.isolated():

        class CalledOffSaga(Saga):
            ask = remote("nobody.answers", payload=payload, reply_timeout=60, no_compensation=True)

        saga = CalledOffSaga.start()
        thread = threading.Thread(target=work)
        thread.start()
        assert at_work.wait(20)
        saga.cancel()
        cancelled.set()
        thread.join(20)

        assert (saga.status, saga_steps(saga)) == ("compensated", {"ask": "unknown"})
        assert not OutboxMessage.objects.exists()
        assert_saga_invariants()
