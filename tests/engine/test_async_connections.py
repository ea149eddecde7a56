"""Which connection an ``async def`` step has, and that none of it is left behind."""

import pytest
from django.contrib.auth.models import Group

from django_saga import Saga, runtime, step
from django_saga.dsl.registry import registry
from tests.database.sessions import sessions
from tests.processes import wait_until


@pytest.fixture
def saga():
    with registry.isolated():

        class GroupSaga(Saga):
            @step(no_compensation=True, atomic=True)
            def make(self, ctx):
                Group.objects.create(name=ctx.input)

            @step(no_compensation=True)
            async def names(self, ctx):
                return [group.name async for group in Group.objects.order_by("name")]

        yield GroupSaga


@pytest.mark.django_db
def test_in_run_an_async_step_is_on_the_callers_connection_and_in_the_transaction_of_a_test(saga):
    Group.objects.create(name="a")

    assert saga.run("b").result() == ["a", "b"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ended_leaves_no_session_open(saga):
    handle = saga.start("a")

    runtime.build_worker(using="default", once=True).run()

    assert handle.result(timeout=0) == ["a"]
    # The server takes a moment to be rid of a session that was closed.
    wait_until(lambda: not sessions())
