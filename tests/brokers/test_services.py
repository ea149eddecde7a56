"""Sagas and flows that have another service act: real processes of two projects, each with a database of
its own, which see each other through a real broker only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import pytest
from django.db.models import Q

from django_saga import publish
from django_saga.core.flows import FLOW_FAILED
from django_saga.core.states import LIVE_SAGA
from django_saga.models import InboxMessage, OutboxMessage, SagaInstance, SagaStep
from django_saga.testing import assert_message_invariants, assert_saga_invariants
from tests.models import Effect
from tests.processes import ROOT, environment, wait_until
from tests.sagas.remote_sagas import DepotSaga

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

_FLOWS = 40
# What the last step of a saga does, and what was moved for it in the end.
ENDS = {"completed": [-2], "compensated": [-2, 2]}


class Services:
    """Starts workers of the shop, which is the project of the tests, and of the depot."""

    def __init__(self, start_python, url, database):
        broker = {"DJANGO_SAGA_BROKERS": json.dumps({"default": url}), "DJANGO_SAGA_SOURCE": "urn:shop"}
        own = {"DJANGO_SETTINGS_MODULE": "tests.depot.settings", "DEPOT_DATABASE": str(database)}
        self._start = start_python
        self._shop = broker
        self._depot = {**broker, **own, "DJANGO_SAGA_SOURCE": "urn:depot"}
        self._ask("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0")

    def shop(self, *arguments, faults=""):
        return self._work(self._shop, arguments, faults)

    def depot(self, *arguments, faults=""):
        return self._work(self._depot, arguments, faults)

    def moved(self):
        """Give what the depot moved, by saga."""
        return json.loads(self._ask("-m", "tests.depot"))

    def _work(self, env, arguments, faults):
        return self._start("-m", "django", "saga_worker", "--lease", "1", *arguments, env=env, faults=faults)

    def _ask(self, *arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**environment(), **self._depot},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def services(redis_prefix, start_python, tmp_path, settings):
    pytest.importorskip("redis", reason="redis-py is not installed")
    # What the test itself starts is sent by the workers.
    settings.DJANGO_SAGA = {"SOURCE": "urn:shop", "OPTIMISTIC": False}
    return Services(start_python, redis_prefix, tmp_path / "depot.sqlite3")


def ended():
    return SagaInstance.objects.exclude(status__in=LIVE_SAGA).count()


def has_ended(some):
    return ended() >= some


def check(services, sagas):
    """Check that each saga had in the depot what its end says, once."""
    moved = services.moved()
    ends = dict(SagaInstance.objects.values_list("id", "status"))
    assert {str(each.id): ENDS[ends[each.id]] for each in sagas} == moved
    assert_saga_invariants()
    assert_message_invariants()


def test_another_service_acts_and_undoes_it(services):
    services.depot()
    services.shop()

    done = DepotSaga.start({"number": 2})
    undone = DepotSaga.start({"number": 2, "fails": True})
    declined = DepotSaga.start({"number": 20})

    wait_until(lambda: ended() == 3)
    assert done.result(timeout=0) == {"taken": 2}
    assert (undone.status, declined.status) == ("compensated", "compensated")
    check(services, [done, undone])
    assert (
        "depot.take failed: that is too much" in SagaStep.objects.get(saga_id=declined.id, name="take").error
    )


def test_a_service_that_is_down_is_waited_for(services):
    services.shop()
    saga = DepotSaga.start({"number": 2})
    wait_until(lambda: SagaStep.objects.filter(name="take", status="waiting").exists())

    services.depot()

    wait_until(lambda: ended() == 1)
    check(services, [saga])


@pytest.mark.fault("F56", "F60")
def test_it_acts_once_however_often_either_side_dies(services):
    sides = {services.shop: services.shop(), services.depot: services.depot()}
    sagas = DepotSaga.bulk_start([{"number": 2, "fails": n % 2 == 0} for n in range(60)])

    for deaths in range(6):
        some = 8 * deaths + 3
        wait_until(partial(has_ended, some))
        start = list(sides)[deaths % 2]
        sides[start].kill9()
        sides[start] = start()

    wait_until(lambda: ended() == 60)
    check(services, sagas)


def all_at_rest(some):
    """Whether so many flows have come to their end here, and nothing waits."""
    ended = Effect.objects.filter(Q(kind__startswith="money") | Q(kind="no shelf")).count()
    waits = InboxMessage.objects.filter(status="waiting").exists()
    waits = waits or OutboxMessage.objects.filter(status="pending").exists()
    return ended >= some and (some < _FLOWS or not waits)


@pytest.mark.fault("F56", "F60")
def test_a_flow_that_fails_is_undone_in_both_services_however_often_either_dies(services):
    sides = {services.shop: services.shop(), services.depot: services.depot()}
    for n in range(_FLOWS):
        publish("shelf.asked", {"number": 2, "fails": n % 2 == 0}, key=f"order {n}")

    for deaths in range(6):
        wait_until(partial(all_at_rest, 5 * deaths + 2))
        start = list(sides)[deaths % 2]
        sides[start].kill9()
        sides[start] = start()
    wait_until(partial(all_at_rest, _FLOWS))
    moved = wait_until(lambda: services.moved() if settled(services.moved()) else None)

    assert moved == {f"order {n}": [-2, 2] if n % 2 == 0 else [-2] for n in range(_FLOWS)}
    for n in range(_FLOWS):
        kinds = set(Effect.objects.filter(key=f"order {n}").values_list("kind", flat=True))
        assert kinds == {"shelf", "no shelf" if n % 2 == 0 else "money after shelves, depot"}
    assert Effect.objects.count() == 2 * _FLOWS
    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).count() == _FLOWS // 2
    assert_message_invariants()


def settled(moved):
    """Whether the depot has had back all that belongs to flows that failed."""
    return sum(map(sum, moved.values())) == -2 * (_FLOWS // 2)
