"""A worker runs the sagas its code knows, as it knows them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import Saga, operations, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaDefinition
from django_saga.observability import fit
from tests.processes import wait_until
from tests.sagas.race_sagas import RaceForkNextSaga, RaceForkSaga
from tests.sagas.worker_sagas import WorkerCall
from tests.worker.looking import ended, steps

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


@pytest.fixture
def strangers():
    """Sagas that only the test knows: one of another name, and another version of one that workers know."""
    with registry.isolated(*registry.all()):

        class WorkerStranger(Saga):
            """Known to no worker."""

            @step(no_compensation=True)
            def call(self, ctx):
                return "stranger"

        class NextWorkerCall(Saga):
            """What becomes of ``worker_call`` one day."""

            name = "worker_call"
            version = 2

            @step(no_compensation=True)
            def call(self, ctx):
                return "version 2"

        yield WorkerStranger, NextWorkerCall


def test_a_worker_leaves_alone_sagas_and_versions_that_it_does_not_know(worker, strangers, ledger):
    stranger, next_call = (saga_class.start({}) for saga_class in strangers)
    known = WorkerCall.start({})

    assert worker("--once").wait() == 0

    assert ended(known) == ["completed"]
    assert steps(stranger) == steps(next_call) == {"call": ("scheduled", 0, 0)}
    assert ledger.steps() == ["call:do"]


@pytest.mark.fault("F64")
def test_each_saga_is_carried_by_the_version_that_it_was_started_with(worker, ledger):
    first, second = RaceForkSaga.start(), RaceForkNextSaga.start()

    assert worker("--once").wait() == 0

    assert (first.result(1), second.result(1)) == ("left and right", "port and right")
    assert set(steps(first)) == {"left", "right", "join"}
    assert set(steps(second)) == {"port", "right", "check", "join"}


def test_a_saga_that_was_migrated_is_carried_on_by_its_new_version(worker, ledger):
    saga = RaceForkSaga.start()
    renamed = {"left": "port"}
    operations.migrate_sagas("race_fork", from_version=1, to_version=2, mapping=renamed, by="ada")

    assert worker("--once").wait() == 0

    assert saga.result(1) == "port and right"


def test_the_check_for_a_deployment_knows_whether_a_worker_is_there(worker, ledger):
    WorkerCall.start({}, run_at=timedelta(hours=1))
    assert not fit.look("default").served
    process = worker()
    wait_until(lambda: fit.look("default").served, message="a worker that announces the saga")

    process.terminate()

    assert process.wait() == 0
    found = fit.look("default")
    assert not found.served
    assert [(version.name, version.code) for version in found.versions] == [("worker_call", "same")]


def test_a_worker_does_not_rescue_what_it_does_not_know(worker, strangers, relief):
    from tests.worker.test_recovery import lose

    stranger, next_call = (saga_class.start({}) for saga_class in strangers)
    lose([stranger.id, next_call.id])

    assert worker("--once").wait() == 0
    assert steps(stranger) == steps(next_call) == {"call": ("running", 1, 0)}
    relief()

    assert ended(stranger, next_call) == ["completed"] * 2
    assert next_call.result() == "version 2"


@pytest.mark.fault("F64")
@pytest.mark.parametrize("mode", [[], ["--processes", "2"], ["--once"]], ids=["one", "two", "once"])
def test_a_graph_that_changed_under_sagas_in_flight_keeps_the_worker_from_starting(worker, ledger, mode):
    saga = WorkerCall.start({})
    row = SagaDefinition.objects.get(name="worker_call", version=1)
    other = "0123456789ab" + row.fingerprint[12:]
    SagaDefinition.objects.filter(pk=row.pk).update(fingerprint=other)

    process = worker(*mode)

    assert process.wait() == 1
    assert "worker_call v1" in process.output
    assert f"fingerprint {row.fingerprint[:12]} in code, 0123456789ab in the database" in process.output
    assert "saga_check shows what changed" in process.output
    assert "Traceback" not in process.output
    assert "replacing" not in process.output
    assert steps(saga) == {"call": ("scheduled", 0, 0)}


def test_a_graph_that_changed_with_nothing_in_flight_is_taken_over(worker, ledger):
    assert ended(WorkerCall.run({})) == ["completed"]
    row = SagaDefinition.objects.get(name="worker_call", version=1)
    SagaDefinition.objects.filter(pk=row.pk).update(fingerprint="0" * 64)

    assert worker("--once").wait() == 0

    row.refresh_from_db()
    assert row.fingerprint != "0" * 64
